"""The tables' part of ``docs/data.md``, written from the contracts.

``python -m features.data_docs docs/data.md`` brings the file up to date; a test checks that it is.
"""

from __future__ import annotations

import sys
from pathlib import Path

from features.table_contract import KNOWN_AT, Column, TableContract
from features.tables import TABLES

_BEGIN = "<!-- tables: written by `python -m features.data_docs docs/data.md` -->"
_END = "<!-- end of tables -->"


def render(page: str) -> str:
    """Return the page with the part between its two marks written anew from the contracts.

    Parameters
    ----------
    page
        The text of ``docs/data.md``.

    Raises
    ------
    ValueError
        The page has lost one of its marks.
    """
    before, begin, rest = page.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not begin or not end:
        raise ValueError(f"the page needs the lines {_BEGIN} and {_END}")
    return f"{before}{begin}\n\n{tables()}\n{end}{after}"


def tables() -> str:
    """Return the documentation of every canonical table in Markdown."""
    return "\n".join(_table(table) for table in TABLES.values())


def _table(table: TableContract) -> str:
    lines = [f"### {table.name}", "", f"{table.meaning}.", "", f"Key: {_names(table.key)}."]
    if table.keeps_history:
        lines[-1] += (
            " A source declares `history: versions | snapshot`; with versions, `known_at` joins the key."
        )
    lines += [f"`{late}` may not lie before `{early}`." for late, early in _orders(table)]
    if table.one_of:
        lines.append(f"At least one of {_names(table.one_of)} must have a value.")
    lines += [f"Reject limit: {table.reject_limit:.0%} of the rows.", ""]
    lines += ["| column | type | must have a value | meaning |", "|---|---|---|---|"]
    lines += [
        f"| `{c.name}` | {c.dtype} | {'no' if c.nullable else 'yes'} | {_meaning(c)} |" for c in table.columns
    ]
    return "\n".join([*lines, ""])


def _orders(table: TableContract) -> list[tuple[str, str]]:
    return [*table.not_before, *([(KNOWN_AT, table.time)] if table.time else [])]


def _meaning(column: Column) -> str:
    parts = [column.meaning]
    if column.allowed:
        parts.append(f"One of {_names(column.allowed)}")
    if column.minimum is not None:
        parts.append(f"At least {column.minimum:g}")
    if column.maximum is not None:
        parts.append(f"At most {column.maximum:g}")
    if column.references and column.references != column.name:
        parts.append(f"Refers to `{column.references}`")
    return ". ".join(parts).replace("|", "\\|")


def _names(names: tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def main(path: Path) -> None:
    """Bring the file up to date."""
    path.write_text(render(path.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
