"""A bundle is proved in a child process that may die of it, before it is parsed where decisions are made.

A file that is made or damaged just so can end the process that parses it, never let it return, or fill its
memory. So digest and signature are checked here, on bytes; a child is given these bytes through a pipe,
parses them and reproduces the golden predictions; and only when it says so are the same bytes parsed here.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import IO, Self

import msgspec

import serving
from moment.errors import InvariantViolation
from serving.bundles import policy, propensity, segmentation
from serving.bundles.manifest import BundleFiles, BundleRefused, Refusal, read_manifest
from serving.bundles.policy import PolicyBundle, policy_of
from serving.bundles.propensity import PropensityBundle, propensity_of
from serving.bundles.proving_child import LENGTH_BYTES, Finding, Task
from serving.bundles.segmentation import SegmentationBundle, segmentation_of
from serving.bundles.signing import BundleKey, Trust, sign_bundle

SECONDS = 20.0
"""How long a proof may take, the start of the child included."""

MEMORY_MIB = 2048
"""How much address space a proof may take."""

_MOST_ANSWERED = 64 * 1024
_PASSED_ON = ("PATH", "LD_LIBRARY_PATH", "LANG", "LC_ALL", "TZ", "TZDIR", "PYTHONTZPATH")
_READERS: dict[str, Callable[..., BundleFiles]] = {
    propensity.MODEL: propensity.read_propensity,
    segmentation.MODEL: segmentation.read_segmentation,
    policy.MODEL: policy.read_policy,
}


@dataclass(frozen=True, slots=True)
class Proved:
    """A bundle that a child opened and whose golden predictions it reproduced.

    Parameters
    ----------
    digest
        Of the bundle.
    files
        The very bytes that were proved: what is opened is these, not what lies on the disk later.
    """

    digest: str
    files: BundleFiles


class Prover:
    """A child that proves bundles, one after the other; a new one follows on one that dies.

    A child that has read a bundle made to harm is not to be believed about the next one: what serves uses a
    child for one bundle. Several share one only where the bundles are all one's own.

    Parameters
    ----------
    seconds, memory_mib
        What each proof may take.
    """

    def __init__(self, *, seconds: float = SECONDS, memory_mib: int | None = MEMORY_MIB) -> None:
        self._seconds = seconds
        self._memory_mib = memory_mib
        self._child: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        """Return the prover; the child starts with the first bundle."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the child."""
        self.close()

    def close(self) -> None:
        """End the child, if there is one."""
        if self._child is not None:
            _end(self._child)
            self._child = None

    def prove(self, files: BundleFiles) -> Proved:
        """Let the child parse a verified bundle and reproduce its golden predictions.

        Raises
        ------
        BundleRefused
            With the reason; ``crashed``, ``timeout`` and ``memory`` are the child's end.
        """
        deadline = time.monotonic() + self._seconds
        if self._child is None:
            self._child = _start()
        task = Task(
            model=files.manifest.model,
            folder=str(files.folder),
            manifest=files.manifest.dumps().encode(),
            contents=dict(files.contents),
            seconds=self._seconds,
            memory_mib=self._memory_mib,
        )
        # In a thread: a child that does not read must not hold up who waits for it
        feeding = Thread(target=_feed, args=(_pipe(self._child.stdin), task), daemon=True)
        feeding.start()
        line = _line(_pipe(self._child.stdout).fileno(), deadline)
        finding = self._finding(self._child, line)
        if line is None or finding.refused in {Refusal.CRASHED, Refusal.MEMORY}:
            self.close()
        feeding.join()
        if finding.refused is not None:
            raise BundleRefused(files.folder, finding.refused, finding.detail)
        if finding.digest != files.manifest.digest:
            raise BundleRefused(
                files.folder, Refusal.CRASHED, "the child that was to prove it told of another"
            )
        return Proved(finding.digest, files)

    def _finding(self, child: subprocess.Popen[bytes], line: bytes | None) -> Finding:
        """Return what the child said, or what its end says."""
        if line is None:
            return Finding(refused=Refusal.TIMEOUT, detail=f"its proof took more than {self._seconds:g} s")
        if not line:
            return self._end_of(child)
        try:
            return msgspec.json.decode(line, type=Finding)
        except msgspec.MsgspecError:
            return Finding(refused=Refusal.CRASHED, detail="the child that was to prove it answered nonsense")

    def _end_of(self, child: subprocess.Popen[bytes]) -> Finding:
        try:
            code = child.wait(timeout=1.0)
        except subprocess.TimeoutExpired:
            return Finding(refused=Refusal.CRASHED, detail="the child that was to prove it answered nonsense")
        if code in {-signal.SIGXCPU, -signal.SIGALRM}:
            return Finding(refused=Refusal.TIMEOUT, detail=f"its proof took more than {self._seconds:g} s")
        how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        return Finding(refused=Refusal.CRASHED, detail=f"the child that was to prove it ended with {how}")


def prove(
    folder: Path,
    *,
    model: str,
    trusted: Trust | None,
    digest: str | None = None,
    seconds: float = SECONDS,
    memory_mib: int | None = MEMORY_MIB,
) -> Proved:
    """Verify digest and signature of a bundle, and let a child of its own parse it and reproduce it.

    Parameters
    ----------
    folder
        The bundle.
    model
        What it must be: ``propensity``, ``segmentation`` or ``next-best-action``.
    trusted
        Whose signatures are believed; None asks for no signature (only to sign it afterwards).
    digest
        What its digest must be, as the ledger or a record states it; None takes what its folder's name says.
    seconds, memory_mib
        What the proof may take.

    Raises
    ------
    BundleRefused
        With the reason; ``crashed``, ``timeout`` and ``memory`` are the child's end.
    """
    files = _READERS[model](folder, trusted=trusted, digest=digest)
    if digest is None and files.manifest.version != folder.name:
        detail = f"it is version {files.manifest.version}, not what its folder is called"
        raise BundleRefused(folder, Refusal.DIGEST, detail)
    with Prover(seconds=seconds, memory_mib=memory_mib) as prover:
        return prover.prove(files)


def open_proved_propensity(
    folder: Path, trusted: Trust | None, *, digest: str | None = None
) -> PropensityBundle:
    """Prove and open a propensity bundle."""
    found = prove(folder, model=propensity.MODEL, trusted=trusted, digest=digest)
    return propensity_of(found.files, proved=True)


def open_proved_segmentation(
    folder: Path, trusted: Trust | None, *, digest: str | None = None
) -> SegmentationBundle:
    """Prove and open a segmentation bundle."""
    return segmentation_of(prove(folder, model=segmentation.MODEL, trusted=trusted, digest=digest).files)


def open_proved_policy(folder: Path, trusted: Trust | None, *, digest: str | None = None) -> PolicyBundle:
    """Prove and open a policy bundle."""
    return policy_of(prove(folder, model=policy.MODEL, trusted=trusted, digest=digest).files)


def vouch(folder: Path, key: BundleKey) -> Proved:
    """Prove a bundle that nobody signed, or somebody else, and sign it: what `moment models sign` does.

    Raises
    ------
    BundleRefused
        It is damaged, or cannot be proved: then it is not signed.
    """
    proved = prove(folder, model=read_manifest(folder).model, trusted=None)
    sign_bundle(folder, key, manifest=proved.files.manifest)
    return proved


def _start() -> subprocess.Popen[bytes]:
    """Start a child that shares nothing but the pipes: no session, no secrets of the environment."""
    paths = [str(Path(serving.__file__).parents[1]), *filter(None, sys.path)]
    environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ} | {
        "PYTHONPATH": os.pathsep.join(dict.fromkeys(paths)),
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }
    return subprocess.Popen(
        [sys.executable, "-P", "-c", "from serving.bundles.proving_child import main; main()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment,
        cwd="/",
        start_new_session=True,
    )


def _end(child: subprocess.Popen[bytes]) -> None:
    child.kill()
    child.wait()
    for pipe in (child.stdin, child.stdout):
        with suppress(OSError):
            _pipe(pipe).close()


def _feed(pipe: IO[bytes], task: Task) -> None:
    frame = msgspec.msgpack.encode(task)
    # A child that died meanwhile is told of by its other pipe
    with suppress(OSError, ValueError):
        pipe.write(len(frame).to_bytes(LENGTH_BYTES, "big"))
        pipe.write(frame)
        pipe.flush()


def _line(descriptor: int, deadline: float) -> bytes | None:
    """Return the line a child answers; empty when it ended or said too much, None when time is up."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    line = b""
    while not line.endswith(b"\n"):
        left = deadline - time.monotonic()
        if left <= 0 or not poll.poll(left * 1000):
            return None
        part = os.read(descriptor, _MOST_ANSWERED)
        line += part
        if not part or len(line) > _MOST_ANSWERED:
            return b""
    return line


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    if pipe is None:
        raise InvariantViolation("a child was started without a pipe")
    return pipe
