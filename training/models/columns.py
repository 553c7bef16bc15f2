"""What an estimator learns of a DataFrame's columns, and the one float matrix it reads them as."""

from __future__ import annotations

from dataclasses import dataclass

Category = str | int | float | bool


@dataclass(frozen=True, slots=True)
class ModelColumn:
    """One column: numeric, or categorical with its categories in the order of their codes.

    Examples
    --------
    >>> ModelColumn("brand", ("national", "private")).is_categorical
    True
    """

    name: str
    categories: tuple[Category, ...] | None = None

    @property
    def is_categorical(self) -> bool:
        """Whether values become codes."""
        return self.categories is not None
