"""What is asked of a batch, checked before anything long starts."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from moment.errors import InvalidRequest
from serving.decision.actions import Placement
from serving.decision.catalogue import Catalogue
from serving.decision.columns import Column
from serving.decision.digest import canonical
from serving.decision.parsing import nearest, parse_rule
from serving.decision.to_sql import to_sql
from serving.records import Mode, Versions

FORMATS = (".parquet", ".csv")
"""What a batch can be written as, by the file's ending."""

LONGEST_RESERVATION = timedelta(days=90)


@dataclass(frozen=True, slots=True)
class BatchAsk:
    """A batch that makes sense with its catalogue.

    Parameters
    ----------
    channel, placement
        What is filled for every customer.
    slots
        How many of its slots.
    where
        The predicate as it was written; empty for every customer.
    condition
        The same in DuckDB's SQL.
    at
        The instant to decide for, UTC.
    mode
        Whose histories are looked back on, and to whom reservations count.
    reserve
        How long every offer is reserved; None for a plan, which writes nothing to the database.
    content
        Whether the offers' words are wanted.
    """

    channel: str
    placement: str
    slots: int
    where: str
    condition: str
    at: datetime
    mode: Mode
    reserve: timedelta | None
    content: bool

    def batch_id(self, versions: Versions, as_of: datetime) -> str:
        """Return the name of this very batch: the same arguments, features and versions have the same."""
        content = {
            "ask": {name: getattr(self, name) for name in self.__slots__ if name != "condition"},
            "versions": {name: getattr(versions, name) for name in versions.__struct_fields__},
            "features": as_of,
        }
        return hashlib.sha256(canonical(content).encode()).hexdigest()[:32]


def find_placement(catalogue: Catalogue, name: str, channel: str | None) -> Placement:
    """Return the placement of a name, on the only channel that has it unless one is named.

    Raises
    ------
    InvalidRequest
        No channel has it, or several have it and none was named.
    """
    if channel is not None and channel not in catalogue.channels:
        hint = nearest(channel, catalogue.channels) or f"; one of {', '.join(catalogue.channels)}"
        raise InvalidRequest(f"no channel `{channel}`{hint}", code="unknown-channel", field="channel")
    here = [place for place in catalogue.placements if channel in (None, place.channel)]
    found = [place for place in here if place.name == name]
    if not found:
        names = sorted({place.name for place in here})
        hint = nearest(name, names) or f"; one of {', '.join(names)}"
        where = "no channel" if channel is None else f"channel `{channel}`"
        has = "has" if channel is None else "has no"
        raise InvalidRequest(
            f"{where} {has} placement `{name}`{hint}", code="unknown-placement", field="placement"
        )
    if len(found) > 1:
        channels = " or ".join(f"`--channel {place.channel}`" for place in found)
        raise InvalidRequest(
            f"several channels have a placement `{name}`; say {channels}",
            code="unknown-channel",
            field="channel",
        )
    return found[0]


def slots_of(placement: Placement, slots: int | None) -> int:
    """Return how many slots are filled: all the placement has unless fewer are asked for."""
    if slots is None:
        return placement.slots
    if not 1 <= slots <= placement.slots:
        raise InvalidRequest(
            f"placement `{placement.name}` has 1 to {placement.slots} slots, not {slots}",
            code="invalid-slots",
            field="slots",
        )
    return slots


def condition_of(where: str, features: Mapping[str, Column]) -> str:
    """Return a predicate over customer features, written as rules are, in DuckDB's SQL.

    Raises
    ------
    InvalidRequest
        It is no such predicate; every fault is named, with the nearest name.
    """
    if not where.strip():
        return ""
    parsed = parse_rule(where, features)
    if parsed.expression is None:
        raise InvalidRequest(
            f"--where `{where}`: {'; '.join(parsed.faults)}", code="invalid-predicate", field="where"
        )
    return to_sql(parsed.expression)


def check_file(path: Path) -> None:
    """Refuse a file that could not be written in the end.

    Raises
    ------
    InvalidRequest
        Its ending names no known form, or its folder is not there.
    """
    if path.suffix not in FORMATS:
        raise InvalidRequest(
            f"--out {path.name}: write it as {' or '.join(FORMATS)}", code="unknown-format", field="out"
        )
    if path.is_dir() or not path.parent.is_dir():
        raise InvalidRequest(
            f"--out {path}: {'it is a folder' if path.is_dir() else 'its folder is not there'}; "
            "name a file in a folder that exists",
            code="invalid-file",
            field="out",
        )
