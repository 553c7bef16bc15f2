"""The connections of a thread: closing takes none away from a thread that reads."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import pytest

from serving.adapters.database import PerThread

LONG_READ = """
WITH RECURSIVE numbers (n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM numbers WHERE n < 2000000)
SELECT count(*), waiting() FROM numbers
"""


def test_a_read_under_way_when_its_reader_closes_ends_in_peace(tmp_path: Path) -> None:
    readers = PerThread(tmp_path / "small.db")
    begun, answers = threading.Event(), []

    def wait() -> bool:
        begun.set()
        return closed.wait(10)

    def read() -> None:
        connection = readers.get()
        connection.create_function("waiting", 0, wait)
        answers.append(connection.execute(LONG_READ).fetchall())

    closed = threading.Event()
    reader = threading.Thread(target=read)
    reader.start()
    assert begun.wait(10)
    readers.close()
    closed.set()
    reader.join(10)
    assert answers == [[(2000000, 1)]]


def test_nobody_reads_after_it_is_closed(tmp_path: Path) -> None:
    readers = PerThread(tmp_path / "small.db")
    readers.get().execute("SELECT 1")
    readers.close()
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        readers.get()
