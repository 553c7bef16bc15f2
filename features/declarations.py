"""Checking what a source declares, before any row is read."""

from __future__ import annotations

from collections.abc import Iterator

from features.sources import Declaration, History, Source
from features.sources.known_at import KnownAfter, KnownFromColumn
from features.table_contract import ColumnType, TableContract
from features.tables import TABLES
from moment.errors import Fault
from moment.home import Home


def declaration_faults(home: Home, source: Source) -> list[Fault]:
    """Return every fault of the declarations: unknown tables, rules that cannot hold, missing history."""
    faults = []
    for name, declared in source.declarations.items():
        if name not in TABLES:
            known = ", ".join(TABLES)
            faults.append(Fault(declared.place, f"{name} is no canonical table; those are {known}"))
            continue
        faults += [Fault(declared.place, message) for message in _rule_faults(TABLES[name], declared)]
    if "customers" not in source.declarations and not any((home.lake / "customers").glob("*.parquet")):
        faults.append(
            Fault(source.name, "there is no table customers, which every other one refers to; add it")
        )
    return faults


def _rule_faults(table: TableContract, declared: Declaration) -> Iterator[str]:
    match declared.known_at:
        case KnownAfter(_, column) if column not in table.names:
            yield f"known_at names {column}, not a column of {table.name}; change it in {declared.settings}"
        case KnownAfter(_, column) if table.column(column).dtype is not ColumnType.TIMESTAMP:
            yield f"known_at names {column}, which is no timestamp; change it in {declared.settings}"
        case _:
            pass
    if table.keeps_history and declared.history is None:
        yield (
            f'{table.name} must say whether it keeps versions: add history = "snapshot" (only the newest) '
            f'or history = "versions" under {declared.settings}'
        )
    if declared.history is History.VERSIONS and not isinstance(declared.known_at, KnownFromColumn):
        yield (
            f"versions of {table.name} need to say when each was known: add a column known_at, and "
            f'known_at = "known_at" under {declared.settings}'
        )
