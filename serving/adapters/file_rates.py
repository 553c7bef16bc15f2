"""What keys have asked lately, in small files that all workers of a machine map into memory.

One file a key: when its next request is due, and a table of the customers it asked about this hour, each as
eight bytes of a keyed digest. A lock on the file orders the workers; it costs microseconds, and nothing waits
for the disk. What is guaranteed: whatever the number of workers, a key asks about at most its limit of
different customers in an hour of the clock, but for two customers whose digests are the same (with a million
of them: less than one chance in 10⁷ of a single such pair). Killing a worker loses nothing; with the power
the counts of the running hour may go.
"""

from __future__ import annotations

import fcntl
import hashlib
import mmap
import os
import struct
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from moment.errors import DependencyError
from serving.adapters.rates import HOUR, hour_of, next_turn
from serving.ports import Bounds

_HEADER = struct.Struct("<QQd")
"""The hour the table is of, how many of its slots are taken, the time of the next turn."""

_SLOT = struct.Struct("<Q")
_OPEN_FILES = 256


class SharedAllowance:
    """The port `Allowance` for all workers of one machine.

    Parameters
    ----------
    folder
        Where the files are.
    ref
        A keyed, stable digest of a customer id: the files hold nothing from which an id could be found.
    """

    def __init__(self, folder: Path, ref: Callable[[str], str]) -> None:
        self._folder = folder
        self._ref = ref
        self._lock = threading.Lock()
        self._files: OrderedDict[str, _KeyFile] = OrderedDict()

    def take(self, key_id: str, bounds: Bounds, now: datetime) -> float:
        """Count one request; return 0, or the seconds to wait."""
        with self._file(key_id, bounds) as file:
            return file.take(bounds, now.timestamp())

    def ask_about(self, key_id: str, customer_id: str, bounds: Bounds, now: datetime) -> float:
        """Count a customer asked about; return 0, or the seconds to wait."""
        hour, left = hour_of(now)
        named = hashlib.blake2b(f"{hour} {self._ref(customer_id)}".encode(), digest_size=8).digest()
        with self._file(key_id, bounds) as file:
            return (
                0.0 if file.add(hour, _SLOT.unpack(named)[0] or 1, bounds.customers_per_hour or 0) else left
            )

    def close(self) -> None:
        """Close every file."""
        with self._lock:
            while self._files:
                self._files.popitem()[1].close()

    @contextmanager
    def _file(self, key_id: str, bounds: Bounds) -> Iterator[_KeyFile]:
        """Give out a key's file, locked."""
        slots = _slots(bounds)
        with self._lock:
            try:
                file = self._files.get(key_id)
                if file is None or file.slots != slots:
                    file = self._open(key_id, slots)
                self._files.move_to_end(key_id)
                with file.locked():
                    yield file
            except OSError as error:
                raise DependencyError(
                    f"what keys ask cannot be counted ({error.strerror}); check the home's folder "
                    f"{self._folder.name} and its free space"
                ) from error

    def _open(self, key_id: str, slots: int) -> _KeyFile:
        if key_id in self._files:
            self._files.pop(key_id).close()
        elif len(self._files) >= _OPEN_FILES:
            self._files.popitem(last=False)[1].close()
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        # The size is part of the name: workers that know another limit of the key never share a table
        file = self._files[key_id] = _KeyFile(self._folder / f"{key_id}.{slots}", slots)
        return file


class _KeyFile:
    """The file of one key; whoever reads or writes it holds its lock."""

    def __init__(self, path: Path, slots: int) -> None:
        self.slots = slots
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        size = _HEADER.size + slots * _SLOT.size
        try:
            # Not a hole: on a full disk, writing into one kills the process
            os.posix_fallocate(self._descriptor, 0, size)
            self._bytes = mmap.mmap(self._descriptor, size)
        except OSError:
            os.close(self._descriptor)
            raise

    @contextmanager
    def locked(self) -> Iterator[None]:
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def take(self, bounds: Bounds, instant: float) -> float:
        hour, taken, turn = _HEADER.unpack_from(self._bytes)
        turn, wait = next_turn(turn, instant, bounds)
        _HEADER.pack_into(self._bytes, 0, hour, taken, turn)
        return wait

    def add(self, hour: int, named: int, limit: int) -> bool:
        """Put a name into the table of this hour; False when it is full and does not hold the name."""
        of, taken, turn = _HEADER.unpack_from(self._bytes)
        if of != hour:
            self._bytes[_HEADER.size :] = bytes(self.slots * _SLOT.size)
            taken = 0
        place = named % self.slots
        while found := self._slot(place):
            if found == named:
                return True
            place = (place + 1) % self.slots
        if taken >= limit:
            return False
        # The count comes first: whoever is killed in between has counted one too many, never one too few
        _HEADER.pack_into(self._bytes, 0, hour, taken + 1, turn)
        _SLOT.pack_into(self._bytes, _HEADER.size + place * _SLOT.size, named)
        return True

    def close(self) -> None:
        self._bytes.close()
        os.close(self._descriptor)

    def _slot(self, place: int) -> int:
        return int(_SLOT.unpack_from(self._bytes, _HEADER.size + place * _SLOT.size)[0])


def forget_old(folder: Path) -> None:
    """Remove the files of keys that have asked nothing for hours; only while no worker runs."""
    for path in folder.glob("*.*"):
        if path.stat().st_mtime < time.time() - 2 * HOUR:
            path.unlink(missing_ok=True)


def _slots(bounds: Bounds) -> int:
    """Return the size of a table that stays half empty, so that looking up stays short."""
    return 1 << (2 * (bounds.customers_per_hour or 0)).bit_length()
