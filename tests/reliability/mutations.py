"""Bundles that are damaged or forged, in every way a file on a disk can be.

How far the forger went is told by `Care`: from a bad disk that knows of no digest, to somebody who holds a
trusted key, whose files reach the parser.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np
from numpy.random import Generator

from serving.bundles import BundleKey, read_manifest, sign_bundle
from tests.unit.serving.bundle_kit import restate

MANIFEST, SIGNATURE = "manifest.json", "signature.json"


class Care(StrEnum):
    """How far somebody went to let a changed bundle pass."""

    NONE = "as it came"
    DIGESTS = "with digests that agree"
    FOREIGN = "with digests that agree, signed by a key nobody trusts"
    TRUSTED = "with digests that agree, signed by a trusted key"


@dataclass(frozen=True)
class Specimen:
    """A sound, signed bundle to make mutants of.

    Parameters
    ----------
    name
        What it is called in messages.
    model
        Which model it is of.
    folder
        Where it lies.
    """

    name: str
    model: str
    folder: Path

    @property
    def files(self) -> list[str]:
        """Its files but manifest and signature, sorted."""
        return sorted(path.name for path in self.folder.iterdir() if path.name not in {MANIFEST, SIGNATURE})


@dataclass(frozen=True)
class Mutant:
    """A changed copy of a specimen: where it lies, what was done to it and with how much care."""

    folder: Path
    of: Specimen
    how: str
    care: Care

    def __str__(self) -> str:
        return f"{self.of.name}, {self.how}, {self.care}"


Change = Callable[[bytes, Generator], bytes]


def flip(content: bytes, rng: Generator) -> bytes:
    """Flip one bit, now and then a few: one alone is the least likely to be seen."""
    changed = bytearray(content)
    bits = 1 if rng.random() < 0.7 else int(rng.integers(2, 9))
    for place in rng.integers(0, max(len(changed), 1), bits) if changed else ():
        changed[place] ^= 1 << int(rng.integers(8))
    return bytes(changed)


def overwrite(content: bytes, rng: Generator) -> bytes:
    """Write noise over up to 8 bytes in a row."""
    start, length = int(rng.integers(0, len(content) + 1)), int(rng.integers(1, 9))
    return content[:start] + rng.bytes(length) + content[start + length :]


def truncate(content: bytes, rng: Generator) -> bytes:
    """Leave the end away."""
    return content[: int(rng.integers(0, max(len(content), 1)))]


def extend(content: bytes, rng: Generator) -> bytes:
    """Write more behind the end."""
    return content + rng.bytes(int(rng.integers(1, 65)))


def repeat(content: bytes, rng: Generator) -> bytes:
    """Write a part of it twice."""
    start, end = sorted(int(place) for place in rng.integers(0, len(content) + 1, 2))
    return content[:end] + content[start:end] + content[end:]


def nest(content: bytes, rng: Generator) -> bytes:
    """Put what only a parser that recurses would follow to its end."""
    return b"[" * 200_000


CHANGES: Sequence[Change] = (
    flip,
    flip,
    flip,
    flip,
    flip,
    overwrite,
    overwrite,
    truncate,
    extend,
    repeat,
    nest,
)
"""What is done to a file; bits flip most often."""


def mutants(
    specimens: Sequence[Specimen],
    into: Path,
    *,
    count: int,
    seed: int,
    trusted: BundleKey,
    model_file_share: float = 0.5,
) -> Iterator[Mutant]:
    """Yield changed copies, in turn of every specimen.

    Parameters
    ----------
    into
        A folder for the copies; one is taken away when the next is asked for.
    trusted
        The key a careful forger has got hold of.
    model_file_share
        How often the largest file is the one that is changed.
    """
    rng = np.random.default_rng(seed)
    kinds = (_changed, _changed, _changed, _changed, _changed, _foreign_file, _swapped, _unsigned)
    for number in range(count):
        specimen = specimens[number % len(specimens)]
        folder = into / str(number) / specimen.model / specimen.folder.name
        shutil.copytree(specimen.folder, folder)
        kind = kinds[int(rng.integers(len(kinds)))]
        how = kind(folder, specimen, specimens, rng, model_file_share)
        cares = (Care.NONE,) if how in _NO_DIGEST_HELPS else (*Care, Care.TRUSTED, Care.TRUSTED)
        care = cares[int(rng.integers(len(cares)))]
        yield Mutant(_cared_for(folder, care, trusted), specimen, how, care)
        shutil.rmtree(into / str(number))


_BROKEN_MANIFEST = "broken manifest"
_UNSIGNED = "unsigned"
_BORROWED = "signature of another bundle"
_NO_DIGEST_HELPS = (_BROKEN_MANIFEST, _UNSIGNED, _BORROWED)


def _changed(
    folder: Path, specimen: Specimen, others: Sequence[Specimen], rng: Generator, model_file_share: float
) -> str:
    """Change one file; now and then manifest or signature."""
    if rng.random() < 0.1:
        name = (MANIFEST, SIGNATURE)[int(rng.integers(2))]
        _apply(folder / name, rng)
        return _BROKEN_MANIFEST
    files = specimen.files
    largest = max(files, key=lambda name: (folder / name).stat().st_size)
    name = largest if rng.random() < model_file_share else files[int(rng.integers(len(files)))]
    return f"{_apply(folder / name, rng)} {name}"


def _apply(file: Path, rng: Generator) -> str:
    """Change a file until it is another."""
    content = file.read_bytes()
    while True:
        change = CHANGES[int(rng.integers(len(CHANGES)))]
        changed = change(content, rng)
        if changed != content:
            file.write_bytes(changed)
            return change.__name__


def _foreign_file(
    folder: Path, specimen: Specimen, others: Sequence[Specimen], rng: Generator, model_file_share: float
) -> str:
    """Take a file from another bundle of the same model, where there is one with a file of that name."""
    name = specimen.files[int(rng.integers(len(specimen.files)))]
    own = (folder / name).read_bytes()
    foreign = [
        (other.folder / name).read_bytes()
        for other in others
        if other.model == specimen.model and (other.folder / name).is_file()
    ]
    different = [content for content in foreign if content != own]
    if not different:
        return _changed(folder, specimen, others, rng, model_file_share)
    (folder / name).write_bytes(different[int(rng.integers(len(different)))])
    return f"another bundle's {name}"


def _swapped(
    folder: Path, specimen: Specimen, others: Sequence[Specimen], rng: Generator, model_file_share: float
) -> str:
    """Let two files change places."""
    first, second = rng.choice(specimen.files, 2, replace=False)
    own, other = (folder / first).read_bytes(), (folder / second).read_bytes()
    (folder / first).write_bytes(other)
    (folder / second).write_bytes(own)
    return f"{first} and {second} swapped"


def _unsigned(
    folder: Path, specimen: Specimen, others: Sequence[Specimen], rng: Generator, model_file_share: float
) -> str:
    """Take the signature away, or put another bundle's in its place."""
    (folder / SIGNATURE).unlink()
    if rng.random() < 0.5:
        return _UNSIGNED
    borrowed = [other for other in others if other != specimen][int(rng.integers(len(others) - 1))]
    shutil.copy(borrowed.folder / SIGNATURE, folder / SIGNATURE)
    return _BORROWED


def _cared_for(folder: Path, care: Care, trusted: BundleKey) -> Path:
    """Let as much agree with the change as the forger cares for, the folder's name with its digest too."""
    if care is Care.NONE:
        return folder
    restate(folder)
    folder = folder.rename(folder.parent / read_manifest(folder).version)
    if care is not Care.DIGESTS:
        sign_bundle(folder, trusted if care is Care.TRUSTED else BundleKey.new())
    return folder
