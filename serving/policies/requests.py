"""Recorded requests, decided again by another catalogue: with what was known then, and nothing stopped."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from moment.errors import DependencyError, InvalidRequest, InvariantViolation
from serving.catalogue.golden import Golden
from serving.catalogue.golden_case import Propensities, request_of
from serving.catalogue.golden_given import customer_of, history_of
from serving.decision.actions import Action
from serving.decision.catalogue import Catalogue
from serving.decision.choose import choose
from serving.decision.decision import Decision, OfferKind, Scores
from serving.decision.seeded import Seeded
from serving.decision.shortlist import Shortlist, shortlist
from serving.decision.values import NOTHING_STOPPED, Customer, History, Request
from serving.ports import Scorer
from serving.records import DecisionRecord, Mode
from serving.use_cases import deciding_again
from serving.use_cases.decide import ATTEMPTS, CONSENTS, CONTACTS, FEATURES, PROPENSITY

ScorerFor = Callable[[str, Sequence[Action]], Scorer | None]
"""From the digest of a propensity bundle to a scorer for some actions: ``ModelArchive.scorer``."""

_HINDERED = frozenset({FEATURES, CONTACTS, CONSENTS, PROPENSITY})
_RUNS = 5


@dataclass(frozen=True, slots=True)
class Reached:
    """What came of one request.

    Parameters
    ----------
    marketing
        Whether there is at least one offer of marketing that competed.
    first
        The first action of each placement, None where there is none.
    actions
        Everything that competed and was offered.
    """

    marketing: bool
    first: tuple[str | None, ...]
    actions: frozenset[str]


NOTHING_REACHED = Reached(marketing=False, first=(), actions=frozenset())
"""What comes of a request that a catalogue does not take any more."""


def representative(recorded: Iterable[DecisionRecord], most: int) -> tuple[DecisionRecord, ...]:
    """Return the newest live requests that say something of a policy when decided again, at most so many.

    Not of them: what is erased, forced, or was decided while something it needs was gone or stopped.
    """
    fit = [record for record in recorded if _is_fit(record)]
    return tuple(sorted(fit, key=lambda record: (record.decided_at, record.decision_id))[-most:])


def _is_fit(record: DecisionRecord) -> bool:
    hindered = _HINDERED.intersection(record.degraded) or any(stop.kind == "model" for stop in record.stops)
    live = record.mode is Mode.LIVE and record.force is None and record.attempt <= ATTEMPTS
    return live and record.personal is not None and not hindered


def recorded_reach(record: DecisionRecord, catalogue: Catalogue) -> Reached:
    """Return what was answered; an action the catalogue does not have any more counts as marketing."""
    names = {str(action.action_id): action.is_marketing for action in catalogue.actions}
    competed = [
        offer.action
        for placement in record.placements
        for offer in placement.offers
        if offer.kind is OfferKind.ARBITRATED
    ]
    return Reached(
        marketing=any(names.get(action, True) for action in competed),
        first=tuple(
            placement.offers[0].action if placement.offers else None for placement in record.placements
        ),
        actions=frozenset(competed),
    )


@dataclass(slots=True)
class Redecide:
    """Decides recorded requests by one catalogue.

    Parameters
    ----------
    catalogue
        What decides.
    known
        Catalogues by digest whose records' scores can be read.
    scorer_for
        Finds the model that a record cites, for actions that were not scored then; None: nobody does.
    unscored
        How many contenders nobody could score.
    refused
        How many requests the catalogue does not take.
    """

    catalogue: Catalogue
    known: dict[str, Catalogue]
    scorer_for: ScorerFor | None = None
    unscored: int = 0
    refused: int = 0
    _scorers: dict[str, Scorer | None] = field(default_factory=dict)

    def __call__(self, record: DecisionRecord) -> Reached:
        """Return what comes of a request."""
        try:
            decision = self.decide(record)
        except InvalidRequest:
            self.refused += 1
            return NOTHING_REACHED
        return _reached(decision)

    def decide(self, record: DecisionRecord) -> Decision:
        """Decide a request; InvalidRequest where the catalogue does not take it."""
        left = self._shortlist(record)
        scores = self._scores(record, left) if left.contenders else None
        return choose(left, scores, left.history, Seeded(record.seed))

    def milliseconds(self, record: DecisionRecord) -> float | None:
        """Return how long deciding takes without the model; None where the request is refused."""
        try:
            left = self._shortlist(record)
        except InvalidRequest:
            return None
        scores = self._scores(record, left) if left.contenders else None
        request, customer, history = _inputs(record, self.catalogue)
        return _timed(
            lambda: shortlist(request, self.catalogue, customer, history, record.decided_at),
            scores,
            record.seed,
        )

    def can_score(self, record: DecisionRecord) -> bool:
        """Whether what competes in a request can be scored: as it was then, or by the model it cites."""
        return record.versions.catalogue in self.known or self._scorer(record.versions.propensity) is not None

    def _shortlist(self, record: DecisionRecord) -> Shortlist:
        request, customer, history = _inputs(record, self.catalogue)
        return shortlist(request, self.catalogue, customer, history, record.decided_at)

    def _scores(self, record: DecisionRecord, left: Shortlist) -> Scores:
        """Return recorded scores, and the model's of what was not scored then."""
        names = [str(one.treatment.treatment_id) for one in left.contenders]
        known = self._recorded(record)
        columns = np.array([known.get(name, _UNKNOWN) for name in names])
        missing = np.isnan(columns[:, 1])
        if missing.any():
            asked = self._asked(record, left)
            if asked is not None:
                columns[missing] = asked[missing]
            self.unscored += int(np.isnan(columns[:, 1]).sum())
        evidence = None if np.isnan(columns[:, 2]).any() else columns[:, 2]
        return Scores(columns[:, 0], columns[:, 1], evidence)

    def _recorded(self, record: DecisionRecord) -> dict[str, tuple[float, float, float]]:
        catalogue, scored = self.known.get(record.versions.catalogue), record.scored
        if catalogue is None:
            return {}
        evidence = scored.evidence or [None] * len(scored.candidate)
        rows = zip(scored.candidate, scored.raw, scored.propensity, evidence, strict=True)
        names = catalogue.candidates
        return {
            str(names[index].treatment.treatment_id): (_number(raw), _number(propensity), _number(worth))
            for index, raw, propensity, worth in rows
        }

    def _asked(self, record: DecisionRecord, left: Shortlist) -> NDArray[np.float64] | None:
        """Return raw, propensity and evidence from the model the record cites, shape (n, 3)."""
        scorer, told = self._scorer(record.versions.propensity), record.personal
        if scorer is None or told is None:
            return None
        slots = sum(placement.slots for placement in left.request.placements)
        scores = scorer.score(deciding_again.facts_of(record, told), left.contenders, left.context, slots)
        evidence = np.full(len(scores.raw), np.nan) if scores.evidence is None else scores.evidence
        return np.column_stack([scores.raw, scores.propensity, evidence])

    def _scorer(self, digest: str) -> Scorer | None:
        if digest not in self._scorers:
            try:
                found = None if self.scorer_for is None else self.scorer_for(digest, self.catalogue.actions)
            except DependencyError:
                found = None
            self._scorers[digest] = found
        return self._scorers[digest]


def _inputs(record: DecisionRecord, catalogue: Catalogue) -> tuple[Request, Customer, History | None]:
    """Return what went into a decision, but for what was stopped."""
    told = record.personal
    if told is None:
        raise InvariantViolation("a record without its personal part was decided again; leave it out")
    request = deciding_again.request_of(record, told, catalogue)
    return (
        replace(request, stopped=NOTHING_STOPPED, force=None),
        deciding_again.customer_of(record, told),
        deciding_again.history_of(record, told),
    )


def golden_milliseconds(golden: Golden, catalogue: Catalogue) -> list[float]:
    """Return how long deciding each golden decision takes; without those that are refused."""
    return [spent for one in golden.decisions if (spent := _of_case(one.case, catalogue)) is not None]


def _of_case(case: object, catalogue: Catalogue) -> float | None:
    if not isinstance(case, dict):
        return None
    given, when = case.get("given") or {}, case["when"]
    request, customer = request_of(case), customer_of(given)
    history = history_of(given, catalogue, request.channel)

    def left() -> Shortlist:
        return shortlist(request, catalogue, customer, history, when["at"])

    try:
        scores = Propensities(when.get("propensities"), when.get("evidence"))(left())
    except InvalidRequest:
        return None
    return _timed(left, scores, when.get("seed", 1))


def _timed(left: Callable[[], Shortlist], scores: Scores | None, seed: int) -> float:
    """Return the median of some runs: one that the machine was busy in says nothing of a catalogue."""
    spent = []
    for _ in range(_RUNS):
        started = time.perf_counter_ns()
        found = left()
        choose(found, scores, found.history, Seeded(seed))
        spent.append((time.perf_counter_ns() - started) / 1e6)
    return statistics.median(spent)


def _reached(decision: Decision) -> Reached:
    competed = [offer for offer in decision.offers if offer.kind is OfferKind.ARBITRATED]
    return Reached(
        marketing=any(offer.candidate.action.is_marketing for offer in competed),
        first=tuple(
            str(filled.offers[0].candidate.action.action_id) if filled.offers else None
            for filled in decision.placements
        ),
        actions=frozenset(str(offer.candidate.action.action_id) for offer in competed),
    )


_UNKNOWN = (np.nan, np.nan, np.nan)


def _number(value: float | None) -> float:
    return np.nan if value is None else value
