"""What a version is called, and which one is meant: by the first digits of its digest."""

from __future__ import annotations

from difflib import get_close_matches

from moment.errors import InvalidRequest
from serving.lifecycle.acts import Model
from serving.lifecycle.book import Book
from serving.lifecycle.versions import Version

_SHORTEST = 4
"""Digits of a digest that are taken for a version."""


def named(version: Version) -> str:
    """Return what a version is called in a message."""
    return f"{version.model} {version.version}"


def find(book: Book, model: Model, version: str) -> Version:
    """Return the one version of a book whose digest begins like this, four digits or more.

    Raises
    ------
    InvalidRequest
        ``unknown-version``: there is none, or more than one; the nearest are named.
    """
    known = book.of_model(model)
    wanted = version.strip().lower()
    found = [one for one in known if len(wanted) >= _SHORTEST and one.digest.startswith(wanted)]
    if len(found) == 1:
        return found[0]
    names = [one.version for one in found or known]
    near = names if found else get_close_matches(wanted, names, n=3, cutoff=0.4) or names[-3:]
    what = f"more than one version {version}" if found else f"no version {version}"
    hint = f": {', '.join(near)}" if near else ""
    raise InvalidRequest(
        f"{model} has {what}{hint}; `moment models list` shows them", code="unknown-version", field=None
    )
