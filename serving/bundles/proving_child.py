"""The child that proves bundles: it reads them from a pipe, and may die of one without harm to anybody.

`serving.bundles.proving` starts it. It reads frames (a length of 8 bytes, then a `Task` as MessagePack) and
answers each with one line of JSON, a `Finding`.
"""

from __future__ import annotations

import os
import resource
import signal
import sys
from pathlib import Path
from typing import BinaryIO

import msgspec

from moment.private import keep_private
from serving.bundles.manifest import BundleFiles, BundleRefused, Refusal, parse_manifest

LENGTH_BYTES = 8
_NICE = 5
_MIB = 1024 * 1024


class Task(msgspec.Struct, frozen=True):
    """A bundle to prove.

    Parameters
    ----------
    model
        What it is.
    folder
        Where it was read: for messages.
    manifest
        The text of its manifest.
    contents
        Its files by name.
    seconds, memory_mib
        What the proof may take.
    """

    model: str
    folder: str
    manifest: bytes
    contents: dict[str, bytes]
    seconds: float
    memory_mib: int | None


class Finding(msgspec.Struct, frozen=True):
    """What came of it: the digest that was proved, or why it is refused."""

    digest: str = ""
    refused: Refusal | None = None
    detail: str = ""


def main() -> None:
    """Prove what comes down the pipe until it ends."""
    keep_private()
    # The library prints warnings where answers belong
    answers = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    os.nice(_NICE)
    # No memory of what was proved is left on the disk by one that crashes
    _at_most(resource.RLIMIT_CORE, 0)
    # scikit-learn is not needed to read trees, and takes most of the time of importing what reads them
    sys.modules["sklearn"] = None  # type: ignore[assignment]
    while (task := _next(sys.stdin.buffer)) is not None:
        os.write(answers, msgspec.json.encode(_finding(task)) + b"\n")


def _next(source: BinaryIO) -> Task | None:
    length = int.from_bytes(source.read(LENGTH_BYTES), "big")
    return msgspec.msgpack.decode(source.read(length), type=Task) if length else None


def _finding(task: Task) -> Finding:
    _limit(task)
    try:
        return Finding(digest=_prove(task))
    except BundleRefused as error:
        return Finding(refused=error.reason, detail=error.detail)
    except MemoryError:
        return Finding(refused=Refusal.MEMORY, detail=f"reading it takes more than {task.memory_mib} MiB")
    except Exception as error:  # noqa: BLE001 - whatever a file made to harm brings about is its refusal
        return Finding(refused=Refusal.FORMAT, detail=f"it cannot be read ({type(error).__name__})")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _limit(task: Task) -> None:
    """Bound memory and time from within, too: a child whose parent is gone must end."""
    if task.memory_mib is not None:
        _at_most(resource.RLIMIT_AS, task.memory_mib * _MIB)
    used = resource.getrusage(resource.RUSAGE_SELF)
    _at_most(resource.RLIMIT_CPU, int(used.ru_utime + used.ru_stime + task.seconds) + 2)
    signal.setitimer(signal.ITIMER_REAL, task.seconds + 1.0)


def _at_most(limit: int, value: int) -> None:
    _, hard = resource.getrlimit(limit)
    resource.setrlimit(limit, (value if hard == resource.RLIM_INFINITY else min(value, hard), hard))


def _prove(task: Task) -> str:
    """Parse a bundle and reproduce its golden predictions; return its digest."""
    from serving.bundles.policy import policy_of
    from serving.bundles.propensity import propensity_of
    from serving.bundles.segmentation import segmentation_of

    folder = Path(task.folder)
    files = BundleFiles(folder, parse_manifest(folder, task.manifest), task.contents)
    match task.model:
        case "propensity":
            return propensity_of(files).digest
        case "segmentation":
            return segmentation_of(files).digest
        case _:
            return policy_of(files).digest
