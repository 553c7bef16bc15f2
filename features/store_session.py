"""How Feast is let run: without its own prints, and its DuckDB bounded and in UTC."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator

from moment.home import Home

MEMORY_LIMIT = "2GB"
"""For DuckDB, through which Feast reads the snapshots."""


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep Feast's own prints and bars out of what a script reads; errors are raised as ever."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield


@contextlib.contextmanager
def duckdb_in_utc(home: Home) -> Iterator[None]:
    """Bound the DuckDB Feast reads snapshots through, and let it compare instants in UTC wherever it runs."""
    import ibis

    connection = ibis.get_backend().con
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute("SET enable_progress_bar = false")
    connection.execute(f"SET memory_limit = '{MEMORY_LIMIT}'")
    connection.execute(f"SET temp_directory = '{str(home.root / 'tmp').replace(chr(39), chr(39) * 2)}'")
    yield
