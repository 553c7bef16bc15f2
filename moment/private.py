"""What Moment writes is about people: it is for whoever runs Moment, and for nobody else on the machine."""

from __future__ import annotations

import os
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from moment.home import Home

_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def keep_private() -> None:
    """Let this process, and those it starts, make files and folders that only their owner can open.

    The first act of each process of ours; who imports Moment as a library keeps the mask they have.
    """
    os.umask(_OTHERS)


def make_home(home: Home) -> None:
    """Make the folder of a home, for its owner alone; one that is there stays as it is."""
    home.root.parent.mkdir(parents=True, exist_ok=True)
    home.root.mkdir(mode=stat.S_IRWXU, exist_ok=True)


def open_to_others(home: Home) -> str | None:
    """Return one line about a home that others of this machine can read, None where they cannot.

    A Moment before this one left files as the mask of its shell had them.
    """
    folders = [path for path in (home.root, home.mlruns / "artifacts") if _is_open(path)]
    folders += [path for path in home.mlruns.glob("*.db") if _is_open(path)]
    if not folders:
        return None
    listed = " ".join(str(path) for path in folders)
    return f"other users of this machine can read what is known of customers; close it: chmod -R go= {listed}"


def warn_if_open(home: Home) -> None:
    """Say on standard error what `open_to_others` found."""
    told = open_to_others(home)
    if told is not None:
        sys.stderr.write(f"moment: {told}\n")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a new file beside `path` to write to; when the block ends well it takes the place of `path`.

    Nobody else can have made the file, or lead it elsewhere: its name is drawn, and it is its owner's alone.
    Where the block fails nothing is left of it, and what was there stays.

    Raises
    ------
    OSError
        The folder takes no file, or the disk is full.
    """
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    os.close(descriptor)
    scratch = Path(name)
    try:
        yield scratch
        with scratch.open("rb") as written:
            os.fsync(written.fileno())
        scratch.replace(path)
    except BaseException:
        with suppress(OSError):
            scratch.unlink()
        raise


def write(path: Path, content: str | bytes) -> None:
    """Write a file whole or not at all, for its owner alone, also where another one was before.

    Raises
    ------
    OSError
        As `replacing`.
    """
    with replacing(path) as scratch:
        scratch.write_bytes(content.encode() if isinstance(content, str) else content)


def _is_open(path: Path) -> bool:
    """Whether others may read or enter; a group may where somebody else gave the folder to it."""
    try:
        known = path.stat()
    except OSError:
        return False
    return bool(known.st_mode & (_OTHERS if known.st_uid == os.geteuid() else stat.S_IRWXO))
