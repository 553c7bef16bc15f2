"""Typed reading of a mapping: every wrong, missing or unknown entry becomes a fault, and reading goes on."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from typing import TypeVar
from zoneinfo import ZoneInfo

from moment.errors import Fault
from serving.catalogue.document import Node
from serving.decision.parsing import INT64, nearest
from serving.decision.values import Scalar

Choice = TypeVar("Choice", bound=StrEnum)
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")
_NAMES = "a name is made of a-z, 0-9, - and _, and starts with a letter or digit"
_DURATION = re.compile(r"(\d{1,6})([smhdw])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_MOST = sys.float_info.max
MOST_WHOLE = 2**53
"""The most that a whole number may be where nothing else is said: every float up to it has its own."""

MOST_DAYS = 36_500
"""The longest time anything may take, in days: a hundred years."""

_LONGEST = timedelta(days=MOST_DAYS)
_CLOCK = re.compile(r"([01]\d|2[0-3]):([0-5]\d)")


class Section:
    """One mapping of the file, read entry by entry.

    Parameters
    ----------
    file
        Name of the file, for faults.
    where
        What it describes, for people: ``action coupon-cheese``.
    node
        The mapping.
    faults
        Where faults are collected.
    line
        The line of its name, where it has one.
    """

    def __init__(
        self, file: str, where: str, node: Node, faults: list[Fault], *, line: int | None = None
    ) -> None:
        self.where = where
        self.line = node.line if line is None else line
        self._file = file
        self._faults = faults
        self._lines = node.key_lines
        self._entries: dict[str, Node] = {}
        self._asked: dict[str, None] = {}
        if isinstance(node.value, dict):
            self._entries = node.value
        elif node.value is not None:
            self.fault("", "must be a mapping of names to values", node.line)

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: str) -> bool:
        self._asked[key] = None
        return key in self._entries

    @property
    def given(self) -> tuple[str, ...]:
        """What was written, whether anybody asks for it or not."""
        return tuple(self._entries)

    def fault(self, key: str, message: str, line: int | None = None) -> None:
        """Note what is wrong with an entry, or with the whole."""
        place = f"{self._file}:{line or self._lines.get(key, self.line)}"
        subject = ", ".join(part for part in (self.where, key) if part)
        self._faults.append(Fault(place, f"{subject}: {message}" if subject else message))

    def finish(self) -> None:
        """Note every entry that nobody asked for."""
        for key in self._entries:
            if key not in self._asked:
                hint = nearest(key, self._asked) or f"; it takes {', '.join(self._asked)}"
                self.fault(key, f"there is no such entry{hint}")

    def names(self, *, free: bool = False) -> tuple[str, ...]:
        """Return the keys, for mappings whose keys are names; a malformed one is a fault and left out.

        A free name is any text, for names that come from the business and not from us.
        """
        good = []
        for key in self._entries:
            self._asked[key] = None
            if free or _NAME.fullmatch(key):
                good.append(key)
            else:
                self.fault(key, _NAMES)
        return tuple(good)

    def section(self, key: str, where: str, *, required: bool = True) -> Section:
        """Return a mapping below; an empty one where it is missing."""
        node = self._take(key, required=required)
        line = self._lines.get(key, self.line)
        return Section(self._file, where, node or Node(None, line, {}), self._faults, line=line)

    def sections(
        self, key: str, kind: str, *, required: bool = True, free: bool = False
    ) -> Iterator[tuple[str, Section]]:
        """Yield the named mappings of a mapping below, each described as ``<kind> <name>``."""
        below = self.section(key, f"{self.where}, {key}" if self.where else key, required=required)
        if required and key in self._entries and not len(below):
            self.fault(key, "needs at least one entry")
        for name in below.names(free=free):
            yield name, below.section(name, f"{kind} {name}")

    def text(self, key: str, default: str | None = None) -> str:
        """Return text; with a default it may be missing."""
        value = self._leaf(key, required=default is None)
        if isinstance(value, str) and value.strip():
            return value.strip()
        if value is not None or key in self._entries:
            self.fault(key, "must be text; put it in quotes if YAML takes it for something else")
        return default or ""

    def name(self, key: str, default: str | None = None) -> str:
        """Return a name of ours; with a default it may be missing."""
        name = self.text(key, default)
        if name and not _NAME.fullmatch(name):
            self.fault(key, _NAMES)
        return name

    def texts(self, key: str) -> tuple[tuple[str, int], ...]:
        """Return one text or a list of them, each with its line; empty when missing."""
        node = self._take(key, required=False)
        if node is None:
            return ()
        found = []
        for item in node.value if isinstance(node.value, list) else [node]:
            if isinstance(item.value, str) and item.value.strip():
                found.append((item.value.strip(), item.line))
            else:
                self.fault(key, "must be text, or a list of texts", item.line)
        return tuple(found)

    def items(self, key: str, kind: str) -> Iterator[Section]:
        """Yield the mappings of a list below; one mapping alone is a list of one."""
        node = self._take(key, required=False)
        if node is None:
            return
        for item in node.value if isinstance(node.value, list) else [node]:
            yield Section(self._file, f"{self.where}, {kind}", item, self._faults)

    def number(
        self,
        key: str,
        default: float | None = None,
        *,
        minimum: float = -math.inf,
        above: float = -math.inf,
        maximum: float = math.inf,
    ) -> float:
        """Return a finite number within its bounds; with a default it may be missing."""
        value = self._leaf(key, required=default is None)
        if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= _MOST:
            if value < minimum:
                self.fault(key, f"must be {minimum:g} or more")
            elif value <= above:
                self.fault(key, f"must be more than {above:g}")
            elif value > maximum:
                self.fault(key, f"must be {maximum:g} or less")
            # Whoever goes on with one that is out of bounds must not stumble over it
            return float(min(max(value, minimum), maximum))
        if value is not None or key in self._entries:
            self.fault(key, "must be a number")
        return default if default is not None else max(minimum, above + 1, 0.0)

    def whole(self, key: str, default: int | None = None, *, minimum: int, maximum: int = MOST_WHOLE) -> int:
        """Return a whole number within its bounds; with a default it may be missing."""
        value = self._leaf(key, required=default is None)
        if isinstance(value, int) and not isinstance(value, bool) and minimum <= value:
            if value <= maximum:
                return value
            self.fault(key, f"must be {maximum} or less")
            return maximum
        if key in self._entries:
            self.fault(key, f"must be a whole number, {minimum} or more")
        return minimum if default is None else default

    def flag(self, key: str, *, default: bool) -> bool:
        """Return true or false."""
        value = self._leaf(key, required=False)
        if value is not None and not isinstance(value, bool):
            self.fault(key, "must be true or false")
        return value if isinstance(value, bool) else default

    def duration(self, key: str, default: timedelta | None = None, *, zero: bool = False) -> timedelta:
        """Return a time span such as ``30s``, ``48h`` or ``2w``; with a default it may be missing."""
        value = self._leaf(key, required=default is None)
        found = _DURATION.fullmatch(value) if isinstance(value, str) else None
        if found:
            span = timedelta(**{_UNITS[found[2]]: int(found[1])})
            if not span and not zero:
                self.fault(key, "must be longer than nothing")
            elif span > _LONGEST:
                self.fault(key, f"must be {_LONGEST.days}d or less")
            return min(span, _LONGEST)
        if value is not None or key in self._entries:
            self.fault(key, "must be a time span such as 30s, 10m, 48h, 7d or 2w")
        return default if default is not None else timedelta(days=1)

    def clock(self, key: str) -> time:
        """Return a time of day written ``"21:00"``."""
        value = self._leaf(key, required=True)
        found = _CLOCK.fullmatch(value) if isinstance(value, str) else None
        if found:
            return time(int(found[1]), int(found[2]))
        if key in self._entries:
            self.fault(key, 'must be a time of day in quotes, such as "21:00"')
        return time(0)

    def choice(self, key: str, options: type[Choice], default: Choice | None = None) -> Choice:
        """Return one word of a fixed list."""
        word = self.text(key, None if default is None else default.value)
        if word in list(options):
            return options(word)
        if word:
            hint = nearest(word, list(options)) or f"; one of {', '.join(options)}"
            self.fault(key, f"`{word}` is not known{hint}")
        return default or next(iter(options))

    def instant(self, key: str, zone: ZoneInfo) -> datetime | None:
        """Return an instant, or None when missing; a bare day begins at midnight in the catalogue's zone."""
        value = self._leaf(key, required=False)
        if isinstance(value, date):
            moment = value if isinstance(value, datetime) else datetime(value.year, value.month, value.day)  # noqa: DTZ001
            moment = moment if moment.tzinfo else moment.replace(tzinfo=zone)
            try:
                moment.astimezone(UTC)
            except OverflowError:
                self.fault(key, "is before or after all time in UTC")
                return None
            return moment
        if value is not None:
            self.fault(key, "must be a day or an instant such as 2026-11-30 or 2026-11-30T08:00:00Z")
        return None

    def scalars(self, key: str) -> dict[str, Scalar]:
        """Return a mapping of names to plain values; empty when missing."""
        below = self.section(key, f"{self.where}, {key}", required=False)
        found: dict[str, Scalar] = {}
        for name in below.names():
            value = below.entry(name)
            if isinstance(value, int) and value not in INT64:
                below.fault(name, "must fit into 64 bits")
            elif isinstance(value, bool | int | str) or (isinstance(value, float) and math.isfinite(value)):
                found[name] = value
            elif value is not None:
                below.fault(name, "must be one plain value: text, a number, true or false")
        return found

    def entry(self, key: str) -> object:
        """Return an entry as it was written, None when missing."""
        node = self._take(key, required=False)
        return node.value if node else None

    def _take(self, key: str, *, required: bool) -> Node | None:
        self._asked[key] = None
        node = self._entries.get(key)
        if node is None and required:
            self.fault(key, "is missing")
        return node

    def _leaf(self, key: str, *, required: bool) -> Scalar | date:
        node = self._take(key, required=required)
        if node is None:
            return None
        if isinstance(node.value, list | dict):
            self.fault(key, "must be one plain value")
            self._entries = {name: entry for name, entry in self._entries.items() if name != key}
            return None
        return node.value
