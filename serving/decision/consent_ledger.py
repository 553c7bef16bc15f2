"""What a customer's entries in the consent ledger amount to at a time, on a channel."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from serving.decision.values import Consent, Purpose


class ConsentStatus(StrEnum):
    """What an entry says."""

    GRANTED = "granted"
    DENIED = "denied"


@dataclass(frozen=True, slots=True)
class ConsentEntry:
    """One entry of the ledger; none is ever changed.

    Parameters
    ----------
    purpose
        What for.
    channel
        The only channel it speaks of; None for every channel.
    status
        Allowed or refused. Refusing ``service`` is to opt out of the channel.
    valid_from, valid_to
        From when it holds, and until when; None: until the next entry.
    known_at
        When the ledger learnt of it.
    source
        Who told: a key, or a source's name and what it assumed.
    """

    purpose: Purpose
    channel: str | None
    status: ConsentStatus
    valid_from: datetime
    valid_to: datetime | None
    known_at: datetime
    source: str = ""


NOTHING_TOLD = Consent()
"""What holds where no entry speaks of anything: absent consent is no, but for service."""


def resolve(profiles: Iterable[Sequence[ConsentEntry]], *, channel: str, now: datetime) -> Consent:
    """Return what a customer allows on a channel.

    Of the entries known by ``now`` that speak of a purpose and of the channel (or of every channel), the one
    valid from the latest time decides; of several from that time, a denial. Without one the answer is no, but
    for service. A grant that has ended is a no; a denial that has ended is as if there were none.

    Parameters
    ----------
    profiles
        The entries of every identity that is the customer's, each by itself. Where several speak of a
        purpose, the stricter answer holds.
    channel
        The channel that asks.
    now
        The time, UTC.

    Examples
    --------
    >>> from datetime import UTC, timedelta
    >>> noon = datetime(2026, 5, 1, 12, tzinfo=UTC)
    >>> yes = ConsentEntry(Purpose.MARKETING, None, ConsentStatus.GRANTED, noon, None, noon)
    >>> no = ConsentEntry(Purpose.MARKETING, "web", ConsentStatus.DENIED, noon, None, noon)
    >>> [Purpose.MARKETING in resolve([[yes, no]], channel=one, now=noon).purposes for one in ("web", "app")]
    [False, True]
    """
    # Per purpose the newest entry of each profile that has one
    newest: list[dict[Purpose, ConsentEntry]] = [_newest(entries, channel, now) for entries in profiles]
    refused: set[Purpose] = set()
    granted: set[Purpose] = {Purpose.SERVICE}
    for found in newest:
        for purpose, entry in found.items():
            ended = entry.valid_to is not None and entry.valid_to <= now
            if entry.status is ConsentStatus.GRANTED:
                (refused if ended else granted).add(purpose)
            elif not ended:
                refused.add(purpose)
    allowed = frozenset(granted - refused)
    return Consent(allowed, opted_out=Purpose.SERVICE not in allowed)


def _newest(entries: Sequence[ConsentEntry], channel: str, now: datetime) -> dict[Purpose, ConsentEntry]:
    found: dict[Purpose, ConsentEntry] = {}
    for entry in entries:
        if entry.known_at > now or entry.valid_from > now or entry.channel not in (None, channel):
            continue
        rival = found.get(entry.purpose)
        if rival is None or _rank(entry) > _rank(rival):
            found[entry.purpose] = entry
    return found


def _rank(entry: ConsentEntry) -> tuple[datetime, int, float]:
    """Return what makes an entry decide: later; then a denial; then the one that lasts shorter for a grant.

    Among denials of one time the one that lasts longest decides, among grants the one that ends first.
    """
    lasts = float("inf") if entry.valid_to is None else entry.valid_to.timestamp()
    if entry.status is ConsentStatus.DENIED:
        return entry.valid_from, 1, lasts
    return entry.valid_from, 0, -lasts
