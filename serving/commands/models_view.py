"""What can be told of a version: its life from the ledger, its figures from the bundle on this machine."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from moment.errors import StepMissing
from moment.home import Home
from serving.bundles import BundleRefused, Manifest, current, read_manifest, versions
from serving.lifecycle import Book, Finding, Model, State, StopKind, Version
from serving.lifecycle.endings import ending

_HEADLINE = {
    "auc": "AUC",
    "top_decile_lift": "lift",
    "stability": "stability",
    "reach": "reach",
    "actions": "actions",
}

UNLISTED = "not in the ledger"
"""The state of a bundle that was made before there was one, or elsewhere."""


@dataclass(frozen=True, slots=True)
class Line:
    """One version in the list; what is None is not known of it."""

    model: str
    version: str
    digest: str | None
    kind: str
    state: str
    since: datetime | None
    verdict: str | None
    approval: str
    approval_ends: datetime | None
    days_left: int | None
    shadow: float
    routed: float
    figures: Mapping[str, float] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


Figure = tuple[str, float, float | None, float | None]
"""Name, value, and the bounds of its interval where it has one."""


def listing(home: Home, book: Book, now: datetime) -> list[Line]:
    """Return every version of the ledger, oldest first, then the bundles it does not know."""
    lines: list[Line] = []
    for model in Model:
        known = book.of_model(model)
        lines += [_line(home, book, one, now) for one in known]
        digests = {one.version for one in known}
        lines += [
            _unlisted(home, book, model, folder)
            for folder in versions(home.bundles, model)
            if folder.name not in digests
        ]
    return lines


def folder_of(home: Home, version: Version) -> Path:
    """Return where a version's bundle lies on this machine."""
    return home.bundles / version.model / version.version


def manifest_of(home: Home, version: Version) -> Manifest | None:
    """Return what a version's bundle says of itself; None where it is not here, or not what it says it is."""
    try:
        manifest = read_manifest(folder_of(home, version))
    except BundleRefused:
        return None
    return manifest if manifest.digest == version.digest else None


def figures(manifest: Manifest) -> tuple[Figure, ...]:
    """Return a bundle's figures, each with its interval."""
    metrics = manifest.about.metrics
    return tuple(
        (name, value, metrics.get(f"{name}_low"), metrics.get(f"{name}_high"))
        for name, value in metrics.items()
        if not name.endswith(("_low", "_high"))
    )


def findings(book: Book, version: Version) -> tuple[Finding, ...]:
    """Return what was found of a version or of its whole model, oldest first."""
    return tuple(
        one
        for one in book.findings.values()
        if one.model is version.model and one.digest in (None, version.digest)
    )


def warnings(home: Home, book: Book, version: Version, now: datetime) -> Iterator[str]:
    """Yield what somebody should look at."""
    if manifest_of(home, version) is None and version.state not in (State.REJECTED, State.RETIRED):
        yield "its bundle is not whole on this machine"
    for gate in version.unaccepted:
        if version.state in (State.CANDIDATE, State.CHALLENGER):
            yield f"gate {gate.gate}: {gate.verdict}"
    for finding in findings(book, version):
        if finding.holds_back(version):
            yield f"{finding.finding_id} holds it back: {finding.text}"
    if version.state is State.CHAMPION:
        yield from _of_a_champion(book, version, now)


def _of_a_champion(book: Book, version: Version, now: datetime) -> Iterator[str]:
    said = ending(book, version, now)
    if said is not None:
        yield said
    for stop in book.stops.values():
        if stop.kind is StopKind.MODEL and stop.name == version.model:
            yield f"the model is stopped ({stop.stop_id}): {stop.reason}"


def headline(manifest: Manifest | None) -> dict[str, float]:
    """Return the few figures that stand for a version."""
    metrics = {} if manifest is None else manifest.about.metrics
    return {title: metrics[name] for name, title in _HEADLINE.items() if name in metrics}


def recorded_parameters(home: Home, version: Version) -> dict[str, object]:
    """Return the parameters a version was fitted with, as its report has them; none where there is none."""
    path = home.reports / version.model / f"{version.version}.json"
    try:
        told = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    parameters = told.get("parameters")
    return dict(parameters) if isinstance(parameters, dict) else {}


def report_of(home: Home, version: Version) -> str | None:
    """Return the report that was written when a version was made, Markdown; None where it is not here."""
    path = home.reports / version.model / f"{version.version}.md"
    return path.read_text("utf-8") if path.is_file() else None


def serves_here(home: Home, model: Model, version: str) -> bool:
    """Whether a bundle is the last good one this machine served."""
    try:
        return current(home.bundles, model).name == version
    except StepMissing:
        return False


def _days(left: timedelta) -> int:
    """Return how many days are left, one that has begun among them."""
    return math.ceil(left / timedelta(days=1))


def _line(home: Home, book: Book, version: Version, now: datetime) -> Line:
    manifest, approval = manifest_of(home, version), version.approval
    return Line(
        model=version.model,
        version=version.version,
        digest=version.digest,
        kind="-" if manifest is None else manifest.kind,
        state=version.state,
        since=version.since,
        verdict=version.verdict,
        approval=version.approved(now),
        approval_ends=None if approval is None else approval.expires_at,
        days_left=None if approval is None else _days(approval.expires_at - now),
        shadow=version.shadow,
        routed=version.routed,
        figures=headline(manifest),
        warnings=tuple(warnings(home, book, version, now)),
    )


def _unlisted(home: Home, book: Book, model: Model, folder: Path) -> Line:
    kind, digest, shown, said = "-", None, {}, []
    try:
        manifest = read_manifest(folder)
        kind, digest, shown = manifest.kind, manifest.digest, headline(manifest)
    except BundleRefused as refused:
        said.append(f"refused: {refused.reason}")
    if book.champion(model) is None and serves_here(home, model, folder.name):
        said.append("it serves here, because the ledger has no champion")
    return Line(
        model=model,
        version=folder.name,
        digest=digest,
        kind=kind,
        state=UNLISTED,
        since=None,
        verdict=None,
        approval="none",
        approval_ends=None,
        days_left=None,
        shadow=0.0,
        routed=0.0,
        figures=shown,
        warnings=tuple(said),
    )
