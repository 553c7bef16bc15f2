"""The life of a model version: states, acts and the rules between them. Pure: no clock, no store.

``acts`` are what people and the machine do, ``book`` is what all acts together come to, ``rules`` say which act may
follow, ``gates`` are the numbers a version must reach. The ledger that keeps the acts is a port.
"""

from __future__ import annotations

from serving.lifecycle.acts import (
    Accepted,
    Act,
    Actor,
    Approved,
    Challenged,
    FindingAdded,
    FindingClosed,
    Judged,
    Model,
    Promoted,
    Rejected,
    ResumeAsked,
    Resumed,
    Retired,
    RolledBack,
    Severity,
    State,
    StopKind,
    Stopped,
    Submitted,
)
from serving.lifecycle.book import Approval, Book, Finding, Stop, Version, Written
from serving.lifecycle.gates import GateVerdict, Verdict, overall
from serving.lifecycle.rules import check

__all__ = [
    "Accepted",
    "Act",
    "Actor",
    "Approval",
    "Approved",
    "Book",
    "Challenged",
    "Finding",
    "FindingAdded",
    "FindingClosed",
    "GateVerdict",
    "Judged",
    "Model",
    "Promoted",
    "Rejected",
    "ResumeAsked",
    "Resumed",
    "Retired",
    "RolledBack",
    "Severity",
    "State",
    "Stop",
    "StopKind",
    "Stopped",
    "Submitted",
    "Verdict",
    "Version",
    "Written",
    "check",
    "overall",
]
