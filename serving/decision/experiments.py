"""Control, the no-marketing holdout and experiments: who is in which arm, by a stable salted hash.

A layer holds experiments that compete for the same customers: each is in one arm of one of them at most.
Layers are salted apart: where a customer is in one tells nothing about another; and no two layers change the
same part of the policy (checked at load), so that they do not interfere.

Within a layer every arm races for the customer, and so does *no arm*, for the share that is left: each runs
``-ln(u) / share`` with its own ``u`` from the customer's hash, and the first to arrive has the customer
(weighted rendezvous hashing; the first of exponential clocks is each with its share). So when shares change:

- one arm grows: it takes customers from the others and from no arm, and no arm, now smaller, gives some up;
  nobody moves between the other arms;
- all arms grow by the same factor (a ramp): customers come from no arm only, and nobody leaves an arm;
- an arm shrinks or ends: the same backwards.

Stretches on a line would have every arm behind the one that grew hand customers on to the next. A new name or
salt is a new draw.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from serving.decision.exploration import Exploration
from serving.decision.formula import Formula
from serving.decision.values import ActionId

SHARE_TOLERANCE = 1e-9
"""Shares that sum to 1 up to this leave nothing over."""


@dataclass(frozen=True, slots=True)
class Changes:
    """What an arm does differently; what it does not name stays as the catalogue has it.

    Parameters
    ----------
    levers
        Factor on the lever of each action named (issues and groups are spread over their actions at load).
    formula, exploration, propensity_floor
        In place of the catalogue's.
    """

    levers: Mapping[ActionId, float] = field(default_factory=dict)
    formula: Formula | None = None
    exploration: Exploration | None = None
    propensity_floor: float | None = None

    @property
    def parts(self) -> frozenset[str]:
        """Names of the parts of the policy it changes."""
        unchanged = Changes()
        return frozenset(name for name in self.__slots__ if getattr(self, name) != getattr(unchanged, name))


@dataclass(frozen=True, slots=True)
class Arm:
    """One way of deciding, for a share (of all customers) of its experiment's layer."""

    name: str
    share: float
    changes: Changes = Changes()


@dataclass(frozen=True, slots=True)
class Experiment:
    """Arms side by side."""

    name: str
    arms: tuple[Arm, ...]


@dataclass(frozen=True, slots=True)
class Layer:
    """Experiments that compete for the same customers; shares of all their arms sum to 1 at most."""

    name: str
    salt: str
    experiments: tuple[Experiment, ...]


@dataclass(frozen=True, slots=True)
class Share:
    """A group of customers drawn apart: control, or the no-marketing holdout."""

    share: float
    salt: str

    def has(self, unit: str | None) -> bool:
        """Whether the unit belongs to it."""
        return unit is not None and position(self.salt, unit) < self.share


@dataclass(frozen=True, slots=True)
class Assignment:
    """The arm a customer is in, in one experiment."""

    layer: str
    experiment: str
    arm: str


def assignments(layers: Sequence[Layer], unit: str | None) -> tuple[Assignment, ...]:
    """Return the arm a unit is in, for each layer in which it is in one, in the order of the layers.

    Parameters
    ----------
    layers
        Of one catalogue.
    unit
        ``Customer.unit``; None is in no experiment. The caller leaves out control and holdout.

    Examples
    --------
    >>> arms = (Arm("as-is", 0.4), Arm("pushed", 0.4))
    >>> layer = Layer("ranking", "r1", (Experiment("push-loans", arms),))
    >>> [[one.arm for one in assignments((layer,), unit)] for unit in ("anna", "bert", "carl", "gina")]
    [['as-is'], ['pushed'], ['pushed'], []]
    """
    if unit is None:
        return ()
    found = (_assignment(layer, unit) for layer in layers)
    return tuple(assignment for assignment in found if assignment is not None)


def _assignment(layer: Layer, unit: str) -> Assignment | None:
    """Return the arm that arrives first, or None when no arm does."""
    rest = 1.0 - math.fsum(arm.share for experiment in layer.experiments for arm in experiment.arms)
    first, soonest = None, _arrival(f"{layer.salt}\0", rest, unit)
    for experiment in layer.experiments:
        for arm in experiment.arms:
            arrival = _arrival(f"{layer.salt}\0{experiment.name}\0{arm.name}", arm.share, unit)
            if arrival < soonest:
                first, soonest = Assignment(layer.name, experiment.name, arm.name), arrival
    return first


def _arrival(salt: str, share: float, unit: str) -> float:
    """Return when a share arrives at a unit: exponential with rate ``share``; never where it is nothing."""
    if share < SHARE_TOLERANCE:
        return math.inf
    middle = position(salt, unit) + 2**-54  # of the cell: never 0, so the logarithm is finite
    return -math.log(middle) / share


def position(salt: str, unit: str) -> float:
    """Return where a unit stands on a salt's line: uniform in [0, 1), the same for ever.

    The first 53 bits of the SHA-256 of ``salt``, a zero byte and ``unit``.

    Examples
    --------
    >>> position("ctrl-2026", "anna")
    0.1512840611866001
    """
    digest = hashlib.sha256(f"{salt}\0{unit}".encode()).digest()
    return (int.from_bytes(digest[:8], "big") >> 11) / 2**53
