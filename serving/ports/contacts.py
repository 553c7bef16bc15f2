"""The ledger of contacts: who was given what, and what is used up."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

from moment.errors import InvariantViolation, MomentError
from serving.decision.budgets import Charge
from serving.decision.contact_plan import Lookback
from serving.decision.values import Contact, History
from serving.records import Mode


class StaleHistory(MomentError):
    """What a decision looked back on has changed meanwhile: read again and decide again."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How a customer stands with Moment at the time of reading.

    Parameters
    ----------
    history
        What a decision looks back on.
    version
        Rises with every change of it; a reservation names the version it was decided on.
    """

    history: History
    version: int


@dataclass(frozen=True, slots=True)
class Reservation:
    """What an answer takes, to be stored together with its record or not at all.

    Parameters
    ----------
    customer_id
        None for somebody nobody knows: then contacts are kept for their reports and charges alone.
    mode
        Test and live customers share nothing, not even budgets.
    version
        The version of the standing the decision was made on; of no meaning without a customer. None where it
        was made on none, because the ledger could not be read or kept changing: what is in the reservation
        (mandatory messages) is then stored without any check, of budgets neither.
    contacts
        One per offer that was arbitrated or is mandatory; for somebody unknown too.
    charges
        What those of `contacts` take whose action has a budget or a volume.
    """

    customer_id: str | None
    mode: Mode
    version: int | None
    contacts: tuple[Contact, ...]
    charges: tuple[Charge, ...] = ()

    def __post_init__(self) -> None:
        offered = {contact.tracking_id for contact in self.contacts}
        if any(charge.tracking_id not in offered for charge in self.charges):
            raise InvariantViolation("a charge has no contact, so nothing could ever end it; reserve both")


CLOCK_SKEW = timedelta(minutes=5)
"""How far a channel's clock may be from ours."""


class Verdict(StrEnum):
    """What became of one report.

    `recorded_late`: it counts, but came after the reservation's end. `duplicate`: it was reported before, the
    same. `conflict`: it was reported before, differently; the first report stands. `unknown`: no offer has
    this tracking id, or none that this reporter was given. `too_early`: it is said to have happened well
    before the decision.
    """

    RECORDED = "recorded"
    RECORDED_LATE = "recorded_late"
    DUPLICATE = "duplicate"
    CONFLICT = "conflict"
    UNKNOWN = "unknown"
    TOO_EARLY = "too_early"


class ContactLedger(Protocol):
    """Who was given what, what they answered, and what is used of budgets and volumes.

    Reservations come in by `DecisionRecords.append`, with the record. One that is not reported presented ends
    by itself. Whatever happens at once, and whatever crashes: live reservations and presentations in time
    never exceed a limit that every decision has kept to.
    """

    def read(self, customer_id: str | None, *, mode: Mode, now: datetime, back: Lookback) -> Standing:
        """Return what the customer was given and what is used up; DependencyError when it cannot be said."""
        ...

    def present(self, tracking_id: str, *, occurred_at: datetime, reported_at: datetime) -> Verdict:
        """Record durably that an offer was shown.

        The time counts no earlier than the decision and no later than the report.
        """
        ...

    def record_outcome(
        self,
        tracking_id: str,
        kind: str,
        *,
        outcome_id: str,
        occurred_at: datetime,
        reported_at: datetime,
    ) -> Verdict:
        """Record durably what the customer answered; once per tracking id and outcome id.

        The time counts no earlier than the decision and no later than the report.
        """
        ...

    def release(self, now: datetime) -> int:
        """Give back what expired reservations hold of budgets and volumes; return how many there were.

        Nothing waits for this: it only keeps later calls fast.
        """
        ...

    def link(self, customer_id: str, other: str) -> None:
        """Let two ids be one customer from now on: each has the history of both."""
        ...

    def unlink(self, customer_id: str, other: str) -> None:
        """Undo `link`; each keeps the history it has made itself."""
        ...
