"""Taking events: what makes sense is journalled durably, folded, and seen by the next decision."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from features.realtime import Event
from serving.ports import Clock, EventJournal, JournalEntry, Verdict
from serving.records import Mode
from serving.telemetry import UNTOLD, Telemetry
from serving.use_cases.access import Caller
from serving.use_cases.event_checks import Refusal, Rejected, ReportedEvent, Sound, check

VISIBLE_SECONDS = 0.05
"""How long an answer waits for decisions to see what it acknowledges; it is on the disk already."""


class EventVerdict(StrEnum):
    """What became of one event of a request."""

    RECORDED = "recorded"
    DUPLICATE = "duplicate"
    CONFLICT = "conflict"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class EventTaken:
    """What became of one event; a rejected one says why, the way out, and which attribute is meant."""

    event_id: str
    verdict: EventVerdict
    code: Refusal | None = None
    detail: str | None = None
    attribute: str | None = None


_VERDICTS = {
    Verdict.RECORDED: EventVerdict.RECORDED,
    Verdict.DUPLICATE: EventVerdict.DUPLICATE,
    Verdict.CONFLICT: EventVerdict.CONFLICT,
}


@dataclass(frozen=True, slots=True)
class TakeEvents:
    """The use case."""

    journal: EventJournal
    clock: Clock
    telemetry: Telemetry = UNTOLD

    async def __call__(self, caller: Caller, events: Sequence[ReportedEvent]) -> tuple[EventTaken, ...]:
        """Take events; return when they are on the disk and, as a rule, seen by decisions.

        Raises
        ------
        DependencyError
            The journal does not answer; nothing of the request was taken.
        """
        now = self.clock()
        checked = [(reported, check(caller, reported, now)) for reported in events]
        sound = [
            _entry(reported, found, caller.mode, now)
            for reported, found in checked
            if isinstance(found, Sound)
        ]
        verdicts: Iterator[Verdict] = iter(())
        if sound:
            journaled = await asyncio.wrap_future(
                self.journal.append(sound, mode=caller.mode, key_id=caller.key_id, received_at=now)
            )
            verdicts = iter(journaled.verdicts)
            await asyncio.wait([asyncio.wrap_future(journaled.visible)], timeout=VISIBLE_SECONDS)
        taken = tuple(_taken(reported, found, verdicts) for reported, found in checked)
        for one in taken:
            self.telemetry.item("event", one.verdict)
        return taken


def _entry(reported: ReportedEvent, sound: Sound, mode: Mode, now: datetime) -> JournalEntry:
    """Return what is journalled. A channel's clock ahead of ours does not put an event beyond a decision."""
    occurred_at = reported.occurred_at if mode is Mode.TEST else min(reported.occurred_at, now)
    return JournalEntry(
        profile=reported.profile,
        event=Event(reported.event_id, sound.kind, occurred_at, sound.attributes),
        body=_body(reported, sound),
    )


def _body(reported: ReportedEvent, sound: Sound) -> bytes:
    """Return the event as reported; the same report has the same bytes."""
    content = {
        "event_id": reported.event_id,
        "profile": reported.profile,
        "kind": sound.kind,
        "occurred_at": reported.occurred_at.astimezone(UTC).isoformat(),
        "channel": reported.channel,
        "attributes": sound.attributes,
    }
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def _taken(reported: ReportedEvent, found: Sound | Rejected, verdicts: Iterator[Verdict]) -> EventTaken:
    if isinstance(found, Rejected):
        return EventTaken(reported.event_id, EventVerdict.REJECTED, found.code, found.detail, found.attribute)
    return EventTaken(reported.event_id, _VERDICTS[next(verdicts)])
