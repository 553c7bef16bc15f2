"""Placements, and the facts of their channels."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta

from serving.catalogue.names import among
from serving.catalogue.section import Section
from serving.decision.actions import Action, Candidate, Distinct, Placement
from serving.decision.parsing import nearest

_LIFETIME = timedelta(minutes=30)
_REPORT_WITHIN = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class DraftPlacement:
    """A placement as written: its fallback is still a name."""

    placement: Placement
    fallback: str
    section: Section


def read_placements(root: Section) -> tuple[DraftPlacement, ...]:
    """Return every channel's placements."""
    return tuple(
        _placement(channel, name, names.section(name, f"placement {channel} {name}"))
        for channel, names in root.sections("placements", "channel")
        for name in names.names()
    )


def places_of(placements: Iterable[DraftPlacement]) -> dict[str, set[str]]:
    """Return the names of each channel's placements."""
    found: dict[str, set[str]] = {}
    for draft in placements:
        found.setdefault(draft.placement.channel, set()).add(draft.placement.name)
    return found


def read_outbound(root: Section, channels: Iterable[str]) -> frozenset[str]:
    """Return the channels on which Moment turns to the customer; a channel exists by its placements."""
    return frozenset(_outbound(root, tuple(channels)))


def with_fallback(draft: DraftPlacement, fallbacks: Mapping[str, Action]) -> Placement:
    """Return the placement with its fallback looked up."""
    made = draft.placement
    return Placement(
        made.channel,
        made.name,
        made.slots,
        made.distinct,
        _fallback(draft, fallbacks),
        made.lifetime,
        made.report_within,
    )


def _placement(channel: str, name: str, section: Section) -> DraftPlacement:
    placement = Placement(
        channel=channel,
        name=name,
        slots=section.whole("slots", minimum=1),
        distinct=section.choice("distinct", Distinct, Distinct.ACTION),
        lifetime=section.duration("lifetime", _LIFETIME),
        report_within=section.duration("report_within", _REPORT_WITHIN, zero=True),
    )
    draft = DraftPlacement(placement, section.text("fallback", ""), section)
    section.finish()
    return draft


def _outbound(root: Section, channels: tuple[str, ...]) -> Iterator[str]:
    for name, section in root.sections("channels", "channel", required=False):
        if name not in channels:
            section.fault("", f"it has no placement{nearest(name, channels) or among(channels)}")
        if section.flag("outbound", default=False) and name in channels:
            yield name
        section.finish()


def _fallback(draft: DraftPlacement, fallbacks: Mapping[str, Action]) -> Candidate | None:
    if not draft.fallback:
        return None
    action = fallbacks.get(draft.fallback)
    if action is None:
        hint = nearest(draft.fallback, fallbacks) or "; write it under fallbacks"
        draft.section.fault("fallback", f"there is no fallback `{draft.fallback}`{hint}")
        return None
    place = draft.placement
    for treatment in action.treatments:
        if treatment.channel == place.channel and place.name in treatment.placements:
            return Candidate(action, treatment)
    draft.section.fault("fallback", f"`{draft.fallback}` has no treatment for this placement; add one")
    return None
