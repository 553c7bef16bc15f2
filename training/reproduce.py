"""Making a version again from what is on record, and saying what differs when it comes out another one."""

from __future__ import annotations

import hashlib
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from moment.errors import ConfigurationError, DependencyError
from moment.home import Home
from moment.progress import step
from serving.bundles import BundleRefused, Manifest, read_manifest

if TYPE_CHECKING:
    import pyarrow as pa

    from training.archive import Recipe

POLICY = "next-best-action"
_VERSION = 12


@dataclass(frozen=True, slots=True)
class Reproduced:
    """What came of making a version again.

    Parameters
    ----------
    model, version
        Which.
    expected, digest
        SHA-256 of the bundle as it was and as it is now; the second is empty where it could not be made.
    same
        Whether they are equal.
    differences
        What is not as it was then, in lines for people; may name things that made no difference.
    seconds
        How long it took.
    """

    model: str
    version: str
    expected: str
    digest: str
    same: bool
    differences: tuple[str, ...]
    seconds: float


def reproduce(home: Home, bundle_folder: Path) -> Reproduced:
    """Make a version again: refit recorded parameters on recorded rows, without search and time budget.

    A next-best-action version is made again of its own catalogue.

    Parameters
    ----------
    home
        Where recipes and rows are kept.
    bundle_folder
        ``bundles/<model>/<version>``. The version is made again even where its bundle is damaged or gone.

    Raises
    ------
    StepMissing
        How it was made is not on record.
    """
    started = time.monotonic()
    model, version = bundle_folder.parent.name, bundle_folder.name
    if model == POLICY:
        expected, again, differences = _policy_again(bundle_folder)
    else:
        expected, again, differences = _model_again(home, bundle_folder)
    digest = "" if again is None else again.digest
    return Reproduced(
        model=model,
        version=version,
        expected=expected,
        digest=digest,
        same=digest == expected,
        differences=differences,
        seconds=round(time.monotonic() - started, 1),
    )


def _model_again(home: Home, folder: Path) -> tuple[str, Manifest | None, tuple[str, ...]]:
    from features import kept_rows
    from training.archive import find_recipe

    recipe = find_recipe(home, folder.parent.name, folder.name)
    differences = _surroundings(recipe)
    stated, complaint = _stated(folder)
    differences += complaint
    try:
        rows, kept = kept_rows.read(home, recipe.rows)
    except DependencyError as error:
        return recipe.digest, None, (*differences, str(error))
    if kept.erased:
        differences += (f"{kept.erased:,} of {kept.rows:,} rows are gone: their customers were erased",)
    if not rows.num_rows:
        return recipe.digest, None, differences
    again = _rebuilt(recipe, rows)
    if again.digest != recipe.digest and stated is not None:
        differences += _files(stated, again)
    return recipe.digest, again, differences


def _rebuilt(recipe: Recipe, rows: pa.Table) -> Manifest:
    rebuild = _rebuilder(recipe.model)
    with (
        step(f"Fit {recipe.kind} again on {rows.num_rows:,} rows"),
        tempfile.TemporaryDirectory(prefix="moment-") as scratch,
    ):
        return read_manifest(rebuild(recipe, rows, Path(scratch)))


def _rebuilder(model: str) -> Callable[[Recipe, pa.Table, Path], Path]:
    if model == "propensity":
        from training.pipelines.propensity import reproducing as propensity

        return propensity.rebuild
    if model == "segmentation":
        from training.pipelines.segmentation import reproducing as segmentation

        return segmentation.rebuild
    raise ConfigurationError(f"no model is called {model!r}; there are segmentation, propensity and {POLICY}")


def _surroundings(recipe: Recipe) -> tuple[str, ...]:
    """Return what a fit may depend on and is not as it was."""
    from training import archive

    now = archive.libraries()
    told = [
        f"{name} is {now.get(name, 'missing')}, it was {was}"
        for name, was in recipe.libraries.items()
        if now.get(name) != was
    ]
    if archive.machine() != recipe.machine:
        told.append(f"this machine is {archive.machine()}, it was {recipe.machine}")
    if archive.code() != recipe.code:
        told.append(f"Moment's code is {archive.code()[:_VERSION]}, it was {recipe.code[:_VERSION]}")
    return tuple(told)


def _stated(folder: Path) -> tuple[Manifest | None, tuple[str, ...]]:
    """Return what the bundle states of itself, or what is wrong with it."""
    try:
        manifest = read_manifest(folder)
    except BundleRefused as refused:
        return None, (str(refused),)
    wrong = []
    for name, digest in manifest.files.items():
        file = folder / name
        if not file.is_file():
            wrong.append(f"{name} of the bundle is gone")
        elif hashlib.sha256(file.read_bytes()).hexdigest() != digest:
            wrong.append(f"{name} of the bundle is damaged: it is not the file its manifest states")
    return manifest, tuple(wrong)


def _files(was: Manifest, now: Manifest) -> tuple[str, ...]:
    """Return in what two bundles differ."""
    told = [f"{name} comes out differently" for name in was.files if was.files[name] != now.files.get(name)]
    if was.libraries != now.libraries:
        told.append(f"the bundle states {dict(now.libraries)}, it stated {dict(was.libraries)}")
    return tuple(told)


def _policy_again(folder: Path) -> tuple[str, Manifest | None, tuple[str, ...]]:
    """Build a policy's bundle of its own text: what it does is all in there, no data and no chance."""
    from serving.bundles import About
    from serving.bundles.policy import open_policy, write_policy

    stated, wrong = _stated(folder)
    if stated is None or wrong:
        return folder.name, None, wrong
    policy = open_policy(folder)
    with tempfile.TemporaryDirectory(prefix="moment-") as scratch:
        source = Path(scratch) / "catalogue.yaml"
        source.write_bytes(policy.source)
        again = read_manifest(
            write_policy(
                Path(scratch),
                source,
                policy.catalogue,
                policy.columns,
                golden=policy.golden,
                about=About(created_at=""),
            )
        )
    return stated.digest, again, _files(stated, again)
