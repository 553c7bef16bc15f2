from __future__ import annotations

from collections.abc import Iterator

import duckdb
import pytest

from features import lake
from moment.home import Home


@pytest.fixture(scope="session")
def journey(lake_home: Home) -> Iterator[duckdb.DuckDBPyConnection]:
    """The lake of The Complete Journey."""
    with lake.connect(lake_home) as connection:
        yield connection
