"""How every model was made, kept so that it can be made again: its recipe, and the rows it was trained on.

The rows are `features.kept_rows`, personal data that erasure reaches. A recipe is about no person: settings,
what tuning found, library versions. It stands in ``training-sets/recipes/<model>/<version>.json``.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

import msgspec

from moment import private
from moment.errors import DependencyError, StepMissing
from moment.home import Home
from training.tracking import code_version

FORMAT = 1

LIBRARIES = ("numpy", "pandas", "scikit-learn", "scipy", "xgboost")
"""Those whose versions a fit may depend on."""

_VERSION = 12

Found = str | int | float | bool | None


class Recipe(msgspec.Struct, frozen=True, kw_only=True):
    """How one bundle was made.

    Parameters
    ----------
    model, digest
        Which bundle.
    kind
        Which contender won; the segmentation has one kind.
    rows
        Name of the kept rows.
    seed
        Seed of everything that drew.
    settings
        The pipeline's settings as JSON.
    found
        What was searched and found: strength of a penalty, parameters and number of trees, or of personas.
    layout, contract
        The model's columns and the customer features behind them, as the bundle holds them; no layout for a
        segmentation.
    data_digest
        SHA-256 of what the rows were made from.
    libraries, machine
        Versions, and kind of processor: what else a fit may depend on.
    code
        The commit or version of Moment.
    """

    model: str
    digest: str
    kind: str
    rows: str
    seed: int
    settings: msgspec.Raw
    found: Mapping[str, Found]
    contract: str
    layout: str = ""
    data_digest: str
    libraries: Mapping[str, str]
    machine: str
    code: str
    format: int = FORMAT


def libraries() -> dict[str, str]:
    """Return the versions of the libraries a fit may depend on, as they are installed."""
    return {name: version(name) for name in LIBRARIES}


def machine() -> str:
    """Return the kind of processor."""
    return platform.machine()


def code() -> str:
    """Return the commit or version of Moment."""
    return code_version()


def recipe_file(home: Home, model: str, name: str) -> Path:
    """Return where the recipe of a version is."""
    return home.training_sets / "recipes" / model / f"{name}.json"


def keep_recipe(home: Home, recipe: Recipe) -> Path:
    """Keep a recipe, at once or not at all, and return its file.

    A bundle that was made again from other rows keeps the newest recipe.
    """
    file = recipe_file(home, recipe.model, recipe.digest[:_VERSION])
    file.parent.mkdir(parents=True, exist_ok=True)
    private.write(file, msgspec.json.format(msgspec.json.encode(recipe), indent=1) + b"\n")
    return file


def find_recipe(home: Home, model: str, name: str) -> Recipe:
    """Return the recipe of a version, named by the first digits of its digest.

    Raises
    ------
    StepMissing
        There is none: the version was made elsewhere, or by a Moment that kept none.
    DependencyError
        It cannot be read, or a newer Moment wrote it.
    """
    file = recipe_file(home, model, name[:_VERSION])
    if not file.is_file():
        raise StepMissing(
            f"how {model} {name[:_VERSION]} was made is not on record here", run=f"moment train {model}"
        )
    content = file.read_bytes()
    try:
        _refuse_newer(file, msgspec.json.decode(content, type=_Stated))
        return msgspec.json.decode(content, type=Recipe)
    except msgspec.MsgspecError as error:
        raise DependencyError(
            f"the recipe {file.name} of {model} cannot be read; restore a backup"
        ) from error


class _Stated(msgspec.Struct, frozen=True):
    """What a recipe says in every format, those to come among them."""

    format: int


def _refuse_newer(file: Path, stated: _Stated) -> None:
    if stated.format > FORMAT:
        raise DependencyError(
            f"the recipe {file.name} is of format {stated.format}, this Moment reads up to {FORMAT}; upgrade "
            "Moment"
        )
