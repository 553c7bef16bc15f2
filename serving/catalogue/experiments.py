"""Control, holdout and experiments: shares that add up, and layers that do not interfere."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from serving.catalogue.arbitration import Language, read_floor, read_formula
from serving.catalogue.drafts import DraftAction
from serving.catalogue.exploration import read_exploration
from serving.catalogue.names import Names
from serving.catalogue.section import Section
from serving.decision.experiments import SHARE_TOLERANCE, Arm, Changes, Experiment, Layer, Share
from serving.decision.values import ActionId

_PARTS = {
    "levers": "levers",
    "formula": "the formula",
    "exploration": "exploration",
    "propensity_floor": "the propensity floor",
}


@dataclass(frozen=True, slots=True)
class Playground:
    """What an arm may change: the actions by name, and what a formula may name."""

    actions: Sequence[DraftAction]
    names: Names
    language: Language


def read_share(root: Section, key: str) -> Share | None:
    """Return control or the holdout, or None where the file has none."""
    if key not in root:
        return None
    section = root.section(key, key)
    share = Share(section.number("share", above=0.0, maximum=1.0), section.text("salt", key))
    section.finish()
    return share


def read_layers(root: Section, ground: Playground) -> tuple[Layer, ...]:
    """Return the layers of experiments."""
    layers = []
    changed: dict[str, str] = {}
    for name, section in root.sections("experiments", "layer", required=False):
        salt = section.text("salt", name)
        experiments = tuple(_experiments(section, ground, changed, name))
        layers.append(Layer(name, salt, tuple(sorted(experiments, key=lambda one: one.name))))
        if not experiments:
            section.fault("", "has no experiment; write its name and its arms")
        _check_shares(section, experiments)
    return tuple(layers)


def check_salts(root: Section, layers: Iterable[Layer], **shares: Share | None) -> None:
    """Note two draws with one salt: who is in the one would be in the other."""
    taken: dict[str, str] = {share.salt: name for name, share in shares.items() if share}
    if len(taken) < sum(share is not None for share in shares.values()):
        root.fault("holdout", "has the salt of control; give it its own, or they are the same customers")
    for layer in layers:
        if layer.salt in taken:
            root.fault(
                "experiments", f"layer {layer.name} has the salt of {taken[layer.salt]}; give it its own"
            )
        taken.setdefault(layer.salt, f"layer {layer.name}")


def _experiments(
    layer: Section, ground: Playground, changed: dict[str, str], name: str
) -> Iterator[Experiment]:
    for experiment in layer.names():
        if experiment == "salt":
            continue
        section = layer.section(experiment, f"experiment {experiment}")
        arms = []
        for arm, below in section.sections("arms", f"experiment {experiment}, arm"):
            arms.append(Arm(arm, _share(below), _changes(below, ground)))
            _check_interference(below, arms[-1].changes, changed, name)
            below.finish()
        section.finish()
        yield Experiment(experiment, tuple(sorted(arms, key=lambda one: one.name)))


def _share(section: Section) -> float:
    """Return the share of an arm; 0 where it is missing, so that it is not counted into the layer's sum."""
    share = section.number("share", above=0.0, maximum=1.0)
    return share if "share" in section else 0.0


def _changes(section: Section, ground: Playground) -> Changes:
    return Changes(
        levers=_levers(section, ground),
        formula=read_formula(section, ground.language),
        exploration=read_exploration(section),
        propensity_floor=read_floor(section),
    )


def _levers(above: Section, ground: Playground) -> dict[ActionId, float]:
    """Return the factor of each action: those of its issue, its group and itself, multiplied."""
    section = above.section("levers", f"{above.where}, levers", required=False)
    factors = {kind: _factors(section, kind, ground.names) for kind in ("issues", "groups", "actions")}
    section.finish()
    levers = {
        ActionId(action.action_id): factors["issues"].get(action.issue, 1.0)
        * factors["groups"].get(action.group, 1.0)
        * factors["actions"].get(action.action_id, 1.0)
        for action in ground.actions
    }
    return {action_id: lever for action_id, lever in levers.items() if lever != 1.0}


def _factors(above: Section, kind: str, names: Names) -> dict[str, float]:
    section = above.section(kind, f"{above.where}, {kind}", required=False)
    found = {name: section.number(name, above=0.0) for name in section.names(free=True)}
    return {name: factor for name, factor in found.items() if names.check(section, kind, name, entry=name)}


def _check_interference(section: Section, changes: Changes, changed: dict[str, str], layer: str) -> None:
    for part in sorted(changes.parts):
        first = changed.setdefault(part, layer)
        if first != layer:
            message = f"layer {first} changes {_PARTS[part]} as well; put both experiments into one layer"
            section.fault(part, message)


def _check_shares(section: Section, experiments: Iterable[Experiment]) -> None:
    total = math.fsum(arm.share for experiment in experiments for arm in experiment.arms)
    if total > 1.0 + SHARE_TOLERANCE:
        section.fault("", f"shares of its arms sum to {total:.6g}; a layer has 1 at most")
