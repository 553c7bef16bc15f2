"""What decides, as one immutable value: it is taken once for a request, so no answer mixes two versions.

A swap is one assignment (`LiveState.swap`). Who has taken what was live before goes on with it to the end of
the request, however many attempts that takes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType

from serving.decision.allotment import allot
from serving.decision.catalogue import Catalogue
from serving.decision.experiments import Arm, Experiment, Layer, assignments, position
from serving.lifecycle import Approval, Model
from serving.ports import Scorer, Segmenter
from serving.records import ExperimentArm, Versions
from serving.use_cases.outcomes import outcome_kinds
from serving.use_cases.standstill import NOTHING, Standstill

LAYER = "models"
"""The layer of experiments in which challengers decide for a share of the customers."""

_UNAPPROVED: Mapping[Model, Approval | None] = MappingProxyType(dict.fromkeys(Model))
_WORST = ("expired", "none", "approved")
_SHORT = 12


@dataclass(frozen=True, slots=True, eq=False)
class VersionSet:
    """All that decides one request.

    Parameters
    ----------
    catalogue, scorer, segmenter
        What can be offered under which rules, and the models.
    versions
        Their digests, for the record.
    approvals
        The approval of each model's version; None for one that nobody approved.
    """

    catalogue: Catalogue
    scorer: Scorer
    segmenter: Segmenter
    versions: Versions
    approvals: Mapping[Model, Approval | None] = field(default_factory=lambda: _UNAPPROVED)
    kinds: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "kinds", outcome_kinds(self.catalogue))

    def approved(self, now: datetime) -> dict[str, str]:
        """Return of each model by name whether it is approved at a time: none, approved or expired."""
        return {model.value: _approved(approval, now) for model, approval in self.approvals.items()}


@dataclass(frozen=True, slots=True, eq=False)
class Challenger:
    """A challenger at work, whether it decides for a share of customers or only beside the champion.

    Parameters
    ----------
    model, digest
        Which.
    share
        Of the customers it decides for, or of the decisions it is asked beside; from 0 to 1.
    versions
        The champions, with this one in its model's place.
    """

    model: Model
    digest: str
    share: float
    versions: VersionSet

    @property
    def version(self) -> str:
        """Short id made from the digest."""
        return self.digest[:_SHORT]

    def shadows(self, decision_id: str) -> bool:
        """Whether it is asked beside the champion in a decision, drawn by the decision's id."""
        return position(f"shadow\0{self.model}\0{self.digest}", decision_id) < self.share


@dataclass(frozen=True, slots=True, eq=False)
class Live:
    """What is live at one moment.

    Parameters
    ----------
    champion
        What decides for everybody who is in no challenger's arm.
    arms, shadows
        Challengers that decide for a share of customers; those that are asked beside.
    standstill
        What people stopped.
    seq
        Number of the ledger's last act that this takes in.
    earlier
        Kinds of outcomes that were declared by what decided before: their reports still come in.
    """

    champion: VersionSet
    arms: tuple[Challenger, ...] = ()
    shadows: tuple[Challenger, ...] = ()
    standstill: Standstill = NOTHING
    seq: int = 0
    earlier: frozenset[str] = frozenset()

    @property
    def kinds(self) -> tuple[str, ...]:
        """What outcomes may be reported: the usual, then what the catalogues declare."""
        own = self.champion.kinds
        known = self.earlier.union(*(arm.versions.kinds for arm in self.arms))
        return (*own, *sorted(known.difference(own)))

    @property
    def channels(self) -> tuple[str, ...]:
        """Every channel that something live has, sorted."""
        sets = (self.champion, *(arm.versions for arm in self.arms))
        return tuple(sorted({channel for one in sets for channel in one.catalogue.channels}))

    def assigned(self, unit: str | None) -> tuple[VersionSet, tuple[ExperimentArm, ...]]:
        """Return what decides for a unit, and its arm; control, holdout and test traffic are in none.

        The arms race for the unit as those of a catalogue's layer do: another's share moves nobody between
        them, and whoever was drawn once stays while shares grow.
        """
        if unit is None or not self.arms:
            return self.champion, ()
        allotment = allot(self.champion.catalogue, unit)
        if allotment.control or allotment.held_out:
            return self.champion, ()
        (drawn,) = assignments((self._layer(),), unit) or (None,)
        if drawn is None:
            return self.champion, ()
        arm = next(one for one in self.arms if (one.model, one.version) == (drawn.experiment, drawn.arm))
        return arm.versions, (ExperimentArm(LAYER, drawn.experiment, drawn.arm),)

    def _layer(self) -> Layer:
        """Return the arms as a layer: salted with model and digest, so that a new version is a new draw."""
        arms = (Experiment(one.model.value, (Arm(one.version, one.share),)) for one in self.arms)
        return Layer(LAYER, LAYER, tuple(arms))


class LiveState:
    """Holds what is live in this process."""

    __slots__ = ("now",)

    def __init__(self, live: Live) -> None:
        self.now = live

    def swap(self, live: Live) -> None:
        """Let something else be live from the next request on; what is under way ends as it began."""
        self.now = live

    def kinds(self) -> tuple[str, ...]:
        """Return what outcomes may be reported now."""
        return self.now.kinds


def is_models(arm: ExperimentArm) -> bool:
    """Whether it is an arm of a challenger's, which no catalogue knows."""
    return arm.layer == LAYER and arm.experiment in set(Model)


def worst_approval(approvals: Mapping[str, str]) -> str:
    """Return the worst of what is said of several models: expired, then none, then approved."""
    return min(approvals.values(), key=_WORST.index, default="none")


def _approved(approval: Approval | None, now: datetime) -> str:
    if approval is None:
        return "none"
    return "approved" if approval.holds(now) else "expired"
