"""What differs between two versions of a model, side by side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import click

from moment.home import Home
from serving.bundles import open_propensity, open_segmentation
from serving.bundles.policy import open_policy
from serving.catalogue.diff import differences
from serving.catalogue.diff import lines_of as catalogue_lines
from serving.commands.life import columns
from serving.commands.models_view import figures, folder_of, manifest_of, recorded_parameters
from serving.lifecycle import GateVerdict, Model, Version

_SAME = "nothing differs"


@dataclass(frozen=True, slots=True)
class Pair:
    """One thing of both versions, in words; None where one of them has no such thing."""

    name: str
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True)
class Compared:
    """Two versions side by side: only what differs, but for the figures."""

    model: str
    before: str
    after: str
    figures: tuple[Pair, ...]
    gates: tuple[Pair, ...]
    parameters: tuple[Pair, ...]
    inputs: tuple[Pair, ...]
    notes: tuple[Pair, ...]
    catalogue: tuple[str, ...]


def compare(home: Home, before: Version, after: Version) -> Compared:
    """Put two versions of one model side by side.

    Raises
    ------
    BundleRefused
        One of the bundles is not what it says it is.
    """
    left, right = _inputs(home, before), _inputs(home, after)
    return Compared(
        model=before.model,
        before=before.version,
        after=after.version,
        figures=_pairs(_figures(home, before), _figures(home, after), everything=True),
        gates=_pairs(_gates(before), _gates(after)),
        parameters=_pairs(
            _words(recorded_parameters(home, before)), _words(recorded_parameters(home, after))
        ),
        inputs=_pairs(dict.fromkeys(left, "there"), dict.fromkeys(right, "there")),
        notes=_pairs(dict.fromkeys(_notes(home, before), "said"), dict.fromkeys(_notes(home, after), "said")),
        catalogue=_catalogue(home, before, after),
    )


def lines_of(found: Compared) -> Iterator[str]:
    """Yield the comparison for people."""
    yield click.style(f"{found.model}: {found.before} -> {found.after}", bold=True)
    yield from _side_by_side("figure", found.figures, found)
    yield from _side_by_side("gate", found.gates, found)
    yield from _side_by_side("parameter", found.parameters, found)
    for title, pairs in (("input", found.inputs), ("note", found.notes)):
        for pair in pairs:
            yield f"{'-' if pair.after is None else '+'} {title}: {pair.name}"
    yield from found.catalogue
    parts = (found.gates, found.parameters, found.inputs, found.notes, found.catalogue)
    if not any(parts) and all(pair.before == pair.after for pair in found.figures):
        yield _SAME


def _side_by_side(title: str, pairs: Sequence[Pair], found: Compared) -> Iterator[str]:
    if pairs:
        rows = [(pair.name, pair.before or "-", pair.after or "-") for pair in pairs]
        yield ""
        yield from columns((title, found.before, found.after), rows)


def _pairs(
    before: Mapping[str, str], after: Mapping[str, str], *, everything: bool = False
) -> tuple[Pair, ...]:
    names = [*before, *(name for name in after if name not in before)]
    pairs = (Pair(name, before.get(name), after.get(name)) for name in names)
    return tuple(pair for pair in pairs if everything or pair.before != pair.after)


def _figures(home: Home, version: Version) -> dict[str, str]:
    manifest = manifest_of(home, version)
    if manifest is None:
        return {}
    return {name: _interval(value, low, high) for name, value, low, high in figures(manifest)}


def _gates(version: Version) -> dict[str, str]:
    return {gate.gate: f"{gate.verdict} {_number(gate)}".rstrip() for gate in version.gates}


def _number(gate: GateVerdict) -> str:
    return "" if gate.value is None else _interval(gate.value, gate.low, gate.high)


def _interval(value: float, low: float | None, high: float | None) -> str:
    return f"{value:.4g}" if low is None or high is None else f"{value:.4g} [{low:.4g}, {high:.4g}]"


def _words(values: Mapping[str, object]) -> dict[str, str]:
    return {name: str(value) for name, value in values.items()}


def _inputs(home: Home, version: Version) -> tuple[str, ...]:
    """Return the columns a version reads."""
    folder = folder_of(home, version)
    match version.model:
        case Model.PROPENSITY:
            return open_propensity(folder).layout.names
        case Model.SEGMENTATION:
            return tuple(axis.name for axis in open_segmentation(folder).model.axes)
        case Model.NEXT_BEST_ACTION:
            return tuple(sorted(open_policy(folder).columns))


def _notes(home: Home, version: Version) -> tuple[str, ...]:
    manifest = manifest_of(home, version)
    return () if manifest is None else manifest.about.notes


def _catalogue(home: Home, before: Version, after: Version) -> tuple[str, ...]:
    if before.model is not Model.NEXT_BEST_ACTION:
        return ()
    old, new = (open_policy(folder_of(home, one)).catalogue for one in (before, after))
    return tuple(catalogue_lines(differences(old, new)))
