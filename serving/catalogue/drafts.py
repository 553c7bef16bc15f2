"""What a catalogue file says, read entry by entry, before anything is checked against anything else."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from zoneinfo import ZoneInfo

from serving.catalogue.section import Section
from serving.decision.actions import Distinct, SetBy
from serving.decision.columns import ColumnType
from serving.decision.rules import Level, Tier
from serving.decision.values import Scalar

_SPACES = re.compile(r"('(?:[^']|'')*')|\s+")


@dataclass(frozen=True, slots=True)
class DraftRule:
    """A rule as written, and the section to blame."""

    tier: Tier
    level: Level
    text: str
    section: Section
    line: int


@dataclass(frozen=True, slots=True)
class DraftTreatment:
    """A treatment as written; actions below inherit it by its key."""

    key: str
    channel: str
    placements: tuple[str, ...]
    language: str
    content: Mapping[str, str]
    section: Section


@dataclass(frozen=True, slots=True)
class Inherited:
    """What issue, group and action add to one another: the nearest wins, but rules add up."""

    window_days: float | None = None
    attributes: Mapping[str, Scalar] = field(default_factory=dict)
    treatments: Mapping[str, DraftTreatment] = field(default_factory=dict)
    rules: tuple[DraftRule, ...] = ()


@dataclass(frozen=True, slots=True)
class DraftAction:
    """An action with everything it inherits."""

    action_id: str
    label: str
    issue: str
    group: str
    value: float
    starts_at: datetime | None
    ends_at: datetime | None
    inherited: Inherited
    section: Section


@dataclass(frozen=True, slots=True)
class DraftPlacement:
    """A placement as written."""

    channel: str
    name: str
    slots: int
    distinct: Distinct
    fallback: str
    section: Section


@dataclass(frozen=True, slots=True)
class DraftField:
    """A declared context value as written."""

    name: str
    type: ColumnType
    set_by: SetBy
    meaning: str
    values: tuple[str, ...]
    section: Section


@dataclass(frozen=True, slots=True)
class Draft:
    """The whole file."""

    name: str
    currency: str
    timezone: ZoneInfo
    propensity_floor: float
    exploration: str
    context: tuple[DraftField, ...]
    placements: tuple[DraftPlacement, ...]
    actions: tuple[DraftAction, ...]
    fallbacks: tuple[DraftAction, ...]
    section: Section


def read_draft(root: Section) -> Draft:
    """Read the whole file; what is wrong becomes a fault of its section."""
    timezone = _timezone(root)
    language = root.text("language", "en")
    defaults = root.section("defaults", "defaults", required=False)
    base = _inherit(Inherited(), defaults, Level.ISSUE, language)
    for rule in base.rules:
        defaults.fault(rule.tier, "a rule belongs to an issue, a group or an action")
    defaults.finish()
    draft = Draft(
        name=root.text("catalogue"),
        currency=_currency(root),
        timezone=timezone,
        propensity_floor=_floor(root),
        exploration=root.text("exploration", "greedy"),
        context=tuple(_fields(root)),
        placements=tuple(_placements(root)),
        actions=tuple(_actions(root, base, timezone, language)),
        fallbacks=tuple(_fallbacks(root, language)),
        section=root,
    )
    root.entry("shared")  # texts for YAML aliases: they count where they are used
    root.finish()
    return draft


def _timezone(root: Section) -> ZoneInfo:
    name = root.text("timezone", "UTC")
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        root.fault("timezone", f"`{name}` is no time zone; write one such as Europe/Berlin")
        return ZoneInfo("UTC")


def _currency(root: Section) -> str:
    currency = root.text("currency")
    if currency and not re.fullmatch(r"[A-Z]{3}", currency):
        root.fault("currency", "is three capital letters such as EUR")
    return currency


def _floor(root: Section) -> float:
    arbitration = root.section("arbitration", "arbitration", required=False)
    floor = arbitration.number("propensity_floor", 0.0, minimum=0.0)
    if floor > 1:
        arbitration.fault("propensity_floor", "is a probability, at most 1")
    arbitration.finish()
    return floor


def _fields(root: Section) -> Iterator[DraftField]:
    for name, section in root.sections("context", "context", required=False):
        yield DraftField(
            name=name,
            type=section.choice("type", ColumnType),
            set_by=section.choice("set_by", SetBy),
            meaning=section.text("meaning"),
            values=tuple(text for text, _ in section.texts("values")),
            section=section,
        )
        section.finish()


def _placements(root: Section) -> Iterator[DraftPlacement]:
    for channel, names in root.sections("placements", "channel"):
        for name in names.names():
            section = names.section(name, f"placement {channel} {name}")
            yield DraftPlacement(
                channel=channel,
                name=name,
                slots=section.whole("slots", minimum=1),
                distinct=section.choice("distinct", Distinct, Distinct.ACTION),
                fallback=section.text("fallback", ""),
                section=section,
            )
            section.finish()


def _actions(root: Section, base: Inherited, zone: ZoneInfo, language: str) -> Iterator[DraftAction]:
    for issue, issue_section in root.sections("issues", "issue", free=True):
        of_issue = _inherit(base, issue_section, Level.ISSUE, language)
        for group, group_section in issue_section.sections("groups", "group", free=True):
            of_group = _inherit(of_issue, group_section, Level.GROUP, language)
            for action_id, section in group_section.sections("actions", "action"):
                inherited = _inherit(of_group, section, Level.ACTION, language)
                yield _action(section, action_id, (issue, group), inherited, zone)
            group_section.finish()
        issue_section.finish()


def _action(
    section: Section, action_id: str, home: tuple[str, str], inherited: Inherited, zone: ZoneInfo
) -> DraftAction:
    issue, group = home
    draft = DraftAction(
        action_id=action_id,
        label=section.text("label"),
        issue=issue,
        group=group,
        value=section.number("value", minimum=0.0),
        starts_at=section.instant("starts_at", zone),
        ends_at=section.instant("ends_at", zone),
        inherited=inherited,
        section=section,
    )
    section.finish()
    return draft


def _fallbacks(root: Section, language: str) -> Iterator[DraftAction]:
    for action_id, section in root.sections("fallbacks", "fallback", required=False):
        yield DraftAction(
            action_id=action_id,
            label=section.text("label"),
            issue="fallback",
            group="fallback",
            value=0.0,
            starts_at=None,
            ends_at=None,
            inherited=Inherited(
                window_days=1.0,
                attributes=section.scalars("attributes"),
                treatments=dict(_treatments(section, language)),
            ),
            section=section,
        )
        section.finish()


def _inherit(above: Inherited, section: Section, level: Level, language: str) -> Inherited:
    window = section.number("window_days", above=0.0) if "window_days" in section else above.window_days
    return Inherited(
        window_days=window,
        attributes={**above.attributes, **section.scalars("attributes")},
        treatments={**above.treatments, **dict(_treatments(section, language))},
        rules=(*above.rules, *_rules(section, level)),
    )


def _rules(section: Section, level: Level) -> Iterator[DraftRule]:
    for tier in Tier:
        for text, line in section.texts(tier):
            folded = _SPACES.sub(lambda found: found.group(1) or " ", text)
            yield DraftRule(tier, level, folded, section, line)


def _treatments(above: Section, language: str) -> Iterator[tuple[str, DraftTreatment]]:
    for key, section in above.sections("treatments", f"{above.where}, treatment", required=False):
        content = section.section("content", f"{section.where}, content")
        treatment = DraftTreatment(
            key=key,
            channel=section.text("channel"),
            placements=tuple(name for name, _ in section.texts("placements")),
            language=section.text("language", language),
            content={name: content.text(name) for name in content.names()},
            section=section,
        )
        if not treatment.placements:
            section.fault("placements", "needs at least one placement")
        if not treatment.content and "content" in section:
            section.fault("content", "needs at least one entry such as title")
        section.finish()
        yield key, treatment
