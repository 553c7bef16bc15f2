"""The life of a model version: states, acts and the rules between them. Pure: no clock, no store.

``acts`` are what people and the machine do, ``versions`` and ``book`` what all acts together come to,
``naming`` is what a version is called, ``rules`` say which act may follow, ``gates`` are the numbers a
version must reach, ``endings`` what to warn of. The ledger that keeps the acts is a port.
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
from serving.lifecycle.endings import warnings
from serving.lifecycle.gates import GateVerdict, Verdict, judged, overall
from serving.lifecycle.rules import LONGEST_APPROVAL, check

__all__ = [
    "LONGEST_APPROVAL",
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
    "judged",
    "overall",
    "warnings",
]
