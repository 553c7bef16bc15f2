"""What Moment needs from outside, as Protocols, and the values that cross the border.

Adapters implement these; only bootstrap chooses which.
"""

from __future__ import annotations

from serving.ports.access import (
    UNBOUNDED,
    Allowance,
    ApiKey,
    Bounds,
    FoundKey,
    Keys,
    Role,
    Scope,
    Secret,
    TokenClaims,
    Tokens,
)
from serving.ports.clock import Clock, Ids
from serving.ports.consents import Consents, Told
from serving.ports.contacts import CLOCK_SKEW, ContactLedger, Reservation, StaleHistory, Standing, Verdict
from serving.ports.customers import NOBODY, CustomerFacts, CustomerFeatures, Scorer, Segmenter
from serving.ports.erasure import (
    CustomerStore,
    ErasingTurns,
    Erasure,
    Erasures,
    HeldEvent,
    HeldOutcome,
    HeldRows,
)
from serving.ports.events import EventJournal, Journaled, JournalEntry, RealtimeFeatures
from serving.ports.identities import Identities, Identity, IdentityKind, LinkedIdentity, Resolved
from serving.ports.outcomes import KnownOutcome, OutcomeReport, Outcomes, Reporter
from serving.ports.records import (
    CatalogueArchive,
    DecisionRecords,
    Entry,
    Expiry,
    ModelArchive,
    Past,
    Place,
    Pruned,
    RetainedRecords,
)

__all__ = [
    "CLOCK_SKEW",
    "NOBODY",
    "UNBOUNDED",
    "Allowance",
    "ApiKey",
    "Bounds",
    "CatalogueArchive",
    "Clock",
    "Consents",
    "ContactLedger",
    "CustomerFacts",
    "CustomerFeatures",
    "CustomerStore",
    "DecisionRecords",
    "Entry",
    "ErasingTurns",
    "Erasure",
    "Erasures",
    "EventJournal",
    "Expiry",
    "FoundKey",
    "HeldEvent",
    "HeldOutcome",
    "HeldRows",
    "Identities",
    "Identity",
    "IdentityKind",
    "Ids",
    "JournalEntry",
    "Journaled",
    "Keys",
    "KnownOutcome",
    "LinkedIdentity",
    "ModelArchive",
    "OutcomeReport",
    "Outcomes",
    "Past",
    "Place",
    "Pruned",
    "RealtimeFeatures",
    "Reporter",
    "Reservation",
    "Resolved",
    "RetainedRecords",
    "Role",
    "Scope",
    "Scorer",
    "Secret",
    "Segmenter",
    "StaleHistory",
    "Standing",
    "TokenClaims",
    "Tokens",
    "Told",
    "Verdict",
]
