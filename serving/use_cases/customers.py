"""What is known of one customer: features with their state and age, persona, latest and earlier decisions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from features.contract import FeatureSpec
from serving.decision.values import ProfileKind
from serving.lifecycle import Model
from serving.ports import (
    Clock,
    Consents,
    CustomerFacts,
    CustomerFeatures,
    DecisionRecords,
    Past,
    Place,
    RealtimeFeatures,
)
from serving.records import DecisionRecord, Mode
from serving.use_cases.access import Caller
from serving.use_cases.consent_masks import FeatureMasks
from serving.use_cases.version_set import LiveState

LATEST_DECISIONS = 10


@dataclass(frozen=True, slots=True)
class CustomerView:
    """The 360 view of one customer at a time. For one nobody has features of: no persona either."""

    customer_id: str
    profile: ProfileKind
    as_of: datetime
    segment: str | None
    facts: CustomerFacts
    specs: tuple[FeatureSpec, ...]
    decisions: tuple[DecisionRecord, ...]


@dataclass(frozen=True, slots=True)
class ViewCustomer:
    """The use case."""

    features: CustomerFeatures
    live: LiveState
    records: DecisionRecords
    consents: Consents
    clock: Clock
    realtime: RealtimeFeatures | None = None

    def __call__(self, caller: Caller, customer_id: str, time: datetime | None = None) -> CustomerView:
        """Return what is known at ``time`` (test keys) or now, with the decisions the caller may see.

        What the customer's consents keep from decisions is kept from the view, and from the persona.

        Raises
        ------
        InvalidRequest
            The caller may not set the time, or asks about too many customers.
        DependencyError
            A store does not answer.
        """
        caller.set_time(time, field="time")
        caller.ask_about(customer_id)
        now = time or self.clock()
        facts = self.features.read(customer_id, now)
        if not facts.found:
            return CustomerView(
                customer_id, ProfileKind.NONE, now, None, facts, (), self._latest(caller, customer_id)
            )
        specs = self.features.contract.features
        if self.realtime is not None:
            facts = facts.joined(self.realtime.read(customer_id, mode=caller.mode, now=now))
            specs += self.realtime.contract.features
        consent = self.consents.read(
            customer_id, mode=caller.mode, channel=caller.channel or "", now=self.clock()
        )
        facts = FeatureMasks(specs)(facts, consent)
        return CustomerView(
            customer_id=customer_id,
            profile=ProfileKind.KNOWN,
            as_of=now,
            segment=self._segment(facts, customer_id, caller),
            facts=facts,
            specs=specs,
            decisions=self._latest(caller, customer_id),
        )

    def _latest(self, caller: Caller, customer_id: str) -> tuple[DecisionRecord, ...]:
        return self.records.history(customer_id, Past(caller.mode, LATEST_DECISIONS, channel=caller.channel))

    def _segment(self, facts: CustomerFacts, customer_id: str, caller: Caller) -> str | None:
        """Return the persona that a decision now would be made with."""
        live = self.live.now
        if live.standstill.has(Model.SEGMENTATION):
            return None
        by, _ = live.assigned(customer_id if caller.mode is Mode.LIVE else None)
        return by.segmenter.assign(facts)


@dataclass(frozen=True, slots=True)
class HistoryPage:
    """Some of a customer's decisions, newest first; `rest` is where the next page goes on, if one does."""

    decisions: tuple[DecisionRecord, ...]
    rest: Place | None


@dataclass(frozen=True, slots=True)
class ViewHistory:
    """The use case: a customer's decisions, page by page.

    Nobody can tell from the answer whether a customer is unknown, erased, or only known to other channels.
    """

    records: DecisionRecords

    def __call__(self, caller: Caller, customer_id: str, wanted: Past) -> HistoryPage:
        """Return the decisions that fit and that the caller may see.

        Raises
        ------
        InvalidRequest
            The caller asks about too many customers.
        DependencyError
            The store does not answer.
        """
        caller.ask_about(customer_id)
        channel = wanted.channel or caller.channel
        if caller.channel not in (None, channel):
            return HistoryPage((), None)
        one_more = replace(wanted, mode=caller.mode, channel=channel, limit=wanted.limit + 1)
        found = self.records.history(customer_id, one_more)
        page = found[: wanted.limit]
        rest = Place(page[-1].decided_at, page[-1].decision_id) if len(found) > len(page) else None
        return HistoryPage(page, rest)
