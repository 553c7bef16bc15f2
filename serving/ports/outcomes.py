"""What customers answered, as channels report it."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from serving.ports.contacts import CLOCK_SKEW, Verdict
from serving.records import Mode


@dataclass(frozen=True, slots=True)
class OutcomeReport:
    """What is reported of one offer, on its way to the store.

    Parameters
    ----------
    tracking_id, decision_id
        The offer, and its decision; the signature was checked.
    kind
        ``presented``, or what the customer answered.
    event_id
        The reporter's own id: by it the same report is told from another one of the same offer.
    occurred_at
        When it happened, as claimed, UTC.
    reported_at
        When it counts as reported, UTC: tells what came too late.
    value
        Its reward in the catalogue's currency, or None.
    """

    tracking_id: str
    decision_id: str
    kind: str
    event_id: str
    occurred_at: datetime
    reported_at: datetime
    value: float | None = None

    def precedes(self, decided_at: datetime) -> bool:
        """Whether it is said to have happened further before the decision than clocks differ."""
        return self.occurred_at < decided_at - CLOCK_SKEW


@dataclass(frozen=True, slots=True)
class Reporter:
    """Who reports outcomes: a key with its mode and channel (None for any), or a browser with nothing."""

    key_id: str | None = None
    mode: Mode | None = None
    channel: str | None = None

    def was_given(self, *, mode: Mode, channel: str) -> bool:
        """Whether an offer of a decision of this mode and channel is its to report on."""
        return self.key_id is None or (self.mode is mode and self.channel in (None, channel))


@dataclass(frozen=True, slots=True)
class KnownOutcome:
    """An outcome as it is kept.

    Parameters
    ----------
    tracking_id, kind, occurred_at, value
        As reported.
    received_at
        When it came, UTC.
    late
        Whether the offer's reservation had ended when it was reported presented.
    key_id
        Who reported it; None for a browser.
    """

    tracking_id: str
    kind: str
    occurred_at: datetime
    received_at: datetime
    value: float | None
    late: bool
    key_id: str | None


class Outcomes(Protocol):
    """Everything reported of offers, each report once. What it has acknowledged survives a crash.

    What counts towards limits and suppressions goes on to the contact ledger in the same transaction; a
    report on a decision that is not known yet waits for it.
    """

    def append(
        self, reports: Sequence[OutcomeReport], *, by: Reporter, received_at: datetime
    ) -> Future[tuple[Verdict, ...]]:
        """Store reports, all in one transaction; done, with the verdict of each in turn, when on the disk.

        An offer is presented once; a browser reports each kind of an offer once.
        """
        ...

    def of_decision(self, decision_id: str) -> tuple[KnownOutcome, ...]:
        """Return what was reported of a decision's offers, in the order it came."""
        ...
