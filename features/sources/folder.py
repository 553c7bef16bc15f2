"""A source of your own: a folder of CSV or parquet files that already have canonical columns.

::

    shop/
    ├── source.toml            what is declared of the tables
    ├── customers.csv
    └── transactions/          several files of one table
        ├── 2017-01.parquet
        └── 2017-02.parquet

and in ``source.toml``::

    name = "shop"                           # the folder's name by default

    [tables.customers]
    history = "snapshot"                    # or "versions"
    known_at = "joined_at"

    [tables.transactions]
    known_at = "occurred_at + 1 day"        # or "known_at", a column of the file, or "ingest"
    reject_limit = 0.02                     # share of rows; the contract's by default

A table without ``known_at`` here is known by its column of that name, or else from its ingest.
"""

from __future__ import annotations

import difflib
import hashlib
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from features.casting import column_faults
from features.sources import Batch, Declaration, History, SourceError
from features.sources.files import read_batches, read_schema
from features.sources.known_at import KnownAtIngest, KnownAtRule, KnownFromColumn, parse_known_at
from features.table_contract import KNOWN_AT
from features.tables import TABLES
from moment.errors import ConfigurationError, Fault

if TYPE_CHECKING:
    import duckdb

_SETTINGS = "source.toml"
_ENDINGS = (".csv", ".parquet")
_RESERVED = ("complete-journey",)


@dataclass(frozen=True, slots=True)
class FolderSource:
    """A folder of files in canonical columns; see the module for its layout.

    Parameters
    ----------
    folder
        The folder.
    name
        Name of the source: lower case, digits and dashes.
    files
        The files of each table, in order.
    declarations
        What is declared of each table.
    """

    folder: Path
    name: str
    files: Mapping[str, tuple[Path, ...]]
    declarations: Mapping[str, Declaration]

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Read a folder's layout and ``source.toml``.

        Raises
        ------
        SourceError
            There is no such folder, or no table in it.
        ConfigurationError
            ``source.toml`` or the layout is wrong; lists every fault.
        """
        if not folder.is_dir():
            raise SourceError(
                f"{folder} is no folder; give one that holds customers.csv or customers.parquet"
            )
        settings, faults = _settings(folder)
        name = str(settings.get("name", folder.resolve().name))
        files = {table: found for table in TABLES if (found := _files(folder, table))}
        faults += [*_name_faults(name, folder), *_stray_faults(folder)]
        declarations = {}
        for table, found in files.items():
            declared = settings.get("tables", {}).get(table, {})
            declarations[table] = _declaration(folder, table, found, declared, faults)
        if faults:
            raise ConfigurationError(f"{folder} is no source yet:", faults=faults)
        if not files:
            raise SourceError(f"{folder} holds no table; add customers.csv, transactions.csv, …")
        return cls(folder, name, files, declarations)

    def digest(self) -> str:
        """Return the SHA-256 over the names and bytes of the tables' files."""
        content = hashlib.sha256()
        for table, files in sorted(self.files.items()):
            for path in files:
                content.update(f"{table}/{path.name}\n".encode())
                with path.open("rb") as file:
                    content.update(hashlib.file_digest(file, "sha256").digest())
        return content.hexdigest()

    def faults(self) -> list[Fault]:
        """Return a fault for every file that cannot be opened and every column missing or of a wrong type."""
        faults: list[Fault] = []
        for table, files in self.files.items():
            for path in files:
                try:
                    schema = read_schema(path)
                except SourceError as error:
                    faults.append(Fault(str(path), str(error).removeprefix(f"{path}: ")))
                    continue
                faults += column_faults(TABLES[table], self.declarations[table], str(path), schema)
        return faults

    def batches(self, table: str, engine: duckdb.DuckDBPyConnection) -> Iterator[Batch]:  # noqa: ARG002
        """Yield the rows of a table, file by file; rows are numbered in their file."""
        for path in self.files[table]:
            yield from read_batches(path, TABLES[table].names)


def _settings(folder: Path) -> tuple[dict[str, Any], list[Fault]]:
    path = folder / _SETTINGS
    if not path.is_file():
        return {}, []
    try:
        settings = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        return {}, [Fault(str(path), f"is no TOML: {error}")]
    faults = [
        Fault(str(path), _unknown("key", key, ("name", "tables")))
        for key in settings.keys() - {"name", "tables"}
    ]
    tables = settings.get("tables", {})
    if not isinstance(tables, dict) or not all(isinstance(table, dict) for table in tables.values()):
        return {}, [*faults, Fault(str(path), "tables must be sections, such as [tables.customers]")]
    keys = ("known_at", "history", "reject_limit")
    for name, table in tables.items():
        if name not in TABLES:
            faults.append(Fault(f"{path}, [tables.{name}]", _unknown("table", name, tuple(TABLES))))
        faults += [
            Fault(f"{path}, [tables.{name}]", _unknown("key", key, keys))
            for key in sorted(table.keys() - set(keys))
        ]
    return settings, faults


def _unknown(what: str, name: str, known: tuple[str, ...]) -> str:
    alike = difflib.get_close_matches(name, known, n=1)
    return f"unknown {what} {name}; " + (
        f"did you mean {alike[0]}?" if alike else f"known are {', '.join(known)}"
    )


def _files(folder: Path, table: str) -> tuple[Path, ...]:
    single = [path for ending in _ENDINGS if (path := folder / f"{table}{ending}").is_file()]
    several = [path for path in sorted((folder / table).glob("*")) if path.suffix in _ENDINGS]
    return (*single, *several)


def _name_faults(name: str, folder: Path) -> list[Fault]:
    if re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name) and name not in _RESERVED:
        return []
    reason = "is taken" if name in _RESERVED else "is not lower case letters, digits and dashes"
    return [Fault(str(folder / _SETTINGS), f'the name "{name}" {reason}; add name = "my-shop" at the top')]


def _stray_faults(folder: Path) -> list[Fault]:
    """Return a fault for each file or folder whose name is nearly a table's: a table left out by a slip."""
    faults = []
    for path in sorted(folder.iterdir()):
        if path.stem in TABLES or not (path.is_dir() or path.suffix in _ENDINGS):
            continue
        alike = difflib.get_close_matches(path.stem.lower(), TABLES, n=1, cutoff=0.8)
        faults += (
            [Fault(str(path), f"is no canonical table; rename it to {alike[0]}{path.suffix}")]
            if alike
            else []
        )
    return faults


def _declaration(
    folder: Path, table: str, files: tuple[Path, ...], declared: Mapping[str, Any], faults: list[Fault]
) -> Declaration:
    """Return a table's declaration; what is wrong with it is appended to ``faults``."""
    settings = f"[tables.{table}] in {folder / _SETTINGS}"
    rule: KnownAtRule = _default_rule(files)
    history, limit = None, None
    try:
        if "known_at" in declared:
            rule = parse_known_at(str(declared["known_at"]))
        if "history" in declared:
            history = History(declared["history"])
        if "reject_limit" in declared:
            limit = _share(declared["reject_limit"])
    except ValueError as error:
        faults.append(Fault(settings, str(error)))
    return Declaration(rule, str(files[0]), history, limit, settings)


def _default_rule(files: tuple[Path, ...]) -> KnownAtRule:
    try:
        return KnownFromColumn() if KNOWN_AT in read_schema(files[0]).names else KnownAtIngest()
    except SourceError:
        # Told of with every other fault, when the columns are checked
        return KnownAtIngest()


def _share(value: object) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1:
        return float(value)
    raise ValueError(f"reject_limit {value!r} is no share; write a number from 0 to 1, such as 0.02")
