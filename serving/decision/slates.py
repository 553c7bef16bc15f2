"""Slates: the candidates of a placement, and those of them in the customer's language."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from serving.decision.actions import Action, Placement, Treatment
from serving.decision.reasons import Reason


@dataclass(frozen=True, slots=True, eq=False)
class Slate:
    """The candidates of one placement, known before any request.

    Attributes
    ----------
    placement
        The placement.
    candidate, action
        Shape (n,): index of each candidate, and of its action. At least one row per action, actions in order.
    unfit
        Shape (n,): 0 where the treatment fits, else the code of the reason.
    several
        Whether some action has more than one treatment that fits.
    language
        Per row, the BCP 47 tag of its treatment, in lower case.
    languages
        Those of treatments that fit.
    """

    placement: Placement
    candidate: NDArray[np.intp]
    action: NDArray[np.intp]
    unfit: NDArray[np.int32]
    several: bool
    language: tuple[str, ...]
    languages: frozenset[str]

    def spoken(self, wanted: str | None, default: str) -> Slate:
        """Return the slate as a customer is spoken to: of each action, one language.

        The customer's, else the catalogue's, else whatever there is; a tag is looked up as RFC 4647 has it:
        ``de-AT``, then ``de``.

        Parameters
        ----------
        wanted
            BCP 47 tag of the customer's language, or None.
        default
            That of the catalogue.
        """
        if not self.several or len(self.languages) == 1:
            return self
        order = tuple(dict.fromkeys(tag for tag in _lookup(wanted, default) if tag in self.languages))
        return _spoken(self, order)


@dataclass(frozen=True, slots=True, eq=False)
class Lineup:
    """The candidates of every requested placement, end to end. All columns are shared and read-only.

    Attributes
    ----------
    placements
        Names of the placements, in the order of the request.
    placement, candidate, action
        Shape (n,): index into ``placements``, of each candidate, and of its action.
    unfit
        Shape (n,): 0 where the treatment fits, else the code of the reason; None where all fit.
    unscored
        Shape (n,): NaN.
    """

    placements: tuple[str, ...]
    placement: NDArray[np.intp]
    candidate: NDArray[np.intp]
    action: NDArray[np.intp]
    unfit: NDArray[np.int32] | None
    unscored: NDArray[np.float64]


@lru_cache(maxsize=256)
def lined_up(slates: tuple[Slate, ...]) -> Lineup:
    """Return the slates of a request end to end; remembered, for few sets of placements are asked for."""
    unfit = np.concatenate([slate.unfit for slate in slates])
    made = Lineup(
        placements=tuple(slate.placement.name for slate in slates),
        placement=np.repeat(np.arange(len(slates)), [len(slate.candidate) for slate in slates]),
        candidate=np.concatenate([slate.candidate for slate in slates]),
        action=np.concatenate([slate.action for slate in slates]),
        unfit=unfit if unfit.any() else None,
        unscored=np.full(len(unfit), np.nan),
    )
    for column in (made.placement, made.candidate, made.action, unfit, made.unscored):
        column.flags.writeable = False
    return made


def make_slate(placement: Placement, actions: Sequence[Action]) -> Slate:
    """Return the slate of a placement; an action without a treatment for it has a row that says so."""
    candidate: list[int] = []
    owner: list[int] = []
    unfit: list[int] = []
    languages: list[str] = []
    first = 0
    for row, action in enumerate(actions):
        positions, missing = _fitting(placement, action.treatments)
        candidate += [first + position for position in positions]
        owner += [row] * len(positions)
        unfit += [missing] * len(positions)
        languages += [action.treatments[position].language.lower() for position in positions]
        first += len(action.treatments)
    stops = np.array(unfit, dtype=np.int32)
    actions_of = np.array(owner, dtype=np.intp)
    return Slate(
        placement=placement,
        candidate=np.array(candidate, dtype=np.intp),
        action=actions_of,
        unfit=stops,
        several=_several(actions_of, stops),
        language=tuple(languages),
        languages=frozenset(tag for tag, stop in zip(languages, unfit, strict=True) if not stop),
    )


def _fitting(placement: Placement, treatments: Sequence[Treatment]) -> tuple[list[int], int]:
    """Return positions of the treatments that fit and 0; or of the nearest that does not, and why."""
    on_channel = [n for n, treatment in enumerate(treatments) if treatment.channel == placement.channel]
    fitting = [n for n in on_channel if placement.name in treatments[n].placements]
    if fitting:
        return fitting, 0
    if on_channel:
        return on_channel[:1], Reason.NO_TREATMENT_FOR_PLACEMENT
    return [0], Reason.NO_TREATMENT_FOR_CHANNEL


def _lookup(wanted: str | None, default: str) -> Iterator[str]:
    for tag in (wanted, default):
        parts = tag.lower().split("-") if tag else []
        for length in range(len(parts), 0, -1):
            yield "-".join(parts[:length])


@lru_cache(maxsize=256)
def _spoken(slate: Slate, order: tuple[str, ...]) -> Slate:
    """Return the slate without the treatments that are not in their action's first language of ``order``."""
    best: dict[int, str] = {}
    rows = list(zip(slate.action.tolist(), slate.language, slate.unfit.tolist(), strict=True))
    for tag in order:
        for action, language, stop in rows:
            if language == tag and not stop:
                best.setdefault(action, tag)
    other = [not stop and best.get(action, language) != language for action, language, stop in rows]
    unfit = np.where(other, np.int32(Reason.OTHER_LANGUAGE), slate.unfit)
    return replace(slate, unfit=unfit, several=_several(slate.action, unfit))


def _several(action: NDArray[np.intp], unfit: NDArray[np.int32]) -> bool:
    """Whether some action has more than one row that fits."""
    fitting = action[unfit == 0]
    return len(np.unique(fitting)) < len(fitting)
