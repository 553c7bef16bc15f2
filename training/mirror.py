"""Shows the states of the ledger in MLflow's registry: aliases and tags. MLflow is told, never asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from moment.home import Home
    from serving.lifecycle import Book


def mirror(home: Home, book: Book) -> None:
    """Make MLflow's registry say of every version what the book says; repeating it changes nothing."""
    raise NotImplementedError
