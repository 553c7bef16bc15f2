"""A shim between SQLite and the disk: it notes what is written and flushed, and can refuse either."""

from __future__ import annotations

import _sqlite3
import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

FULL, SYNC_FAILED = 13, 1034
"""What SQLite calls a full disk, and a flush that failed."""

_METHODS = (
    *("close", "read", "write", "truncate", "sync", "file_size", "lock", "unlock", "check_reserved_lock"),
    *("file_control", "sector_size", "device_characteristics", "shm_map", "shm_lock", "shm_barrier"),
    *("shm_unmap", "fetch", "unfetch"),
)


class _IoMethods(ctypes.Structure):
    _fields_ = (("version", ctypes.c_int), *((name, ctypes.c_void_p) for name in _METHODS))


class _File(ctypes.Structure):
    _fields_ = (("methods", ctypes.POINTER(_IoMethods)),)


class _Vfs(ctypes.Structure):
    _fields_ = (
        ("version", ctypes.c_int),
        ("file_size", ctypes.c_int),
        ("longest_path", ctypes.c_int),
        ("next", ctypes.c_void_p),
        ("name", ctypes.c_char_p),
        ("data", ctypes.c_void_p),
        ("open", ctypes.c_void_p),
        *((f"method_{number}", ctypes.c_void_p) for number in range(15)),
    )


_FilePointer = ctypes.POINTER(_File)
_Open = ctypes.CFUNCTYPE(
    ctypes.c_int,
    ctypes.c_void_p,
    ctypes.c_void_p,  # the name: SQLite keeps this very pointer, a copy would not last
    ctypes.c_void_p,
    ctypes.c_int,
    ctypes.c_void_p,
)
_Write = ctypes.CFUNCTYPE(ctypes.c_int, _FilePointer, ctypes.c_void_p, ctypes.c_int, ctypes.c_int64)
_Sync = ctypes.CFUNCTYPE(ctypes.c_int, _FilePointer, ctypes.c_int)


@dataclass
class Disk:
    """What happens to write-ahead logs in `folder`; `refuse` lets writing or flushing them fail."""

    folder: Path
    events: list[str] = field(default_factory=list)
    refuse: dict[str, int] = field(default_factory=dict)

    def note(self, event: str) -> int:
        """Note an event; return what SQLite is told of it, 0 where it may go on."""
        self.events.append(event if event not in self.refuse else f"{event} refused")
        return self.refuse.get(event, 0)


class Shim:
    """The VFS itself, over the one SQLite uses. Whatever it opened must be closed before it goes."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self._library = ctypes.CDLL(_sqlite3.__file__)
        self._library.sqlite3_vfs_find.restype = ctypes.POINTER(_Vfs)
        self._below = self._library.sqlite3_vfs_find(None)
        self._vfs = _Vfs.from_buffer_copy(self._below.contents)
        self._vfs.name = b"shim"
        self._opened = _Open(self._open)
        self._vfs.open = ctypes.cast(self._opened, ctypes.c_void_p).value
        self._kept: list[object] = []

    def register(self) -> None:
        """Let SQLite use it for all it opens from now on."""
        assert self._library.sqlite3_vfs_register(ctypes.byref(self._vfs), 1) == 0

    def withdraw(self) -> None:
        """Let SQLite open what comes as it did before."""
        assert self._library.sqlite3_vfs_unregister(ctypes.byref(self._vfs)) == 0
        assert self._library.sqlite3_vfs_register(self._below, 1) == 0

    def _open(  # SQLite's signature
        self, _: int, name: int | None, file: int, flags: int, told: int | None
    ) -> int:
        below = _Open(self._below.contents.open)
        result = below(ctypes.cast(self._below, ctypes.c_void_p), name, file, flags, told)
        path = "" if name is None else ctypes.string_at(name).decode()
        if result == 0 and path.endswith("-wal") and Path(path).is_relative_to(self._disk.folder):
            self._watch(ctypes.cast(file, _FilePointer).contents)
        return int(result)

    def _watch(self, file: _File) -> None:
        methods = _IoMethods.from_buffer_copy(file.methods.contents)
        write, sync = _Write(methods.write), _Sync(methods.sync)
        watched_write = _Write(lambda *args: self._disk.note("write") or write(*args))
        watched_sync = _Sync(lambda *args: self._disk.note("sync") or sync(*args))
        methods.write = ctypes.cast(watched_write, ctypes.c_void_p).value
        methods.sync = ctypes.cast(watched_sync, ctypes.c_void_p).value
        self._kept += [methods, watched_write, watched_sync, write, sync]
        file.methods = ctypes.pointer(methods)


@contextmanager
def shimmed(folder: Path) -> Iterator[Disk]:
    """Watch the write-ahead logs of databases that are opened, and closed, within."""
    disk = Disk(folder)
    shim = Shim(disk)
    shim.register()
    try:
        yield disk
    finally:
        shim.withdraw()
