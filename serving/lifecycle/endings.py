"""Approvals that end soon or have ended, said in lines for people and in days for a metric."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from serving.lifecycle.acts import Model
from serving.lifecycle.book import Book


def warnings(book: Book, now: datetime) -> tuple[str, ...]:
    """Return one line for every champion whose approval ends within 30 days, has ended, or is missing."""
    raise NotImplementedError


def days_left(book: Book, now: datetime) -> Mapping[Model, float]:
    """Return in how many days each champion's approval ends; negative: it has. Without approval it is left out."""
    raise NotImplementedError
