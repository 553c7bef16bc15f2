"""``moment package``: Bentos that stand alone, with code, requirements and what serves in this home.

A Bento's version is the SHA-256 of what is in it: the same code and the same champions make the same Bento.
"""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import serving
from moment import __version__
from moment.errors import DependencyError
from moment.home import Home
from serving.bundles import make_current, prove
from serving.bundles.manifest import MANIFEST, read_manifest
from serving.bundles.signing import TRUST_FILE, Trust
from serving.lifecycle import Book, Model
from serving.opening import catalogue_path
from serving.packaging.building import ENTRY
from serving.packaging.packaged import CATALOGUE_FILE, FOLDER, QUIET, book_of, in_service
from serving.packaging.reach import Reached, reach, source_of
from serving.packaging.requirements import ALWAYS, LEFT_OUT, LOCK, Lock
from serving.settings import Settings

OURS = ("moment", "features", "feature_repo", "serving")
"""Packages a Bento may hold; training is none of them."""

_DYNAMIC = ("serving.packaging.building", "serving.bundles.proving_child", "serving.packaging.packaged")
"""What every Bento runs without importing it by name."""

_DATA = ("serving/catalogue/examples/*.yaml", "serving/adapters/migrations/**/*.py", "feature_repo/*.yaml")
_VERSION_LETTERS = 12
_BUILD_SECONDS = 300
_MIB = 2**20


class Service(StrEnum):
    """What can be packaged."""

    DECISIONING = "Decisioning"
    SEGMENTATION = "Segmentation"
    PROPENSITY = "Propensity"
    NEXT_BEST_ACTION = "NextBestAction"


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a service is packaged.

    Parameters
    ----------
    module
        Where the service is defined.
    models
        Bundles it opens.
    policy
        Whether it takes the catalogue that decides.
    more
        Modules that people run beside it.
    without
        Distributions that its code names and it never loads.
    """

    module: str
    models: tuple[Model, ...]
    policy: bool = True
    more: tuple[str, ...] = ()
    without: frozenset[str] = frozenset()


_FRAMES = frozenset({"pandas", "pyarrow"})
"""What builds and reads tables of many customers: training and batches, never one request."""

RECIPES = {
    Service.DECISIONING: Recipe(
        "serving.service",
        (Model.SEGMENTATION, Model.PROPENSITY),
        # feature_repo.stores: Feast finds it by its name in feature_store.yaml
        more=("feature_repo.stores", "moment.cli", "serving.admin", "serving.cli"),
    ),
    Service.SEGMENTATION: Recipe(
        "serving.services.segmentation",
        (Model.SEGMENTATION,),
        policy=False,
        without=_FRAMES | {"xgboost"},
    ),
    Service.PROPENSITY: Recipe("serving.services.propensity", (Model.PROPENSITY,), without=_FRAMES),
    Service.NEXT_BEST_ACTION: Recipe(
        "serving.services.next_best_action", (Model.SEGMENTATION, Model.PROPENSITY), without=_FRAMES
    ),
}


@dataclass(frozen=True, slots=True)
class Built:
    """A Bento in the home's store.

    Parameters
    ----------
    service
        What it serves.
    tag
        ``<name>:<version>``.
    path
        Its folder.
    mebibytes
        What its files take.
    models
        Digest by model of what it brought; ``catalogue`` where that is a plain file.
    command
        What serves it.
    archive
        The file it was exported to; None where it was not.
    """

    service: Service
    tag: str
    path: Path
    mebibytes: float
    models: dict[str, str]
    command: str
    archive: Path | None = None


def package(
    home: Home, settings: Settings, services: Iterable[Service], out: Path | None = None
) -> list[Built]:
    """Build Bentos from what serves in a home; one that is there already is left as it is.

    Parameters
    ----------
    home
        Whose champions are packaged, and whose ``bentoml`` folder keeps the Bentos.
    settings
        Name the catalogue where no policy's bundle decides.
    services
        Which.
    out
        A folder for archives (``.bento``) of them.

    Raises
    ------
    DependencyError
        A model is missing, its bundle was refused, or BentoML did not build.
    """
    book = book_of(home)
    return [_package(home, settings, book, service, out) for service in services]


def _package(home: Home, settings: Settings, book: Book, service: Service, out: Path | None) -> Built:
    with tempfile.TemporaryDirectory(prefix="moment-package-") as scratch:
        folder = Path(scratch) / "bento"
        folder.mkdir()
        brought = stage(home, settings, book, service, folder)
        version = digest_of(folder)[:_VERSION_LETTERS]
        tag = f"{_name(service)}:{version}"
        archive = None if out is None else out.resolve() / f"{tag.replace(':', '-')}.bento"
        path = _build(home, service, tag, folder, archive)
    mebibytes = sum(file.stat().st_size for file in path.rglob("*") if file.is_file()) / _MIB
    return Built(service, tag, path, mebibytes, brought, command(home, service, tag), archive)


def command(home: Home, service: Service, tag: str) -> str:
    """Return the command that serves a Bento from this home's store."""
    variables = {"BENTOML_HOME": home.root / "bentoml", "BENTOML_DO_NOT_TRACK": "True"}
    if service is Service.DECISIONING:
        variables["MOMENT_HOME"] = home.root
    told = " ".join(f"{name}={shlex.quote(str(value))}" for name, value in variables.items())
    return f"{told} bentoml serve {tag}"


def stage(home: Home, settings: Settings, book: Book, service: Service, folder: Path) -> dict[str, str]:
    """Write all that a Bento holds into a folder; return the digests of what it brings.

    Raises
    ------
    DependencyError
        A model is missing or refused, or something is not installed as the lock pins it.
    """
    recipe, source = RECIPES[service], Path(serving.__file__).parents[1]
    reached = reach(source, (recipe.module, *recipe.more, *_DYNAMIC, ENTRY), OURS)
    _copy_code(source, reached, folder)
    brought = _bring(home, settings, book, recipe, folder / FOLDER)
    without = recipe.without | _needless(recipe, folder / FOLDER)
    lock = Lock.read(source / LOCK)
    wanted = (lock.distributions(reached.others) | ALWAYS) - without
    lines = lock.closure(wanted, LEFT_OUT | without)
    (folder / "requirements.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / f"{ENTRY}.py").write_text(_entry(recipe.module, service), encoding="utf-8")
    (folder / "README.md").write_text(_about(service, brought), encoding="utf-8")
    return brought


def digest_of(folder: Path) -> str:
    """Return the SHA-256 of every file's name and content."""
    total = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            total.update(f"{path.relative_to(folder).as_posix()}\n".encode())
            total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()


def _needless(recipe: Recipe, packaged: Path) -> frozenset[str]:
    """Return xgboost where the model that was packaged, and no other will ever be opened, has no trees."""
    if recipe.module == RECIPES[Service.DECISIONING].module:
        return frozenset()
    manifests = (packaged / "bundles").glob(f"*/*/{MANIFEST}")
    trees = any(read_manifest(path.parent).kind == "xgboost" for path in manifests)
    return frozenset() if trees else frozenset({"xgboost"})


def _copy_code(source: Path, reached: Reached, folder: Path) -> None:
    files = {source_of(source, module) for module in reached.modules}
    for pattern in _DATA:
        files |= {path for path in source.glob(pattern) if _package_of(source, path) in reached.modules}
    for file in sorted(path for path in files if path is not None):
        target = folder / file.relative_to(source)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)


def _package_of(source: Path, path: Path) -> str:
    """Return the nearest package of ours above a file that code is reached in."""
    parts = path.relative_to(source).parts
    return ".".join(parts[: 2 if parts[0] == "serving" else 1])


def _bring(home: Home, settings: Settings, book: Book, recipe: Recipe, folder: Path) -> dict[str, str]:
    """Copy the bundles that serve, each proved before, and who vouches for them; return their digests."""
    folder.mkdir()
    trusted = Trust.of_home(home.keys)
    (folder / TRUST_FILE).write_bytes(trusted.dumps())
    models = list(recipe.models)
    if recipe.policy and book.champion(Model.NEXT_BEST_ACTION) is not None:
        models.append(Model.NEXT_BEST_ACTION)
    brought = {}
    for model in models:
        bundle = in_service(home, book, model)
        brought[str(model)] = prove(bundle, model=model, trusted=trusted).digest
        target = folder / "bundles" / model / bundle.name
        shutil.copytree(bundle, target)
        make_current(target)
    if recipe.policy and Model.NEXT_BEST_ACTION not in models:
        content = catalogue_path(settings).read_bytes()
        (folder / CATALOGUE_FILE).write_bytes(content)
        brought["catalogue"] = hashlib.sha256(content).hexdigest()
    return brought


def _entry(module: str, service: Service) -> str:
    return (
        f'"""What this Bento starts with; `moment package` wrote it."""\n\n'
        "from pathlib import Path\n\n"
        "from serving.packaging.packaged import settle\n\n"
        "settle(Path(__file__).resolve().parent)\n\n"
        f"from {module} import {service.value}  # noqa: E402 - libraries read what was settled\n\n"
        f'__all__ = ["{service.value}"]\n'
    )


def _about(service: Service, brought: dict[str, str]) -> str:
    lines = [f"# {service.value}", "", f"Moment {__version__}. It brings:", ""]
    lines += [f"- {model}: `{digest}`" for model, digest in sorted(brought.items())]
    return "\n".join([*lines, ""])


def _name(service: Service) -> str:
    """Return a service's name as BentoML writes it in tags."""
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in service.value)[1:]


def _build(home: Home, service: Service, tag: str, folder: Path, archive: Path | None) -> Path:
    """Build the Bento in the home's store, or find it there; return its folder."""
    name, _, version = tag.partition(":")
    kept = home.root / "bentoml" / "bentos" / name / version
    if archive is None and (kept / "bento.yaml").is_file():
        return kept
    arguments = [service.value, tag]
    if archive is not None:
        archive.parent.mkdir(parents=True, exist_ok=True)
        arguments.append(str(archive))
    said = _run(home, [sys.executable, "-m", "serving.packaging.building", *arguments], folder)
    return Path(json.loads(said.strip().splitlines()[-1])["path"])


def _run(home: Home, arguments: list[str], folder: Path) -> str:
    """Run a command of BentoML's on the home's store, and return what it said."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("MOMENT_", "PYTHONPATH"))
    }
    environment |= {**QUIET, "BENTOML_HOME": str(home.root / "bentoml"), "BENTOML_QUIET": "True"}
    done = subprocess.run(  # noqa: S603 - our own commands
        arguments,
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=_BUILD_SECONDS,
    )
    if done.returncode:
        last = ""
        with suppress(IndexError):
            last = done.stderr.strip().splitlines()[-1]
        raise DependencyError(f"BentoML did not build the Bento: {last or 'it did not say why'}")
    return done.stdout
