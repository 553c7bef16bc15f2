"""The manifest and the folder: what a bundle states about itself, verified before anything in it is parsed.

A bundle's identity is the digest of what it *does*: format, model, kind, library versions and the SHA-256 of
every file. What is told *about* it (when, from which run, with which figures) and who signed it stay
outside, so the same data and seed give the same version.

``CURRENT`` beside the versions of a model is the last good bundle this machine served. What serves is the
champion of the ledger of lives; ``CURRENT`` is what a service falls back to where the ledger names none, or
one that is refused. Nothing here deletes a version: decision records cite them, and replay opens them again.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Self

from moment import private
from moment.errors import DependencyError, StepMissing

FORMAT = 2
"""Version of the layout this code writes; since 2 golden predictions state what was read for them."""

READABLE = (1, FORMAT)
"""Versions it reads."""

MANIFEST = "manifest.json"
SIGNATURE = "signature.json"
POINTER = "CURRENT"
_VERSION_LENGTH = 12
_MAX_FILE_BYTES = 512 * 1024 * 1024
_MOST_SAID = 80
_WAY_OUT = "restore the folder or train again"
_MAX_MANIFEST_BYTES = 1024 * 1024


UNREADABLE = (ValueError, KeyError, IndexError, TypeError, AttributeError, ArithmeticError, RecursionError)
"""What reading a file that is not what it should be raises."""


def brief(error: Exception) -> str:
    """Return what an error says in a few words: a library's may span lines and name places in its source."""
    said = " ".join(str(error).split())
    return f"{type(error).__name__}: {said[:_MOST_SAID]}" if said else type(error).__name__


class Refusal(StrEnum):
    """Why a bundle was refused. Stable: a log, a metric and a test name it."""

    MISSING_FILE = "missing_file"
    FORMAT = "format"
    DIGEST = "digest"
    GOLDEN = "golden"
    UNSIGNED = "unsigned"
    SIGNATURE = "signature"
    UNTRUSTED = "untrusted"
    CRASHED = "crashed"
    TIMEOUT = "timeout"
    MEMORY = "memory"


class BundleRefused(DependencyError):
    """A bundle is not what it says it is; nothing of it may be served.

    Parameters
    ----------
    folder
        The bundle.
    reason
        The stable reason.
    detail
        What is wrong, without a full stop.
    way_out
        What helps, where it is not the usual.
    """

    def __init__(
        self,
        folder: Path,
        reason: Refusal,
        detail: str,
        *,
        way_out: str = _WAY_OUT,
    ) -> None:
        where = f"bundle {folder.parent.name}/{folder.name}"
        super().__init__(f"{where} refused ({reason}): {detail}; {way_out}")
        self.folder = folder
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True, slots=True)
class About:
    """What is told about a bundle. Outside its digest.

    Parameters
    ----------
    created_at
        ISO 8601 instant, UTC.
    run_id
        MLflow run it came from, or empty.
    metrics
        Figures of the out-of-time test by name; an interval is ``<name>_low`` and ``<name>_high``.
    notes
        Lines people should read first: pooled actions, leak warnings, how the winner was chosen.
    data_digest
        SHA-256 of what it was trained on; empty for what is not trained.
    """

    created_at: str
    run_id: str = ""
    metrics: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    data_digest: str = ""

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Read the JSON form, ``asdict``."""
        return cls(
            created_at=str(data["created_at"]),
            run_id=str(data["run_id"]),
            metrics={str(name): float(figure) for name, figure in data["metrics"].items()},
            notes=tuple(str(note) for note in data["notes"]),
        )


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a bundle states about itself.

    Parameters
    ----------
    model
        ``propensity``, ``segmentation`` or ``next-best-action``.
    kind
        How its model file is read, e.g. ``xgboost``.
    files
        SHA-256 in hexadecimal by file name; every file but the manifest.
    libraries
        Version by library whose numbers the golden predictions depend on.
    about
        Outside the digest.
    format
        Version of the folder's layout.
    """

    model: str
    kind: str
    files: Mapping[str, str]
    libraries: Mapping[str, str]
    about: About
    format: int = FORMAT

    @property
    def digest(self) -> str:
        """SHA-256 of everything but ``about``."""
        content = {name: value for name, value in asdict(self).items() if name != "about"}
        return sha256(canonical_json(content))

    @property
    def version(self) -> str:
        """The folder's name: the first digits of the digest."""
        return self.digest[:_VERSION_LENGTH]

    def dumps(self) -> str:
        """Return the text of ``manifest.json``."""
        return json.dumps(asdict(self) | {"digest": self.digest}, indent=1, sort_keys=True, allow_nan=False)


@dataclass(frozen=True, slots=True)
class BundleFiles:
    """A bundle as it lay on the disk, verified and not yet parsed; what is parsed later is these very bytes.

    Parameters
    ----------
    folder
        Where it was read.
    manifest
        What it states about itself.
    contents
        Every file it states, by name.
    signed_by
        Name of the trusted key that signed it; empty where no signature was asked for.
    """

    folder: Path
    manifest: Manifest
    contents: Mapping[str, bytes]
    signed_by: str = ""


def canonical_json(content: object) -> bytes:
    """Return JSON with sorted keys and no white space; NaN is an error."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def sha256(content: bytes) -> str:
    """Return the SHA-256 of some bytes in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def read_manifest(folder: Path) -> Manifest:
    """Read a manifest and check that it states its own digest.

    Raises
    ------
    BundleRefused
        ``missing_file``, ``format`` or ``digest``.
    """
    return parse_manifest(folder, read_plain(folder, MANIFEST, most=_MAX_MANIFEST_BYTES))


def parse_manifest(folder: Path, text: bytes) -> Manifest:
    """Read a manifest from its text; raises as `read_manifest` does."""
    try:
        data = json.loads(text)
        format_version = int(data["format"])
        _check_format(folder, format_version)
        stated = str(data["digest"])
        manifest = Manifest(
            model=str(data["model"]),
            kind=str(data["kind"]),
            files={str(name): str(digest) for name, digest in data["files"].items()},
            libraries={str(name): str(version) for name, version in data["libraries"].items()},
            about=About.from_json(data["about"]),
            format=format_version,
        )
    except UNREADABLE as error:
        raise BundleRefused(folder, Refusal.FORMAT, f"{MANIFEST} cannot be read ({brief(error)})") from error
    if manifest.digest != stated:
        raise BundleRefused(folder, Refusal.DIGEST, f"{MANIFEST} does not match the digest it states")
    return manifest


def _check_format(folder: Path, stated: int) -> None:
    """Refuse a format this code does not read, before what else such a manifest may say."""
    if stated in READABLE:
        return
    detail = f"{MANIFEST} states format {stated}, this Moment reads up to {FORMAT}"
    way_out = "upgrade Moment" if stated > FORMAT else _WAY_OUT
    raise BundleRefused(folder, Refusal.FORMAT, detail, way_out=way_out)


def read_files(folder: Path, manifest: Manifest, *, model: str, expected: frozenset[str]) -> dict[str, bytes]:
    """Return the verified content of every file; what is parsed later is these very bytes.

    Raises
    ------
    BundleRefused
        ``format`` when it is another model's bundle or states other files; ``missing_file``; ``digest``.
    """
    if manifest.model != model:
        raise BundleRefused(folder, Refusal.FORMAT, f"it holds a {manifest.model} model, not {model}")
    if frozenset(manifest.files) != expected:
        difference = ", ".join(sorted(frozenset(manifest.files) ^ expected))
        raise BundleRefused(folder, Refusal.FORMAT, f"its list of files is wrong at {difference}")
    contents = {name: read_plain(folder, name) for name in sorted(expected)}
    for name, content in contents.items():
        if sha256(content) != manifest.files[name]:
            raise BundleRefused(
                folder, Refusal.DIGEST, f"{name} is not the file its manifest states (damaged or changed)"
            )
    return contents


def read_plain(folder: Path, name: str, *, most: int = _MAX_FILE_BYTES) -> bytes:
    """Return the content of one file of a bundle.

    Raises
    ------
    BundleRefused
        ``missing_file``; ``format`` when it is larger than `most`, or no plain file: a pipe would never end.
    """
    path = folder / name
    try:
        told = path.stat()
        if not stat.S_ISREG(told.st_mode):
            raise BundleRefused(folder, Refusal.FORMAT, f"{name} is not a plain file")
        if told.st_size > most:
            raise BundleRefused(folder, Refusal.FORMAT, f"{name} is larger than a bundle's file may be")
        return path.read_bytes()
    except OSError as error:
        detail = f"{name} cannot be read ({error.strerror or error})"
        raise BundleRefused(folder, Refusal.MISSING_FILE, detail) from error


def write_bundle(
    bundles: Path,
    *,
    model: str,
    kind: str,
    files: Mapping[str, bytes],
    libraries: Mapping[str, str],
    about: About,
) -> Path:
    """Write a bundle folder at once or not at all, and return it.

    A version that is there already is left as it is, unless one of its files is no longer what its manifest
    states: then it is replaced by what it should be.

    Parameters
    ----------
    bundles
        Folder of all bundles.
    files
        Content by plain file name.
    """
    digests = {name: sha256(content) for name, content in files.items()}
    manifest = Manifest(model=model, kind=kind, files=digests, libraries=libraries, about=about)
    folder = bundles / model / manifest.version
    if folder.exists():
        try:
            read_files(folder, read_manifest(folder), model=model, expected=frozenset(files))
        except BundleRefused:
            shutil.rmtree(folder)
        else:
            return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=".writing-", dir=folder.parent))
    try:
        for name, content in {**files, MANIFEST: manifest.dumps().encode()}.items():
            write_durably(scratch / name, content)
        scratch.rename(folder)
    except BaseException:
        shutil.rmtree(scratch, ignore_errors=True)
        raise
    return folder


def make_current(folder: Path) -> None:
    """Point ``CURRENT`` beside a bundle at it, atomically."""
    private.write(folder.parent / POINTER, f"{folder.name}\n")


def current(bundles: Path, model: str) -> Path:
    """Return the folder of the model's current bundle.

    Raises
    ------
    StepMissing
        There is none yet, or the pointer names a folder that is not there.
    """
    pointer = bundles / model / POINTER
    run = f"moment train {model}"
    if not pointer.is_file():
        raise StepMissing(f"no {model} model is trained", run=run)
    version = pointer.read_text(encoding="utf-8").strip()
    folder = bundles / model / version
    if not version or Path(version).name != version or not folder.is_dir():
        raise StepMissing(f"the current {model} model, {version!r}, is not in {folder.parent}", run=run)
    return folder


def versions(bundles: Path, model: str) -> tuple[Path, ...]:
    """Return the folders of all versions of a model, by their stated time; damaged ones first."""
    folders = [path.parent for path in (bundles / model).glob(f"[!.]*/{MANIFEST}")]
    return tuple(sorted(folders, key=lambda folder: (_stated_time(folder), folder.name)))


def _stated_time(folder: Path) -> str:
    try:
        return read_manifest(folder).about.created_at
    except BundleRefused:
        return ""


def write_durably(path: Path, content: bytes) -> None:
    """Write a file and wait until it is on the disk."""
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
