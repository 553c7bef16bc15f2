"""What a customer's entries in the consent ledger amount to at a time, on a channel."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import cache
from typing import TypeAlias

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


Said: TypeAlias = tuple[str, str, int, int | None]
"""What an entry says as ledgers keep it: purpose, status, from and until when, in microseconds since 1970."""

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
    said = ([_said(one) for one in entries if _speaks(one, channel, now)] for entries in profiles)
    return settled(said, _microseconds(now))


def settled(profiles: Iterable[Iterable[Said]], now: int) -> Consent:
    """Return the same, of each profile what those entries say that are known and valid by then, and here."""
    refused: set[str] = set()
    granted: set[str] = {Purpose.SERVICE}
    for said in profiles:
        newest: dict[str, Said] = {}
        for one in said:
            rival = newest.get(one[0])
            if rival is None or _rank(one) > _rank(rival):
                newest[one[0]] = one
        for purpose, status, _, valid_to in newest.values():
            ended = valid_to is not None and valid_to <= now
            if status == ConsentStatus.GRANTED:
                (refused if ended else granted).add(purpose)
            elif not ended:
                refused.add(purpose)
    return _consent(frozenset(granted - refused))


@cache
def _consent(allowed: frozenset[str]) -> Consent:
    """Return the consent to some purposes; there are few sets of purposes, so each is made once."""
    purposes = frozenset(map(Purpose, allowed))
    return Consent(purposes, opted_out=Purpose.SERVICE not in purposes)


def _speaks(entry: ConsentEntry, channel: str, now: datetime) -> bool:
    return entry.known_at <= now and entry.valid_from <= now and entry.channel in (None, channel)


def _said(entry: ConsentEntry) -> Said:
    until = None if entry.valid_to is None else _microseconds(entry.valid_to)
    return entry.purpose, entry.status, _microseconds(entry.valid_from), until


def _microseconds(instant: datetime) -> int:
    return (instant - _EPOCH) // _MICROSECOND


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def _rank(said: Said) -> tuple[int, int, float]:
    """Return what makes an entry decide: later; then a denial; then the one that lasts shorter for a grant.

    Among denials of one time the one that lasts longest decides, among grants the one that ends first.
    """
    _, status, valid_from, valid_to = said
    lasts = float("inf") if valid_to is None else valid_to
    return (valid_from, 1, lasts) if status == ConsentStatus.DENIED else (valid_from, 0, -lasts)
