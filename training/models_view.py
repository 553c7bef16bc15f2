"""What the bundles on this machine say of themselves, for ``moment models``. MLflow is not asked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from moment.errors import InvalidRequest, StepMissing
from serving.bundles import (
    BundleRefused,
    Manifest,
    current,
    open_propensity,
    open_segmentation,
    read_manifest,
    versions,
)

_HEADLINE = {"auc": "AUC", "top_decile_lift": "lift", "stability": "stability"}

CURRENT, KEPT = "current", "kept"


@dataclass(frozen=True, slots=True)
class Line:
    """One bundle in the list."""

    model: str
    version: str
    kind: str
    created_at: str
    figures: str
    state: str


Figure = tuple[str, float, float | None, float | None]
"""Name, value, and the bounds of its interval where it has one."""


@dataclass(frozen=True, slots=True)
class Details:
    """One verified bundle."""

    model: str
    version: str
    kind: str
    digest: str
    created_at: str
    run_id: str
    state: str
    notes: tuple[str, ...]
    figures: tuple[Figure, ...]


def listing(bundles: Path, model: str) -> list[Line]:
    """Return a model's bundles, newest last; a damaged one says so in its state."""
    return [_line(bundles, model, folder) for folder in versions(bundles, model)]


def details(bundles: Path, model: str, version: str | None) -> Details:
    """Verify a bundle, the current one by default, and return what it says of itself.

    Raises
    ------
    StepMissing
        The model was never trained.
    InvalidRequest
        There is no such version.
    BundleRefused
        It is not what it says it is.
    """
    folder = current(bundles, model) if version is None else _find(bundles, model, version)
    opened = open_propensity(folder) if model == "propensity" else open_segmentation(folder)
    manifest = opened.manifest
    return Details(
        model=model,
        version=manifest.version,
        kind=manifest.kind,
        digest=manifest.digest,
        created_at=manifest.about.created_at,
        run_id=manifest.about.run_id,
        state=_state(bundles, model, folder),
        notes=manifest.about.notes,
        figures=_figures(manifest),
    )


def _find(bundles: Path, model: str, version: str) -> Path:
    known = versions(bundles, model)
    found = [folder for folder in known if folder.name.startswith(version)]
    if len(found) != 1:
        message = f"{model} has {len(found) or 'no'} version {version}; see `moment models list`"
        raise InvalidRequest(message, code="unknown-version", field="version")
    return found[0]


def _line(bundles: Path, model: str, folder: Path) -> Line:
    try:
        manifest = read_manifest(folder)
    except BundleRefused as refused:
        return Line(model, folder.name, "-", "-", "-", f"refused: {refused.reason}")
    metrics = manifest.about.metrics
    figures = ", ".join(
        f"{title} {metrics[name]:.3g}" for name, title in _HEADLINE.items() if name in metrics
    )
    trained = manifest.about.created_at[:16].replace("T", " ")
    return Line(model, folder.name, manifest.kind, trained, figures, _state(bundles, model, folder))


def _state(bundles: Path, model: str, folder: Path) -> str:
    try:
        return CURRENT if current(bundles, model) == folder else KEPT
    except StepMissing:
        return KEPT


def _figures(manifest: Manifest) -> tuple[Figure, ...]:
    metrics = manifest.about.metrics
    return tuple(
        (name, value, metrics.get(f"{name}_low"), metrics.get(f"{name}_high"))
        for name, value in metrics.items()
        if not name.endswith(("_low", "_high"))
    )
