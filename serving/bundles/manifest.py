"""The manifest and the folder: what a bundle states about itself, verified before anything in it is parsed.

A bundle's identity is the digest of what it *does*: format, model, kind, library versions and the SHA-256 of
every file. What is told *about* it (when, from which run, with which figures) stays outside, so the same data
and seed give the same version. Parsing a model in a killable child process is still to come; until then the
digests are what stands between a damaged file and the parser.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Self

from moment.errors import DependencyError, StepMissing

FORMAT = 1
"""Version of the folder's layout this code writes and reads."""

MANIFEST = "manifest.json"
POINTER = "CURRENT"
_VERSION_LENGTH = 12
_MAX_FILE_BYTES = 512 * 1024 * 1024


class Refusal(StrEnum):
    """Why a bundle was refused. Stable: a log, a metric and a test name it."""

    MISSING_FILE = "missing_file"
    FORMAT = "format"
    DIGEST = "digest"
    GOLDEN = "golden"


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
    """

    def __init__(self, folder: Path, reason: Refusal, detail: str) -> None:
        where = f"bundle {folder.parent.name}/{folder.name}"
        super().__init__(f"{where} refused ({reason}): {detail}; restore the folder or train again")
        self.folder = folder
        self.reason = reason


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
    """

    created_at: str
    run_id: str = ""
    metrics: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Read the JSON form, ``asdict``."""
        return cls(data["created_at"], data["run_id"], dict(data["metrics"]), tuple(data["notes"]))


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a bundle states about itself.

    Parameters
    ----------
    model
        ``propensity`` or ``segmentation``.
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
        return hashlib.sha256(canonical_json(content)).hexdigest()

    @property
    def version(self) -> str:
        """The folder's name: the first digits of the digest."""
        return self.digest[:_VERSION_LENGTH]

    def dumps(self) -> str:
        """Return the text of ``manifest.json``."""
        return json.dumps(asdict(self) | {"digest": self.digest}, indent=1, sort_keys=True, allow_nan=False)


def canonical_json(content: object) -> bytes:
    """Return JSON with sorted keys and no white space; NaN is an error."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def read_manifest(folder: Path) -> Manifest:
    """Read a manifest and check that it states its own digest.

    Raises
    ------
    BundleRefused
        ``missing_file``, ``format`` or ``digest``.
    """
    text = _read(folder, MANIFEST)
    try:
        data = json.loads(text)
        format_version = int(data["format"])
        stated = str(data["digest"])
        manifest = Manifest(
            model=str(data["model"]),
            kind=str(data["kind"]),
            files={str(name): str(digest) for name, digest in data["files"].items()},
            libraries={str(name): str(version) for name, version in data["libraries"].items()},
            about=About.from_json(data["about"]),
            format=format_version,
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BundleRefused(folder, Refusal.FORMAT, f"{MANIFEST} cannot be read ({error!r})") from error
    if format_version != FORMAT:
        detail = f"{MANIFEST} states format {format_version}, this version of Moment reads format {FORMAT}"
        raise BundleRefused(folder, Refusal.FORMAT, detail)
    if manifest.digest != stated:
        raise BundleRefused(folder, Refusal.DIGEST, f"{MANIFEST} does not match the digest it states")
    return manifest


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
    contents = {name: _read(folder, name) for name in sorted(expected)}
    for name, content in contents.items():
        if hashlib.sha256(content).hexdigest() != manifest.files[name]:
            raise BundleRefused(
                folder, Refusal.DIGEST, f"{name} is not the file its manifest states (damaged or changed)"
            )
    return contents


def _read(folder: Path, name: str) -> bytes:
    path = folder / name
    try:
        if path.stat().st_size > _MAX_FILE_BYTES:
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
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
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
            _write_durably(scratch / name, content)
        scratch.chmod(0o755)
        scratch.rename(folder)
    except BaseException:
        shutil.rmtree(scratch, ignore_errors=True)
        raise
    return folder


def make_current(folder: Path) -> None:
    """Point ``CURRENT`` beside a bundle at it, atomically."""
    scratch = folder.parent / f".{POINTER}-{os.getpid()}"
    _write_durably(scratch, f"{folder.name}\n".encode())
    scratch.replace(folder.parent / POINTER)


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


def _write_durably(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
