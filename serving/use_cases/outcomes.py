"""Taking outcomes: what channels and browsers report of offers, each by itself, all durably or none."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from serving.decision.catalogue import Catalogue
from serving.ports import CLOCK_SKEW, Clock, OutcomeReport, Outcomes, Reporter, Verdict
from serving.records import Mode
from serving.telemetry import UNTOLD, Telemetry
from serving.use_cases.access import EARLIEST, LATEST, Caller
from serving.use_cases.tracking import Tracking

LARGEST_VALUE = 1e9
"""What an outcome may be worth at most, in the catalogue's currency; a return may be worth as much less."""

KINDS = ("presented", "clicked", "accepted", "rejected", "converted")
"""What everybody may report; a catalogue may name outcomes of its own beside these."""


class OutcomeVerdict(StrEnum):
    """What became of one outcome of a request."""

    RECORDED = "recorded"
    RECORDED_LATE = "recorded_late"
    DUPLICATE = "duplicate"
    CONFLICT = "conflict"
    REJECTED = "rejected"


class OutcomeRefusal(StrEnum):
    """Why an outcome is rejected."""

    TRACKING_ID_INVALID = "tracking-id-invalid"
    UNKNOWN_KIND = "unknown-kind"
    TIME_BEFORE_DECISION = "time-before-decision"
    TIME_IN_FUTURE = "time-in-future"
    TIME_OUT_OF_RANGE = "time-out-of-range"
    INVALID_VALUE = "invalid-value"
    VALUE_NOT_ALLOWED = "value-not-allowed"


@dataclass(frozen=True, slots=True)
class ReportedOutcome:
    """An outcome as it was sent, well formed; its time is UTC."""

    tracking_id: str
    kind: str
    event_id: str
    occurred_at: datetime
    value: float | None = None


@dataclass(frozen=True, slots=True)
class OutcomeTaken:
    """What became of one outcome; a rejected one says why, and the way out."""

    event_id: str
    verdict: OutcomeVerdict
    code: OutcomeRefusal | None = None
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class _Rejected:
    code: OutcomeRefusal
    detail: str


_UNTRACKED = _Rejected(
    OutcomeRefusal.TRACKING_ID_INVALID, "no offer was given to you under it; send it as the answer holds it"
)
_TOO_EARLY = _Rejected(
    OutcomeRefusal.TIME_BEFORE_DECISION, "it cannot happen before the offer was decided; send the time in UTC"
)
_VERDICTS: Mapping[Verdict, OutcomeVerdict | _Rejected] = {
    Verdict.RECORDED: OutcomeVerdict.RECORDED,
    Verdict.RECORDED_LATE: OutcomeVerdict.RECORDED_LATE,
    Verdict.DUPLICATE: OutcomeVerdict.DUPLICATE,
    Verdict.CONFLICT: OutcomeVerdict.CONFLICT,
    Verdict.UNKNOWN: _UNTRACKED,
    Verdict.TOO_EARLY: _TOO_EARLY,
}


def outcome_kinds(catalogue: Catalogue) -> tuple[str, ...]:
    """Return what may be reported: the usual kinds, then the catalogue's own."""
    own = {action.positive_outcome for action in catalogue.actions}
    return (*KINDS, *sorted(own.difference(KINDS)))


@dataclass(frozen=True, slots=True)
class TakeOutcomes:
    """The use case.

    Parameters
    ----------
    outcomes, clock
        See ``serving.ports``.
    tracking
        Knows which tracking ids were given out.
    kinds
        Returns what may be reported now.
    telemetry
        Counts verdicts.
    """

    outcomes: Outcomes
    tracking: Tracking
    clock: Clock
    kinds: Callable[[], tuple[str, ...]] = lambda: KINDS
    telemetry: Telemetry = UNTOLD

    async def __call__(
        self, caller: Caller | None, reported: Sequence[ReportedOutcome]
    ) -> tuple[OutcomeTaken, ...]:
        """Take outcomes; return when they are on the disk. Without a caller they come from a browser.

        Raises
        ------
        DependencyError
            The store does not answer; nothing of the request was taken.
        """
        now = self.clock()
        checked = [(one, self._checked(caller, one, now)) for one in reported]
        sound = [found for _, found in checked if isinstance(found, OutcomeReport)]
        verdicts: Iterator[Verdict] = iter(())
        if sound:
            by = Reporter() if caller is None else Reporter(caller.key_id, caller.mode, caller.channel)
            kept = self.outcomes.append(sound, by=by, received_at=now)
            done: tuple[Verdict, ...] = await asyncio.wrap_future(kept)
            verdicts = iter(done)
        taken = tuple(_taken(one, found, verdicts) for one, found in checked)
        for one in taken:
            self.telemetry.item("outcome", one.verdict)
        return taken

    def _checked(
        self, caller: Caller | None, reported: ReportedOutcome, now: datetime
    ) -> OutcomeReport | _Rejected:
        """Return what is to be kept, or why it is not.

        Time is a test key's to set, so what it reports counts as reported when it happened.
        """
        offer = self.tracking.read(reported.tracking_id)
        if offer is None:
            return _UNTRACKED
        is_test = caller is not None and caller.mode is Mode.TEST
        fault = (
            self._kind_fault(caller, reported.kind)
            or _value_fault(caller, reported.value)
            or _time_fault(reported.occurred_at, now, is_test=is_test)
        )
        return fault or OutcomeReport(
            tracking_id=reported.tracking_id,
            decision_id=offer.decision_id,
            kind=reported.kind,
            event_id=reported.event_id,
            occurred_at=reported.occurred_at,
            reported_at=reported.occurred_at if is_test else now,
            value=reported.value,
        )

    def _kind_fault(self, caller: Caller | None, kind: str) -> _Rejected | None:
        known = KINDS if caller is None else self.kinds()
        if kind in known:
            return None
        return _Rejected(OutcomeRefusal.UNKNOWN_KIND, f"a kind is one of {', '.join(known)}")


def _value_fault(caller: Caller | None, value: float | None) -> _Rejected | None:
    if value is None:
        return None
    if caller is None:
        return _Rejected(
            OutcomeRefusal.VALUE_NOT_ALLOWED, "a browser says what happened, not what it is worth; use a key"
        )
    if math.isfinite(value) and abs(value) <= LARGEST_VALUE:
        return None
    return _Rejected(
        OutcomeRefusal.INVALID_VALUE, f"a value is a number from -{LARGEST_VALUE:.0f} to {LARGEST_VALUE:.0f}"
    )


def _time_fault(at: datetime, now: datetime, *, is_test: bool) -> _Rejected | None:
    """Return what is wrong with a time. A clock a little ahead is taken as now, when it is kept."""
    if not EARLIEST <= at < LATEST:
        return _Rejected(
            OutcomeRefusal.TIME_OUT_OF_RANGE, f"a time is from {EARLIEST:%Y} to before {LATEST:%Y}"
        )
    if not is_test and at > now + CLOCK_SKEW:
        return _Rejected(OutcomeRefusal.TIME_IN_FUTURE, "it has not happened yet; send the time in UTC")
    return None


def _taken(
    reported: ReportedOutcome, found: OutcomeReport | _Rejected, verdicts: Iterator[Verdict]
) -> OutcomeTaken:
    told = found if isinstance(found, _Rejected) else _VERDICTS[next(verdicts)]
    if isinstance(told, _Rejected):
        return OutcomeTaken(reported.event_id, OutcomeVerdict.REJECTED, told.code, told.detail)
    return OutcomeTaken(reported.event_id, told)
