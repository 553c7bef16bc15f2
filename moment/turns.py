"""Whose turn it is to write the files of a home, among all threads and processes.

A turn is a lock on a file of the home: it ends with whoever has it, also when that process is killed. Beside
it stands what is being done, so that who waits too long is told what for.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from moment.errors import DependencyError
from moment.home import Home
from moment.private import make_home

FILES = "files"
"""The turn for lake, quarantine, snapshots and kept rows."""

PATIENCE = 600.0
"""Seconds to wait for a turn, unless somebody says otherwise."""

_PAUSE_SECONDS = 0.05

_held = threading.local()


@contextmanager
def turn(
    home: Home, doing: str, *, of: str = FILES, shared: bool = False, patience: float = PATIENCE
) -> Iterator[None]:
    """Wait for the turn and hold it; a thread that has one alone may take it again.

    Parameters
    ----------
    home
        Whose files.
    doing
        What is done, for others to be told: ``an ingest of shop``.
    of
        Which turn; each is a lock of its own.
    shared
        Several may have it at a time if they all share it.
    patience
        Seconds to wait at most.

    Raises
    ------
    DependencyError
        Others had it all the time.
    """
    mine = _mine()
    place = (home.root, of)
    if place in mine:
        yield
        return
    folder = _folder(home)
    make_home(home)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{of}.lock").open("a") as lock:
        _take(lock, fcntl.LOCK_SH if shared else fcntl.LOCK_EX, home, (doing, of), patience)
        try:
            under_way(home, of)  # which takes away what killed ones have left
            with _told(folder, of, doing):
                if not shared:
                    mine.add(place)
                yield
        finally:
            mine.discard(place)
            # Not left to closing: a child that was forked meanwhile has the file open, too
            fcntl.flock(lock, fcntl.LOCK_UN)


def under_way(home: Home, of: str = FILES) -> tuple[str, ...]:
    """Return what is being done in a turn now, since when; what a killed process left is taken away."""
    found = []
    for note in sorted(_folder(home).glob(f"{of}.*.doing")):
        try:
            with note.open() as content:
                if _locked(content, fcntl.LOCK_SH):
                    note.unlink(missing_ok=True)
                elif text := content.read():
                    found.append(text)
        except FileNotFoundError:
            continue
    return tuple(found)


def _mine() -> set[tuple[Path, str]]:
    mine: set[tuple[Path, str]] | None = getattr(_held, "turns", None)
    if mine is None:
        mine = _held.turns = set()
    return mine


def _folder(home: Home) -> Path:
    return home.root / "turns"


def _take(lock: IO[str], kind: int, home: Home, asked: tuple[str, str], patience: float) -> None:
    doing, of = asked
    end = time.monotonic() + patience
    while not _locked(lock, kind):
        if time.monotonic() > end:
            others = " and ".join(under_way(home, of)) or "another process"
            raise DependencyError(
                f"{doing} has waited {patience:.0f} s for {others}; try again when that is done"
            )
        time.sleep(_PAUSE_SECONDS)


def _locked(file: IO[str], kind: int) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def _told(folder: Path, of: str, doing: str) -> Iterator[None]:
    """Let others read what is being done, as long as it is."""
    path = folder / f"{of}.{os.getpid()}-{secrets.token_hex(4)}.doing"
    with path.open("w") as note:
        fcntl.flock(note, fcntl.LOCK_EX)
        note.write(f"{doing} (since {datetime.now(UTC):%H:%M:%SZ})")
        note.flush()
        try:
            yield
        finally:
            path.unlink(missing_ok=True)
