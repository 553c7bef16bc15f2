"""Turns at the files of a home, among threads and processes."""

from __future__ import annotations

import multiprocessing
import threading
import time
from pathlib import Path

import pytest

from moment.errors import DependencyError
from moment.home import Home
from moment.turns import turn, under_way


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home", tmp_path / "mlruns")


def hold(root: Path, held: threading.Event) -> None:
    with turn(Home(root, root), "a build of feature snapshots"):
        held.set()
        time.sleep(60)


def test_who_waits_too_long_is_told_what_for_and_a_killed_process_holds_nothing(home: Home) -> None:
    spawn = multiprocessing.get_context("spawn")
    held = spawn.Event()
    other = spawn.Process(target=hold, args=(home.root, held))
    other.start()
    try:
        assert held.wait(30)
        (told,) = under_way(home)
        assert told.startswith("a build of feature snapshots (since ")
        with (
            pytest.raises(DependencyError, match=r"^an erasure has waited 0 s for a build of feature snap"),
            turn(home, "an erasure", patience=0.1),
        ):
            pass
    finally:
        other.kill()
        other.join()
    with turn(home, "an erasure", patience=5):
        assert [one.split(" (")[0] for one in under_way(home)] == ["an erasure"]
    assert under_way(home) == ()
    assert sorted(file.name for file in (home.root / "turns").iterdir()) == ["files.lock"]


def test_threads_take_turns_unless_they_share_one_and_one_may_take_its_own_again(home: Home) -> None:
    with (
        turn(home, "an ingest of a", shared=True),
        turn(home, "an ingest of b", shared=True, patience=0),
        pytest.raises(DependencyError, match=r"waited 0 s for an ingest of . .* and an ingest of . "),
        turn(home, "an erasure", patience=0),
    ):
        pass
    refused: list[str] = []

    def other() -> None:
        try:
            with turn(home, "an ingest of a", shared=True, patience=0):
                pass
        except DependencyError as refusal:
            refused.append(str(refusal))

    with turn(home, "an erasure"), turn(home, "an erasure", patience=0):
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    assert len(refused) == 1
    with turn(home, "an ingest of a", shared=True, patience=0), turn(home, "x", of="online", patience=0):
        pass
