"""A tiny shop as a source: files a test writes and then spoils."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from features import lake
from features.ingest import IngestReport, ingest
from features.sources.folder import FolderSource
from moment.home import Home

CUSTOMERS = """customer_id,party_type,household_id,joined_at
1,person,h1,2015-05-01
2,person,h1,2016-07-01T12:00:00+02:00
3,business,,2016-01-01
"""

TRANSACTIONS = """transaction_id,customer_id,occurred_at,amount,currency,quantity,on_display
a,1,2017-01-01 10:00:00,2.50,EUR,1,true
b,1,2017-01-02T10:00:00Z,3,EUR,2,false
c,2,2017-01-03 10:00:00+01:00,4.25,EUR,,
"""

SETTINGS = """
[tables.customers]
history = "snapshot"
known_at = "joined_at"

[tables.transactions]
known_at = "occurred_at + 1 day"
reject_limit = 0.5
"""


@dataclass(frozen=True)
class Shop:
    """A folder source under a temporary path, and the home it is ingested into."""

    folder: Path
    home: Home

    @classmethod
    def under(cls, path: Path) -> Shop:
        shop = cls(path / "shop", Home(path / "home", path / "mlruns"))
        shop.folder.mkdir()
        shop.write("customers.csv", CUSTOMERS)
        shop.write("transactions.csv", TRANSACTIONS)
        shop.write("source.toml", SETTINGS)
        return shop

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def change(self, name: str, before: str, after: str) -> None:
        text = (self.folder / name).read_text(encoding="utf-8")
        assert before in text
        self.write(name, text.replace(before, after))

    def ingest(self) -> IngestReport:
        return ingest(self.home, FolderSource.open(self.folder))

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with lake.connect(self.home) as connection:
            found: list[tuple[Any, ...]] = connection.execute(query).fetchall()
        return found

    def rejected(self, table: str, *, source: str = "shop") -> list[tuple[int, str]]:
        path = self.home.quarantine / source / f"{table}.parquet"
        with duckdb.connect() as connection:
            found: list[tuple[int, str]] = connection.execute(
                f"SELECT \"row\", reason FROM '{path}' ORDER BY 1"
            ).fetchall()
        return found

    def files(self) -> dict[str, tuple[bytes, int]]:
        """Bytes and time of change of every file of the lake."""
        return {
            str(path.relative_to(self.home.lake)): (path.read_bytes(), path.stat().st_mtime_ns)
            for path in sorted(self.home.lake.rglob("*"))
            if path.is_file()
        }
