"""What a decision policy answers to some fixed requests: its golden predictions.

The requests are drawn from the catalogue itself, once, when its bundle is written, and lie in the bundle: for
every channel somebody nobody knows, somebody known of whom nothing is known, and some with values drawn for
the columns its rules read. Scores are made of names, so that no model is needed. Analysts' golden decisions
say what should come out; these say that the same comes out wherever the bundle is opened.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta

import msgspec
import numpy as np

from serving.decision.actions import ContextField, SetBy
from serving.decision.catalogue import Catalogue
from serving.decision.columns import Column, ColumnType
from serving.decision.decide import decide
from serving.decision.decision import Decision, Scores
from serving.decision.shortlist import Shortlist
from serving.decision.values import (
    ActionId,
    Consent,
    Contact,
    Customer,
    CustomerId,
    History,
    PlacementRequest,
    ProfileKind,
    Purpose,
    Request,
    Scalar,
)

TOLERANCE = 1e-9
"""Largest difference between a golden action probability and its recomputation."""

_DRAWN = 6
_MOST_SLOTS = 3
_CONTACTS = 3
_SEED = 20260301
_UNKNOWN = 0.15
_NUMBERS = (0, 1, 2, 5, 10, 18, 30, 45, 70, 100, 500, 5000)
_WORDS = ("", "en", "yes")
_TIMES = (
    datetime(2026, 3, 4, 11, tzinfo=UTC),
    datetime(2026, 7, 11, 19, 30, tzinfo=UTC),
    datetime(2027, 1, 5, 6, 15, tzinfo=UTC),
)


class Question(msgspec.Struct, frozen=True):
    """One fixed request.

    Parameters
    ----------
    channel, placements, context, at, seed
        What is asked, when, and what the draw begins with.
    features
        Of the customer; None is somebody nobody knows.
    consents
        Purposes the customer consented to.
    unit
        What control, holdout and experiments are drawn by.
    contacts
        Action and age in hours of what was offered and presented before.
    """

    channel: str
    placements: dict[str, int]
    context: dict[str, Scalar]
    at: datetime
    seed: int
    features: dict[str, Scalar] | None
    consents: tuple[Purpose, ...]
    unit: str | None
    contacts: tuple[tuple[str, int], ...] = ()


class Offered(msgspec.Struct, frozen=True):
    """One offer of an answer: treatment, how it came to be, its priority and its action probability."""

    treatment: str
    kind: str
    priority: float | None
    probability: float


class Answer(msgspec.Struct, frozen=True):
    """What a request comes out as: offers and reason by placement, and how many candidates came how far."""

    offers: dict[str, tuple[Offered, ...]]
    reasons: dict[str, str]
    funnel: tuple[int, ...]

    def is_as(self, other: Answer) -> bool:
        """Whether two answers are the same, numbers within the tolerance."""
        if (self.reasons, self.funnel, set(self.offers)) != (other.reasons, other.funnel, set(other.offers)):
            return False
        pairs = [(mine, other.offers[place]) for place, mine in self.offers.items()]
        return all(
            len(mine) == len(theirs) and all(_same(*both) for both in zip(mine, theirs, strict=True))
            for mine, theirs in pairs
        )


class Answers(msgspec.Struct, frozen=True):
    """The file ``answers.json``: questions, what they come out as, and what had been read when they did."""

    questions: tuple[Question, ...]
    answers: tuple[Answer, ...]
    read_as: dict[str, str]


def questions_for(
    catalogue: Catalogue, columns: Mapping[str, Column], *, seed: int = _SEED
) -> tuple[Question, ...]:
    """Draw the fixed requests of a catalogue."""
    return tuple(_questions(catalogue, columns, np.random.default_rng(seed)))


def answer(catalogue: Catalogue, question: Question) -> Answer:
    """Return what a request comes out as."""
    history = History(contacts=tuple(_contacts(catalogue, question)))
    rng = np.random.default_rng(question.seed)
    scorer = _NameScorer(question.seed)
    return _told(
        decide(_request(question), catalogue, _customer(question), history, question.at, scorer, rng)
    )


class _NameScorer:
    """Propensities made of names. It is part of what bundles hold: another one would refuse them all."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def __call__(self, shortlist: Shortlist) -> Scores:
        names = [f"{self._seed} {one.action.action_id}" for one in shortlist.contenders]
        drawn = [int.from_bytes(hashlib.sha256(name.encode()).digest()[:6], "big") for name in names]
        propensity = np.array(drawn, dtype=np.float64) / 2**48
        return Scores(raw=propensity, propensity=propensity)


def _questions(
    catalogue: Catalogue, columns: Mapping[str, Column], rng: np.random.Generator
) -> Iterator[Question]:
    everything = tuple(Purpose)
    for channel in catalogue.channels:
        places = {
            one.name: min(one.slots, _MOST_SLOTS) for one in catalogue.placements if one.channel == channel
        }
        for number in range(_DRAWN + 2):
            known = number > 0
            features = {name: _value(column, rng) for name, column in sorted(columns.items())}
            yield Question(
                channel=channel,
                placements=places,
                context={one.name: _value(_column(one), rng) for one in catalogue.context if _is_sent(one)},
                at=_TIMES[number % len(_TIMES)],
                seed=int(rng.integers(2**31)),
                features=(features if number > 1 else {}) if known else None,
                # The last but one agrees to nothing but service
                consents=everything if number != _DRAWN else (Purpose.SERVICE,),
                unit=f"golden {channel} {number}" if known else None,
                contacts=tuple(_offered_before(catalogue, rng)) if number % 2 else (),
            )


def _offered_before(catalogue: Catalogue, rng: np.random.Generator) -> Iterator[tuple[str, int]]:
    for _ in range(_CONTACTS if catalogue.actions else 0):
        place = int(rng.integers(len(catalogue.actions)))
        yield str(catalogue.actions[place].action_id), int(rng.integers(1, 24 * 10))


def _is_sent(declared: ContextField) -> bool:
    return declared.set_by is not SetBy.MOMENT


def _column(declared: ContextField) -> Column:
    return Column(declared.type, declared.categories)


def _value(column: Column, rng: np.random.Generator) -> Scalar:
    if rng.random() < _UNKNOWN:
        return None
    match column.type:
        case ColumnType.BOOL:
            return bool(rng.random() < 0.5)
        case ColumnType.INT:
            return _NUMBERS[int(rng.integers(len(_NUMBERS)))]
        case ColumnType.FLOAT:
            return _NUMBERS[int(rng.integers(len(_NUMBERS)))] + 0.5
        case ColumnType.STRING:
            words = column.categories or _WORDS
            return words[int(rng.integers(len(words)))]


def _request(question: Question) -> Request:
    return Request(
        channel=question.channel,
        placements=tuple(PlacementRequest(name, slots) for name, slots in question.placements.items()),
        context=question.context,
        trusted=True,
    )


def _customer(question: Question) -> Customer:
    known = question.features is not None
    return Customer(
        CustomerId("golden") if known else None,
        ProfileKind.KNOWN if known else ProfileKind.NONE,
        question.features or {},
        consent=Consent(frozenset(question.consents)),
        unit=question.unit,
    )


def _contacts(catalogue: Catalogue, question: Question) -> Iterator[Contact]:
    by_age = sorted(question.contacts, key=lambda one: -one[1])
    for number, (action_id, hours) in enumerate(by_age):
        action, at = catalogue.action(action_id), question.at - timedelta(hours=hours)
        yield Contact(
            tracking_id=f"golden-{number}",
            action_id=ActionId(action_id),
            group=action.group,
            issue=action.issue,
            channel=question.channel,
            decided_at=at,
            reserved_until=at + timedelta(minutes=40),
            presented_at=at + timedelta(minutes=1),
        )


def _told(decision: Decision) -> Answer:
    funnel = decision.funnel
    return Answer(
        offers={
            filled.name: tuple(
                Offered(
                    str(offer.candidate.treatment.treatment_id),
                    offer.kind.value,
                    offer.priority,
                    offer.action_probability,
                )
                for offer in filled.offers
            )
            for filled in decision.placements
        },
        reasons={filled.name: filled.reason.value for filled in decision.placements},
        funnel=(
            funnel.considered,
            funnel.available,
            funnel.eligible,
            funnel.applicable,
            funnel.suitable,
            funnel.within_contact_policy,
            funnel.scored,
            funnel.shown,
        ),
    )


def _same(mine: Offered, theirs: Offered) -> bool:
    return (
        (mine.treatment, mine.kind) == (theirs.treatment, theirs.kind)
        and _close(mine.priority, theirs.priority)
        and _close(mine.probability, theirs.probability)
    )


def _close(mine: float | None, theirs: float | None) -> bool:
    if mine is None or theirs is None:
        return mine is theirs
    return math.isclose(mine, theirs, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
