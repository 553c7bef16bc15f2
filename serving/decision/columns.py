"""What a rule may name: columns and their types. The core owns its types, equal in name to the contract's."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class ColumnType(StrEnum):
    """Type of a column in a rule. The names are those of the feature contract's scalar dtypes."""

    BOOL = "bool"
    INT = "int64"
    FLOAT = "float64"
    STRING = "string"

    @property
    def is_number(self) -> bool:
        """Whether values can be added and ordered as numbers."""
        return self in (ColumnType.INT, ColumnType.FLOAT)


@dataclass(frozen=True, slots=True)
class Column:
    """One column a rule may name.

    Parameters
    ----------
    type
        Type of its values.
    categories
        Every word a string column may hold, or empty when any word is possible. A literal that is not among
        them is a fault at load, not a rule that is silently never true.
    """

    type: ColumnType
    categories: tuple[str, ...] = ()
