"""Everything held about a customer, for who asks for access to their own data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from features.contract import FeatureSpec
from moment.errors import InvalidRequest
from serving.decision.consent_ledger import ConsentEntry
from serving.ports import (
    NOBODY,
    Clock,
    Consents,
    CustomerFacts,
    CustomerFeatures,
    DecisionRecords,
    Erasures,
    HeldEvent,
    HeldOutcome,
    HeldRows,
    Identities,
    LinkedIdentity,
    Past,
    RealtimeFeatures,
    Scope,
)
from serving.records import DecisionRecord
from serving.use_cases.access import Caller

MOST = 10_000
"""How many decisions, outcomes and events are told at most, the newest."""


@dataclass(frozen=True, slots=True)
class Held:
    """What is held about a customer; of somebody nobody knows, nothing."""

    customer_id: str
    as_of: datetime
    facts: CustomerFacts
    specs: Mapping[str, FeatureSpec]
    consents: tuple[ConsentEntry, ...] = ()
    identities: tuple[LinkedIdentity, ...] = ()
    decisions: tuple[DecisionRecord, ...] = ()
    outcomes: tuple[HeldOutcome, ...] = ()
    events: tuple[HeldEvent, ...] = ()


@dataclass(frozen=True, slots=True)
class ExportCustomer:
    """The use case.

    The customer's own features are told whole: masks are for those who decide, not for whom it is about.
    """

    features: CustomerFeatures
    realtime: RealtimeFeatures | None
    consents: Consents
    identities: Identities
    records: DecisionRecords
    held: HeldRows
    erasures: Erasures
    clock: Clock

    def __call__(self, caller: Caller, customer_id: str) -> Held:
        """Return everything, of the caller's mode; of an erased customer what is known of nobody.

        Raises
        ------
        InvalidRequest
            The caller speaks for one channel alone, or asks about too many customers.
        DependencyError
            A store does not answer: an answer with a part missing would be wrong.
        """
        caller.require(Scope.EXPORT_CUSTOMERS)
        if caller.channel is not None:
            raise InvalidRequest(
                "an export tells of every channel; ask with a key that is bound to none",
                code="channel-not-allowed",
            )
        caller.ask_about(customer_id)
        now = self.clock()
        specs = {spec.name: spec for spec in self.features.contract.features}
        if self.realtime is not None:
            specs |= {spec.name: spec for spec in self.realtime.contract.features}
        if self.erasures.receipt(customer_id) is not None:
            return Held(customer_id, now, NOBODY, specs)
        facts = self.features.read(customer_id, now)
        if self.realtime is not None:
            facts = facts.joined(self.realtime.read(customer_id, mode=caller.mode, now=now))
        return Held(
            customer_id=customer_id,
            as_of=now,
            facts=facts,
            specs=specs,
            consents=self.consents.entries(customer_id, mode=caller.mode),
            identities=self.identities.of_customer(customer_id, mode=caller.mode),
            decisions=self.records.history(customer_id, Past(caller.mode, MOST)),
            outcomes=self.held.outcomes(customer_id, mode=caller.mode, limit=MOST),
            events=self.held.events(customer_id, mode=caller.mode, limit=MOST),
        )
