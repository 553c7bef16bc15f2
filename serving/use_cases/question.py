"""What is read once for one request, however many attempts it takes to decide it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import cast

from features.contract import FeatureValue
from serving.decision.catalogue import Catalogue
from serving.decision.contact_plan import Lookback
from serving.decision.masks import masked_context
from serving.decision.values import (
    NOTHING_STOPPED,
    Consent,
    Customer,
    CustomerId,
    PlacementRequest,
    ProfileKind,
    Request,
    Scalar,
    Stopped,
)
from serving.ports import CustomerFacts, Scope
from serving.records import ExperimentArm, Mode, RecordedStop
from serving.use_cases.access import Caller
from serving.use_cases.asking import Ask
from serving.use_cases.tracking import Tracking

DEFAULT_CONSENT = Consent()
"""What holds for somebody nobody knows: absent consent is no, but for service."""


class Stages:
    """How long each stage took, all attempts together."""

    def __init__(self) -> None:
        self._nanoseconds: dict[str, int] = {}

    def __call__(self, name: str) -> _Stage:
        """Time a stage."""
        return _Stage(self._nanoseconds, name)

    @property
    def milliseconds(self) -> dict[str, float]:
        """By stage, in whole microseconds."""
        return {name: taken // 1000 / 1000 for name, taken in self._nanoseconds.items()}


class _Stage:
    """Times what is done within it; what fails is not noted."""

    __slots__ = ("_name", "_nanoseconds", "_started")

    def __init__(self, nanoseconds: dict[str, int], name: str) -> None:
        self._nanoseconds = nanoseconds
        self._name = name

    def __enter__(self) -> None:
        self._started = time.perf_counter_ns()

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            taken, before = time.perf_counter_ns() - self._started, self._nanoseconds.get(self._name, 0)
            self._nanoseconds[self._name] = before + taken


@dataclass(frozen=True, slots=True, eq=False)
class Question:
    """One request, and the customer as known when it came.

    Parameters
    ----------
    decision_id, received_at, now
        The id of the decision to be; when it was asked for; the instant it is decided for.
    facts, customer, request
        What the feature store knows; the same and the request as the core sees them.
    back
        How far to look back.
    degraded
        What could not be read of the customer.
    stages
        Takes the time of each stage.
    tracking
        Signs the tracking ids of its offers.
    stops
        What was off when it came.
    approvals
        Of each model by name, whether what decides was approved when it came.
    arms
        The challenger's arm the customer is in, if any: the catalogue knows nothing of it.
    """

    caller: Caller
    ask: Ask
    decision_id: str
    received_at: datetime
    now: datetime
    facts: CustomerFacts
    customer: Customer
    request: Request
    back: Lookback
    stages: Stages
    tracking: Tracking
    degraded: tuple[str, ...] = ()
    stops: tuple[RecordedStop, ...] = ()
    approvals: Mapping[str, str] = field(default_factory=dict)
    arms: tuple[ExperimentArm, ...] = ()


def customer_of(
    caller: Caller,
    ask: Ask,
    facts: CustomerFacts,
    segment: str | None,
    scalars: Sequence[str],
    *,
    consent: Consent | None = DEFAULT_CONSENT,
) -> Customer:
    """Return the customer as the core sees them.

    Control, holdout and experiments are drawn by the customer id. Test traffic is in none of them, nor is
    somebody who does not say who they are. What language they speak here is the channel's to say; where it
    does not, it is the one they are known to speak.
    """
    values = cast("Mapping[str, Scalar]", facts.values)
    return Customer(
        customer_id=None if ask.customer_id is None else CustomerId(ask.customer_id),
        profile=ProfileKind.KNOWN if facts.found else ProfileKind.NONE,
        features={name: values[name] for name in scalars if name in values},
        segment=segment,
        timezone=_word(facts.values.get("timezone")),
        language=ask.language or _word(facts.values.get("language")),
        consent=consent,
        unit=ask.customer_id if caller.mode is Mode.LIVE else None,
    )


def request_of(
    caller: Caller,
    ask: Ask,
    catalogue: Catalogue,
    consent: Consent | None = DEFAULT_CONSENT,
    stopped: Stopped = NOTHING_STOPPED,
) -> Request:
    """Return the request as the core sees it, with as many slots as a placement has where none are named.

    What the channel sent of the customer is unknown where they do not consent to its purpose.
    """
    return Request(
        channel=ask.channel,
        placements=tuple(_placement(catalogue, ask.channel, name, slots) for name, slots in ask.placements),
        context=_seen(ask, catalogue, consent),
        trusted=Scope.ASSERT_CONTEXT in caller.scopes,
        force=ask.force,
        stopped=stopped,
    )


def _seen(ask: Ask, catalogue: Catalogue, consent: Consent | None) -> Mapping[str, Scalar]:
    purposes = {one.name: one.purpose for one in catalogue.context if one.purpose is not None}
    return masked_context(ask.context, purposes, consent) if purposes and ask.context else ask.context


def _placement(catalogue: Catalogue, channel: str, name: str, slots: int | None) -> PlacementRequest:
    if slots is None:
        known = catalogue.placement(channel, name)
        slots = 1 if known is None else known.slots
    return PlacementRequest(name, slots)


def _word(value: FeatureValue) -> str | None:
    return value if isinstance(value, str) and value else None
