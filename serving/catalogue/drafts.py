"""What issues, groups and actions say, with what they take from one another, before rules are read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from zoneinfo import ZoneInfo

from serving.catalogue.names import Names
from serving.catalogue.section import MOST_DAYS, Section
from serving.catalogue.sql import folded
from serving.catalogue.treatments import DraftTreatment, read_treatments
from serving.decision.actions import Allowance, LawfulBasis
from serving.decision.parsing import nearest
from serving.decision.rules import Level, Tier
from serving.decision.values import Purpose, Scalar


@dataclass(frozen=True, slots=True)
class DraftRule:
    """A predicate as written, white space folded, and the entry to blame."""

    text: str
    section: Section
    entry: str
    line: int


@dataclass(frozen=True, slots=True)
class DraftUse:
    """A rule of an engagement policy: its question and where it is written."""

    tier: Tier
    level: Level
    rule: DraftRule


@dataclass(frozen=True, slots=True)
class DraftWeight:
    """A context weight as written."""

    rule: DraftRule
    weight: float


@dataclass(frozen=True, slots=True)
class Inherited:
    """What issue, group and action take from above.

    Rules and context weights add up, levers multiply, attributes and treatments add up by name; of the rest
    the nearest wins.
    """

    window_days: float | None = None
    attributes: Mapping[str, Scalar] = field(default_factory=dict)
    treatments: Mapping[str, DraftTreatment] = field(default_factory=dict)
    rules: tuple[DraftUse, ...] = ()
    weights: tuple[DraftWeight, ...] = ()
    lever: float = 1.0
    purposes: frozenset[Purpose] = frozenset({Purpose.MARKETING})
    outcome: str = "accepted"
    cost: float = 0.0
    exclusions: tuple[str, ...] = ()


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
    mandatory: LawfulBasis | None
    budget: Allowance | None
    volume: Allowance | None
    inherited: Inherited
    section: Section


@dataclass(frozen=True, slots=True)
class Frame:
    """What holds for the whole file and is needed to read its parts."""

    timezone: ZoneInfo
    language: str
    names: Names


def read_actions(root: Section, frame: Frame) -> tuple[DraftAction, ...]:
    """Return every action of the tree issue > group > action."""
    defaults = root.section("defaults", "defaults", required=False)
    base = _inherit(Inherited(), defaults, None, frame)
    for tier in Tier:
        if tier in defaults.given and tier in defaults:
            defaults.fault(tier, "a rule belongs to an issue, a group or an action")
    defaults.finish()
    return tuple(_actions(root, base, frame))


def read_fallbacks(root: Section, language: str) -> tuple[DraftAction, ...]:
    """Return the actions that fill a slot nothing is left for."""
    return tuple(
        _fallback(action_id, section, language)
        for action_id, section in root.sections("fallbacks", "fallback", required=False)
    )


def _actions(root: Section, base: Inherited, frame: Frame) -> Iterator[DraftAction]:
    for issue, issue_section in root.sections("issues", "issue", free=True):
        of_issue = _inherit(base, issue_section, Level.ISSUE, frame)
        for group, group_section in issue_section.sections("groups", "group", free=True):
            of_group = _inherit(of_issue, group_section, Level.GROUP, frame)
            for action_id, section in group_section.sections("actions", "action"):
                inherited = _inherit(of_group, section, Level.ACTION, frame)
                yield _action(section, action_id, (issue, group), inherited, frame.timezone)
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
        mandatory=_lawful_basis(section),
        budget=_allowance(section, "budget"),
        volume=_allowance(section, "volume", whole=True),
        inherited=inherited,
        section=section,
    )
    section.finish()
    return draft


def _fallback(action_id: str, section: Section, language: str) -> DraftAction:
    draft = DraftAction(
        action_id=action_id,
        label=section.text("label"),
        issue="fallback",
        group="fallback",
        value=0.0,
        starts_at=None,
        ends_at=None,
        mandatory=None,
        budget=None,
        volume=None,
        inherited=Inherited(
            window_days=1.0,
            attributes=section.scalars("attributes"),
            treatments=dict(read_treatments(section, language)),
        ),
        section=section,
    )
    section.finish()
    return draft


def _inherit(above: Inherited, section: Section, level: Level | None, frame: Frame) -> Inherited:
    window = (
        section.number("window_days", above=0.0, maximum=MOST_DAYS)
        if "window_days" in section
        else above.window_days
    )
    return Inherited(
        window_days=window,
        attributes={**above.attributes, **section.scalars("attributes")},
        treatments={**above.treatments, **dict(read_treatments(section, frame.language))},
        rules=(*above.rules, *(_rules(section, level) if level else ())),
        weights=(*above.weights, *_weights(section)),
        lever=above.lever * section.number("lever", 1.0, above=0.0),
        purposes=_purposes(section) if "purposes" in section else above.purposes,
        outcome=section.name("outcome", above.outcome),
        cost=section.number("cost", above.cost, minimum=0.0),
        exclusions=frame.names.read(section, "exclusions") if "exclusions" in section else above.exclusions,
    )


def _rules(section: Section, level: Level) -> Iterator[DraftUse]:
    for tier in Tier:
        for text, line in section.texts(tier):
            yield DraftUse(tier, level, DraftRule(folded(text), section, tier, line))


def _weights(section: Section) -> Iterator[DraftWeight]:
    for item in section.items("context_weights", "context weight"):
        text = item.text("when")
        weight = item.number("weight", above=0.0)
        item.finish()
        if text:
            yield DraftWeight(DraftRule(folded(text), item, "when", item.line), weight)


def _purposes(section: Section) -> frozenset[Purpose]:
    found = set()
    for text, line in section.texts("purposes"):
        if text in list(Purpose):
            found.add(Purpose(text))
        else:
            hint = nearest(text, list(Purpose)) or f"; one of {', '.join(Purpose)}"
            section.fault("purposes", f"there is no purpose `{text}`{hint}", line)
    return frozenset(found)


def _lawful_basis(section: Section) -> LawfulBasis | None:
    if "mandatory" not in section:
        return None
    if isinstance(section.entry("mandatory"), str):
        return section.choice("mandatory", LawfulBasis)
    section.fault("mandatory", f"names its lawful basis; one of {', '.join(LawfulBasis)}")
    return None


def _allowance(above: Section, key: str, *, whole: bool = False) -> Allowance | None:
    if key not in above:
        return None
    section = above.section(key, f"{above.where}, {key}")
    total, per_day = (_amount(section, entry, whole=whole) for entry in ("total", "per_day"))
    section.finish()
    if total is None and per_day is None:
        section.fault("", "says neither total nor per_day; write one of them")
    if total is not None and per_day is not None and per_day > total:
        section.fault("per_day", "is more than the total; it would never be reached")
    return Allowance(total, per_day)


def _amount(section: Section, key: str, *, whole: bool) -> float | None:
    if key not in section:
        return None
    return float(section.whole(key, minimum=1)) if whole else section.number(key, above=0.0)
