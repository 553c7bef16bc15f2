"""The rules by which a source says from when a fact could have been used.

In words: ``known_at`` (the source has the column), ``occurred_at + 1 day`` (a lag after a time of the row),
or ``ingest`` (known when it is ingested, so nothing can be learnt from the past).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta

from features.table_contract import KNOWN_AT

_LAG = re.compile(r"(?P<column>\w+)(?:\s*\+\s*(?P<number>\d+)\s*(?P<unit>minute|hour|day)s?)?")


@dataclass(frozen=True, slots=True)
class KnownFromColumn:
    """The source has a column ``known_at``."""

    def __str__(self) -> str:
        return KNOWN_AT


@dataclass(frozen=True, slots=True)
class KnownAfter:
    """Known a fixed lag after a time of the row.

    Parameters
    ----------
    lag
        Zero or more: how long until the fact is where decisions can use it, e.g. one day for a nightly load.
    column
        Timestamp column of the table.
    """

    lag: timedelta
    column: str = "occurred_at"

    def __str__(self) -> str:
        if not self.lag:
            return self.column
        minutes = int(self.lag.total_seconds()) // 60
        number, unit = next(
            (minutes // size, unit)
            for unit, size in (("day", 1440), ("hour", 60), ("minute", 1))
            if minutes % size == 0
        )
        return f"{self.column} + {number} {unit}{'s' if number != 1 else ''}"


@dataclass(frozen=True, slots=True)
class KnownAtIngest:
    """Known from the moment of ingest. Right for today's facts, wrong for history."""

    def __str__(self) -> str:
        return "ingest"


KnownAtRule = KnownFromColumn | KnownAfter | KnownAtIngest


def parse_known_at(text: str) -> KnownAtRule:
    """Read a rule written in words.

    Parameters
    ----------
    text
        ``known_at``, ``ingest``, ``<column>`` or ``<column> + <number> minutes|hours|days``.

    Raises
    ------
    ValueError
        The text is no rule; the message says what a rule looks like.

    Examples
    --------
    >>> parse_known_at("occurred_at + 36 hours").lag
    datetime.timedelta(days=1, seconds=43200)
    >>> str(parse_known_at("linked_at"))
    'linked_at'
    """
    words = text.strip()
    if words == KNOWN_AT:
        return KnownFromColumn()
    if words == "ingest":
        return KnownAtIngest()
    found = _LAG.fullmatch(words)
    if not found:
        raise ValueError(f'known_at "{text}" is no rule; write known_at, ingest or occurred_at + 1 day')
    lag = timedelta(**{f"{found['unit']}s": int(found["number"])}) if found["unit"] else timedelta()
    return KnownAfter(lag, found["column"])
