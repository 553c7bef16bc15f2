"""Control, the no-marketing holdout and experiments: who is in which arm, by a stable salted hash.

A layer holds experiments that share one line of customers: each takes its own stretch of it, so a customer is
in one of them at most. Layers are salted apart: where a customer stands in one tells nothing about another;
and no two layers change the same part of the policy (checked at load), so that they do not interfere.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from serving.decision.exploration import Exploration
from serving.decision.expression import Expression
from serving.decision.values import ActionId


@dataclass(frozen=True, slots=True)
class Formula:
    """An arbitration formula: its SQL text, white space folded, and its checked form, of type float64.

    It may name ``propensity``, ``value``, ``context_weight`` and ``lever`` besides what rules may name.
    """

    text: str
    expression: Expression


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
        return frozenset(name for name in self.__slots__ if getattr(self, name))


@dataclass(frozen=True, slots=True)
class Arm:
    """One way of deciding, for a share (of all customers) of its experiment's layer."""

    name: str
    share: float
    changes: Changes = Changes()


@dataclass(frozen=True, slots=True)
class Experiment:
    """Arms side by side; shares of all experiments of a layer sum to 1 at most."""

    name: str
    arms: tuple[Arm, ...]


@dataclass(frozen=True, slots=True)
class Layer:
    """Experiments that share one line of customers, in order of name."""

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


def position(salt: str, unit: str) -> float:
    """Return where a unit stands on a salt's line: uniform in [0, 1), the same for ever.

    The first 53 bits of the SHA-256 of ``salt``, a zero byte and ``unit``.
    """
    digest = hashlib.sha256(f"{salt}\0{unit}".encode()).digest()
    return (int.from_bytes(digest[:8], "big") >> 11) / 2**53
