"""What each service answers: rows in, rows out, with one call of the model for all of them.

A row is checked before it joins a batch: what is wrong with one is never another caller's error.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, TypeVar

import msgspec
import numpy as np

from features.realtime_features import REALTIME_V1
from moment.errors import InvalidRequest
from serving.adapters.bundles import BundleScorer, BundleSegmenter, ModelRows
from serving.api.decoding import instant, scalars, structured
from serving.bundles import PropensityBundle, SegmentationBundle
from serving.decision.actions import Candidate
from serving.decision.catalogue import Catalogue
from serving.decision.choose import choose
from serving.decision.context import complete_context, zone_of
from serving.decision.decision import Decision, Offer, Scores
from serving.decision.requested import requested_slates
from serving.decision.seeded import Seeded
from serving.decision.shortlist import Shortlist, shortlist
from serving.decision.values import Consent, Customer, History, Purpose, Request
from serving.ports import Clock, CustomerFacts, Scope
from serving.records import Mode
from serving.services.columns import facts_of
from serving.services.schemas import (
    ActionScore,
    NextBestActionAnswer,
    NextBestActionRequest,
    NextBestActionRow,
    NextBestActionScore,
    PersonaNear,
    PickAnswered,
    PlacementPicked,
    PropensityAnswer,
    PropensityRequest,
    PropensityRow,
    PropensityScore,
    SegmentationAnswer,
    SegmentationRequest,
    SegmentationRow,
    SegmentationScore,
)
from serving.use_cases.access import EARLIEST, LATEST, Caller
from serving.use_cases.asking import Ask
from serving.use_cases.consent_masks import FeatureMasks
from serving.use_cases.question import customer_of, request_of

R = TypeVar("R", bound=msgspec.Struct)

_CALLER = Caller("scores", Mode.TEST, frozenset(Scope))
"""Who asks the core: nobody who counts. Whoever sends all features may also assert what systems set."""


class Scoring(Protocol):
    """A model that answers rows. What goes over BentoML's batching is plain data; what comes of it, too."""

    @property
    def versions(self) -> Mapping[str, str]:
        """Digests of what answers, by the fields of the answer."""
        ...

    def check(self, body: bytes) -> None:
        """Refuse a body that cannot be answered: InvalidRequest with code and field."""
        ...

    def score(self, rows: Sequence[Mapping[str, object]]) -> list[msgspec.Struct]:
        """Answer rows that were checked, all in one call of the model."""
        ...


@dataclass(frozen=True, slots=True)
class SegmentationScoring:
    """Personas of customers.

    Parameters
    ----------
    bundle
        The model.
    """

    bundle: SegmentationBundle

    @property
    def versions(self) -> Mapping[str, str]:
        """The model's digest."""
        return {"version": self.bundle.digest}

    def check(self, body: bytes) -> None:
        """Refuse a body that cannot be answered."""
        asked = structured(_SEGMENTATION, body)
        for place, row in enumerate(asked.rows):
            self._facts(row, place)

    def score(self, rows: Sequence[Mapping[str, object]]) -> list[msgspec.Struct]:
        """Return each row's persona."""
        read = [msgspec.convert(row, SegmentationRow) for row in rows]
        return [self._score(self._facts(row, place)) for place, row in enumerate(read)]

    def _facts(self, row: SegmentationRow, place: int) -> CustomerFacts:
        return facts_of(row.features, self.bundle.contract, f"rows[{place}].features")

    def _score(self, facts: CustomerFacts) -> SegmentationScore:
        model = self.bundle.model
        persona = self.bundle.assign(facts.values)
        if persona is None:
            return SegmentationScore(None, ())
        distances = np.sqrt(((np.asarray(model.centres) - model.point(facts.values)) ** 2).sum(axis=1))
        near = [
            PersonaNear(one.name, float(distance))
            for one, distance in zip(model.personas, distances, strict=True)
        ]
        return SegmentationScore(persona.name, tuple(sorted(near, key=lambda one: one.distance)))


class PropensityScoring:
    """Propensities of actions for customers.

    Parameters
    ----------
    bundle
        The model.
    catalogue
        Whose actions are scored.
    """

    def __init__(self, bundle: PropensityBundle, catalogue: Catalogue) -> None:
        self._contract = bundle.contract
        self._catalogue = catalogue
        self._scorer = BundleScorer(bundle, catalogue.actions)
        # A score is of an action, whichever treatment shows it
        self._candidates = {str(one.action.action_id): one for one in reversed(catalogue.candidates)}

    @property
    def versions(self) -> Mapping[str, str]:
        """Digests of the model and of the catalogue."""
        return {"version": self._scorer.version, "catalogue": self._catalogue.digest}

    def check(self, body: bytes) -> None:
        """Refuse a body that cannot be answered."""
        for place, row in enumerate(structured(_PROPENSITY, body).rows):
            self._facts(row, place)
            self._contenders(row, place)

    def score(self, rows: Sequence[Mapping[str, object]]) -> list[msgspec.Struct]:
        """Return the scores of all rows from one call of the model."""
        read = [msgspec.convert(row, PropensityRow) for row in rows]
        asked = [
            self._scorer.rows(self._facts(row, place), self._contenders(row, place), row.slots)
            for place, row in enumerate(read)
        ]
        return [
            PropensityScore(
                tuple(
                    ActionScore(action, float(raw), float(propensity))
                    for action, raw, propensity in zip(row.actions, one.raw, one.propensity, strict=True)
                )
            )
            for row, one in zip(read, self._scorer.score_all(asked), strict=True)
        ]

    def _facts(self, row: PropensityRow, place: int) -> CustomerFacts:
        return facts_of(row.features, self._contract, f"rows[{place}].features")

    def _contenders(self, row: PropensityRow, place: int) -> list[Candidate]:
        for index, action in enumerate(row.actions):
            field = f"rows[{place}].actions[{index}]"
            if action not in self._candidates:
                raise InvalidRequest(
                    "no such action competes in the catalogue", code="unknown-action", field=field
                )
            if row.actions.index(action) != index:
                raise InvalidRequest("each action is asked for once", code="invalid-value", field=field)
        return [self._candidates[action] for action in row.actions]


@dataclass(frozen=True, slots=True)
class _Asked:
    """A row, as the core takes it."""

    facts: CustomerFacts
    customer: Customer
    request: Request
    now: datetime
    seed: int


class NextBestActionScoring:
    """What a policy picks, of nothing but what a row says: no history, limits, budgets, stops, experiments.

    Parameters
    ----------
    catalogue
        The policy.
    propensity, segmentation
        The models it is used with.
    clock
        The time, for rows that name none.
    policy
        Digest of the policy's bundle; without one, the catalogue's.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        propensity: PropensityBundle,
        segmentation: SegmentationBundle,
        clock: Clock,
        policy: str = "",
    ) -> None:
        contract = propensity.contract
        self._catalogue = catalogue
        self._policy = policy
        self._contract = contract
        self._scorer = BundleScorer(propensity, catalogue.actions)
        self._segmenter = BundleSegmenter(segmentation)
        self._clock = clock
        self._masks = FeatureMasks((*contract.features, *REALTIME_V1.features))
        self._scalars = tuple(spec.name for spec in (*contract.scalars, *REALTIME_V1.scalars))

    @property
    def versions(self) -> Mapping[str, str]:
        """Digests of the policy and of both models."""
        return {
            "version": self._policy or self._catalogue.digest,
            "propensity": self._scorer.version,
            "segmentation": self._segmenter.version,
        }

    def check(self, body: bytes) -> None:
        """Refuse a body that cannot be answered."""
        for place, row in enumerate(structured(_NEXT_BEST_ACTION, body).rows):
            asked = self._asked(row, place)
            with _within(f"rows[{place}]"):
                requested_slates(asked.request, self._catalogue)
                zone = zone_of(asked.customer.timezone, self._catalogue.timezone)
                complete_context(asked.request, self._catalogue.context, asked.now, zone)

    def score(self, rows: Sequence[Mapping[str, object]]) -> list[msgspec.Struct]:
        """Return what is picked for each row; all are scored in one call of the model."""
        read = [msgspec.convert(row, NextBestActionRow) for row in rows]
        asked = [self._asked(row, place) for place, row in enumerate(read)]
        left = [shortlist(one.request, self._catalogue, one.customer, History(), one.now) for one in asked]
        competing = [place for place, one in enumerate(left) if one.contenders]
        scored = self._scorer.score_all([self._model_rows(asked[place], left[place]) for place in competing])
        scores = dict(zip(competing, scored, strict=True))
        return [_picked(one, left[place], scores.get(place)) for place, one in enumerate(asked)]

    def _model_rows(self, asked: _Asked, left: Shortlist) -> ModelRows:
        slots = sum(placement.slots for placement in asked.request.placements)
        return self._scorer.rows(asked.facts, left.contenders, slots)

    def _asked(self, row: NextBestActionRow, place: int) -> _Asked:
        consent = Consent(frozenset({Purpose.SERVICE, *row.purposes}))
        facts = facts_of(row.features, self._contract, f"rows[{place}].features", REALTIME_V1)
        facts = self._masks(facts, consent) if facts.found else facts
        ask = Ask(
            customer_id=None,
            channel=row.channel,
            placements=tuple(
                (one.name, None if one.slots is msgspec.UNSET else one.slots) for one in row.placements
            ),
            context=scalars(row.context, f"rows[{place}].context"),
            language=None if row.language is msgspec.UNSET else row.language,
        )
        segment = self._segmenter.assign(facts) if facts.found else None
        return _Asked(
            facts=facts,
            customer=customer_of(_CALLER, ask, facts, segment, self._scalars, consent=consent),
            request=request_of(_CALLER, ask, self._catalogue, consent),
            now=self._clock() if row.at is msgspec.UNSET else _instant(row.at, f"rows[{place}].at"),
            seed=secrets.randbits(53) if row.seed is msgspec.UNSET else row.seed,
        )


@contextmanager
def _within(place: str) -> Iterator[None]:
    """Name the row in which the core found something wrong."""
    try:
        yield
    except InvalidRequest as error:
        field = place if error.field is None else f"{place}.{error.field}"
        raise InvalidRequest(str(error), code=error.code, field=field) from error


def _instant(text: str, field: str) -> datetime:
    named = instant(text, field)
    if not EARLIEST <= named < LATEST:
        raise InvalidRequest(
            f"the time must be from {EARLIEST:%Y} to {LATEST:%Y}", code="time-out-of-range", field=field
        )
    return named


def _picked(asked: _Asked, left: Shortlist, scores: Scores | None) -> NextBestActionScore:
    decision = choose(left, scores, left.history, Seeded(asked.seed))
    customer = asked.customer
    return NextBestActionScore(
        asked.now, asked.seed, customer.profile, customer.segment, _placements(decision)
    )


def _placements(decision: Decision) -> tuple[PlacementPicked, ...]:
    return tuple(
        PlacementPicked(filled.name, filled.reason, tuple(_pick(offer) for offer in filled.offers))
        for filled in decision.placements
    )


def _pick(offer: Offer) -> PickAnswered:
    return PickAnswered(
        rank=offer.rank,
        action=str(offer.candidate.action.action_id),
        treatment=str(offer.candidate.treatment.treatment_id),
        kind=offer.kind,
        raw=offer.raw,
        propensity=offer.propensity,
        priority=offer.priority,
        action_probability=offer.action_probability,
    )


_SEGMENTATION = msgspec.json.Decoder(SegmentationRequest)
_PROPENSITY = msgspec.json.Decoder(PropensityRequest)
_NEXT_BEST_ACTION = msgspec.json.Decoder(NextBestActionRequest)

ANSWERS: Mapping[str, type[msgspec.Struct]] = {
    "segmentation": SegmentationAnswer,
    "propensity": PropensityAnswer,
    "next-best-action": NextBestActionAnswer,
}
"""What each service answers with."""
