"""Writing in groups: who finds the pen free writes at once, what fails fails alone, and nothing is lost."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import closing
from pathlib import Path

import pytest

from moment.errors import DependencyError, InvalidRequest
from serving.adapters.database import PerThread, connect
from serving.adapters.group_commit import GroupCommit

FOREVER = 20.0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "moment.db"
    with closing(connect(path)) as connection:
        connection.execute("CREATE TABLE numbers (number INTEGER PRIMARY KEY, thread TEXT)")
    return path


@pytest.fixture
def writer(path: Path) -> Iterator[GroupCommit]:
    with closing(GroupCommit(path)) as writer:
        yield writer


def put(number: int) -> Callable[[sqlite3.Connection], str]:
    """Return work that stores a number, and returns which thread did."""

    def work(connection: sqlite3.Connection) -> str:
        name = threading.current_thread().name
        connection.execute("INSERT INTO numbers VALUES (?, ?)", (number, name))
        return name

    return work


def refuse(connection: sqlite3.Connection) -> str:
    connection.execute("INSERT INTO numbers VALUES (-1, '')")
    raise InvalidRequest("not this one", code="invalid-value")


def numbers(path: Path) -> list[int]:
    with closing(connect(path)) as connection:
        return [row[0] for row in connection.execute("SELECT number FROM numbers ORDER BY number")]


class Held:
    """The pen in somebody's hand: a write that goes on until it is let go."""

    def __init__(self, writer: GroupCommit) -> None:
        self.begun, self.let_go = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=lambda: writer.write(self._work).result(FOREVER))
        self._thread.start()
        assert self.begun.wait(FOREVER)

    def _work(self, _: sqlite3.Connection) -> None:
        self.begun.set()
        assert self.let_go.wait(FOREVER)

    def end(self) -> None:
        self.let_go.set()
        self._thread.join()


def test_who_finds_the_pen_free_writes_at_once(writer: GroupCommit, path: Path) -> None:
    done = writer.write(put(1))
    assert done.done()
    assert done.result() == threading.current_thread().name
    assert numbers(path) == [1]


def test_what_comes_while_somebody_writes_is_left_to_the_thread_in_one_group(
    writer: GroupCommit, path: Path
) -> None:
    waiting: list[int] = []
    held = Held(writer)
    later = [writer.write(put(1)), writer.submit(put(2)), writer.write(put(3))]
    writer.watched_by(waiting.append)
    assert not any(one.done() for one in later)
    held.end()
    assert {one.result(FOREVER) for one in later} == {"group-commit"}
    assert max(waiting) == len(later)
    assert numbers(path) == [1, 2, 3]


def test_while_another_process_writes_it_is_left_to_the_thread(writer: GroupCommit, path: Path) -> None:
    writer.write(put(0)).result()
    with closing(connect(path)) as other:
        other.execute("BEGIN IMMEDIATE")
        waiting = [writer.write(put(1)), writer.write(put(2))]
        given_up = writer.write(put(3))
        assert not any(one.done() for one in waiting)
        assert given_up.cancel()
        other.execute("COMMIT")
    assert {one.result(FOREVER) for one in waiting} == {"group-commit"}
    assert numbers(path) == [0, 1, 2]


def test_who_waits_for_another_process_too_long_is_refused(
    writer: GroupCommit, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serving.adapters.group_commit._BUSY_SECONDS", 0.05)
    with closing(connect(path)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(DependencyError, match="locked"):
            writer.write(put(1)).result(FOREVER)
        other.execute("COMMIT")
    writer.write(put(2)).result()
    assert numbers(path) == [2]


def test_who_is_about_to_write_more_lets_a_few_gather(
    writer: GroupCommit, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serving.adapters.group_commit._SOON_SECONDS", FOREVER)
    sizes: list[int] = []
    writer.watched_by(sizes.append)
    gathered = [writer.write(put(number), more=number < 2) for number in range(3)]
    assert all(one.done() for one in gathered)
    assert max(sizes) == 3
    assert numbers(path) == [0, 1, 2]


def test_who_does_not_come_back_is_written_soon(writer: GroupCommit, path: Path) -> None:
    assert writer.write(put(1), more=True).result(FOREVER) == "group-commit"
    assert numbers(path) == [1]


def test_no_more_than_a_few_gather(writer: GroupCommit, path: Path) -> None:
    many = [writer.write(put(number), more=True) for number in range(40)]
    for one in many:
        one.result(FOREVER)
    assert numbers(path) == list(range(40))


def test_one_that_fails_does_not_spoil_its_group(writer: GroupCommit, path: Path) -> None:
    held = Held(writer)
    first, bad, last = writer.submit(put(1)), writer.submit(refuse), writer.submit(put(2))
    held.end()
    with pytest.raises(InvalidRequest, match="not this one"):
        bad.result(FOREVER)
    first.result(FOREVER)
    last.result(FOREVER)
    assert numbers(path) == [1, 2]


def test_one_that_fails_alone_leaves_nothing(writer: GroupCommit, path: Path) -> None:
    with pytest.raises(InvalidRequest, match="not this one"):
        writer.write(refuse).result()
    with pytest.raises(DependencyError, match="could not be recorded"):
        writer.write(lambda connection: connection.execute("INSERT INTO nowhere VALUES (1)")).result()
    writer.write(put(1)).result()
    assert numbers(path) == [1]


def test_who_gives_up_before_it_is_begun_is_not_written(writer: GroupCommit, path: Path) -> None:
    held = Held(writer)
    given_up, other = writer.write(put(1)), writer.write(put(2))
    assert given_up.cancel()
    held.end()
    other.result(FOREVER)
    assert numbers(path) == [2]


def test_many_at_once_are_each_written_once(writer: GroupCommit, path: Path) -> None:
    done: list[Future[str]] = []

    def write(first: int) -> None:
        done.extend((writer.write if n % 3 else writer.submit)(put(n)) for n in range(first, first + 50))

    threads = [threading.Thread(target=write, args=(first,)) for first in range(0, 400, 50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for one in done:
        one.result(FOREVER)
    assert numbers(path) == list(range(400))


def test_closing_writes_what_waits(path: Path) -> None:
    writer = GroupCommit(path)
    held = Held(writer)
    waiting = [writer.submit(put(number)) for number in range(3)]
    closing_thread = threading.Thread(target=writer.close)
    closing_thread.start()
    held.end()
    closing_thread.join(FOREVER)
    assert not closing_thread.is_alive()
    assert all(one.done() for one in waiting)
    assert numbers(path) == [0, 1, 2]


def test_the_log_is_written_back_and_begun_anew(writer: GroupCommit, path: Path) -> None:
    def write(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO numbers (thread) VALUES (?)", ("x" * 2**20,))

    for _ in range(40):
        writer.write(write).result(FOREVER)
    pages = path.with_name(f"{path.name}-wal").stat().st_size // 4096
    assert 4000 < pages < 5000


def moved(path: Path, folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    for file in sorted(path.parent.glob(f"{path.name}*")):
        file.rename(folder / file.name)


def test_nothing_is_acknowledged_into_files_that_were_moved_away(
    writer: GroupCommit, path: Path, tmp_path: Path
) -> None:
    writer.write(put(1)).result(FOREVER)
    moved(path, tmp_path / "away")

    refused = writer.write(put(2)).exception(FOREVER)
    assert isinstance(refused, DependencyError)
    assert str(refused) == (
        "moment.db was removed or replaced while it was open, so nothing is recorded; put back the one that "
        "was there, or restart the service"
    )
    with pytest.raises(DependencyError, match="removed or replaced"):
        writer.check()
    with pytest.raises(DependencyError, match="cannot be opened"):
        PerThread(path).get()
    assert not path.exists()
    moved(tmp_path / "away" / path.name, tmp_path)
    writer.check()
    writer.write(put(3)).result(FOREVER)
    assert numbers(path) == [1, 3]


@pytest.mark.parametrize("over", [True, False])
def test_nothing_is_acknowledged_into_a_backup_that_was_copied_there(
    writer: GroupCommit, path: Path, tmp_path: Path, over: bool
) -> None:
    backup = tmp_path / "backup.db"
    with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(backup)) as target:
        source.backup(target)
    writer.write(lambda connection: connection.execute("CREATE TABLE more (x)")).result(FOREVER)
    with closing(connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    writer.write(put(1)).result(FOREVER)
    if not over:
        path.unlink()
    path.write_bytes(backup.read_bytes())

    assert isinstance(writer.write(put(2)).exception(FOREVER), DependencyError)
    assert isinstance(writer.submit(put(3)).exception(FOREVER), DependencyError)
