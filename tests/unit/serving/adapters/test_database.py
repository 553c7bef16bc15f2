"""The connections of a thread: closing takes none away from a thread that reads."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import pytest

from serving.adapters.database import PerThread, connect

LONG_READ = """
WITH RECURSIVE numbers (n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM numbers WHERE n < 2000000)
SELECT count(*), waiting() FROM numbers
"""


def test_a_read_under_way_when_its_reader_closes_ends_in_peace(tmp_path: Path) -> None:
    connect(tmp_path / "small.db").close()
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
    connect(tmp_path / "small.db").close()
    readers = PerThread(tmp_path / "small.db")
    readers.get().execute("SELECT 1")
    readers.close()
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        readers.get()


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="open files are seen on Linux alone")
def test_what_a_savepoint_goes_back_to_lies_in_no_file(tmp_path: Path) -> None:
    connection = connect(tmp_path / "small.db")
    connection.execute("CREATE TABLE rows (id INTEGER PRIMARY KEY, bytes BLOB)")
    connection.executemany("INSERT INTO rows VALUES (?, ?)", [(row, bytes(3000)) for row in range(100)])
    connection.execute("BEGIN")
    connection.execute("SAVEPOINT job")
    connection.execute("UPDATE rows SET bytes = randomblob(3000)")
    opened = [str(file.readlink()) for file in Path("/proc/self/fd").iterdir() if file.is_symlink()]
    connection.execute("ROLLBACK TO job")
    connection.execute("COMMIT")
    assert connection.execute("SELECT DISTINCT bytes FROM rows").fetchall() == [(bytes(3000),)]
    connection.close()

    assert not [file for file in opened if "etilqs" in file]
