"""Sources: what maps an organisation's data onto the canonical tables.

A source is a value with a name, a declaration per table it provides, a digest of its content, and batches of
raw rows whose columns carry canonical names. Ingest casts, checks and files them. ``complete_journey`` is the
one the demo uses; ``folder`` reads files that already have canonical columns.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from features.sources.known_at import KnownAtRule
from moment.errors import DependencyError, Fault

if TYPE_CHECKING:
    import duckdb
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray


class SourceError(DependencyError):
    """A source cannot be read, or too much of what it gives is wrong. Names file, column and the way out."""


class History(StrEnum):
    """Whether a table holds each version of a row with its own ``known_at``, or only the newest one."""

    VERSIONS = "versions"
    SNAPSHOT = "snapshot"


@dataclass(frozen=True, slots=True)
class Declaration:
    """What a source says of one table it provides.

    Parameters
    ----------
    known_at
        The rule that gives each row its ``known_at``.
    place
        File or folder the table comes from, for messages.
    history
        ``versions`` or ``snapshot`` for the tables that ask for it, else None.
    reject_limit
        Share of rows that may be rejected, or None for the contract's.
    settings
        Where a person changes this declaration, for messages, e.g. ``[tables.customers] in source.toml``.
    assumed
        For ``consents``: what the rows rest on where nobody was asked; told wherever they are used.
    """

    known_at: KnownAtRule
    place: str
    history: History | None = None
    reject_limit: float | None = None
    settings: str = "the source's declarations"
    assumed: str = ""


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that could not be split into columns: its row, from 1, its text, what is wrong."""

    row: int
    text: str
    reason: str


@dataclass(frozen=True, slots=True)
class Batch:
    """Some rows of one table, as the source has them.

    Parameters
    ----------
    place
        The file they come from, for messages and quarantine.
    rows
        Row numbers in that file, shape (n,); the first row of data is 1.
    data
        The n rows. Columns carry canonical names, in any order and of any type that can be cast; columns the
        contract does not know are left out.
    bad_lines
        Lines of the file that are no rows at all.
    """

    place: str
    rows: NDArray[np.int64]
    data: pa.Table
    bad_lines: tuple[BadLine, ...] = ()


class Source(Protocol):
    """What ingest needs of a source. Reading must be repeatable: the same digest, the same rows in order."""

    @property
    def name(self) -> str:
        """Return the name of the source; it names the files in the lake."""

    @property
    def declarations(self) -> Mapping[str, Declaration]:
        """Return what is declared of each canonical table the source provides, by the table's name."""

    def digest(self) -> str:
        """Return a SHA-256 over everything the rows depend on: content and mapping."""

    def faults(self) -> list[Fault]:
        """Return every fault that can be seen without reading rows, such as a missing column."""

    def batches(self, table: str, engine: duckdb.DuckDBPyConnection) -> Iterator[Batch]:
        """Yield the rows of a table in batches of bounded size.

        ``engine`` is a bare DuckDB of the ingest, bounded in memory, in UTC, to map with; it may be ignored.
        """
