"""Contact policies and exclusions: limits, suppressions, cool-offs, quiet hours."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta

from serving.catalogue.drafts import DraftAction
from serving.catalogue.names import Names, among
from serving.catalogue.section import Section
from serving.decision.actions import Exclusion
from serving.decision.contact import (
    CalendarWindow,
    ContactPolicy,
    CoolOff,
    Counting,
    Limit,
    Per,
    QuietHours,
    Scope,
    Suppression,
    Window,
)
from serving.decision.parsing import nearest


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a contact policy must agree with."""

    actions: tuple[DraftAction, ...]
    names: Names
    outbound: frozenset[str]
    outcomes: Collection[str]


@dataclass(frozen=True, slots=True)
class DraftExclusion:
    """A set of actions that exclude one another, before it is known which."""

    exclusion: Exclusion
    section: Section

    def check(self, actions: Iterable[DraftAction]) -> None:
        """Note when too few actions name it to exclude one another."""
        members = [one.action_id for one in actions if self.exclusion.name in one.inherited.exclusions]
        if len(members) < 2:
            held = f"only {members[0]}" if members else "no action"
            self.section.fault("", f"holds {held}; name it under `exclusions` of two actions or more")


def read_exclusions(root: Section) -> tuple[DraftExclusion, ...]:
    """Return the sets of actions that exclude one another."""
    found = []
    for name, section in root.sections("exclusions", "exclusion", required=False):
        rests = section.duration("rests", timedelta(0)) if len(section) else timedelta(0)
        found.append(DraftExclusion(Exclusion(name, rests), section))
        section.finish()
    return tuple(found)


def read_policies(root: Section, around: Surroundings) -> tuple[ContactPolicy, ...]:
    """Return the contact policies."""
    return tuple(_policies(root, around))


def _policies(root: Section, around: Surroundings) -> Iterator[ContactPolicy]:
    for name, section in root.sections("contact_policies", "contact policy", required=False):
        said = [kind for kind in _READERS if kind in section.given]
        if len(said) != 1:
            wrong = f"says {' and '.join(said)}" if said else "says nothing"
            section.fault("", f"{wrong}; a contact policy says one of {', '.join(_READERS)}")
            continue
        yield _READERS[said[0]](name, section, around)
        section.finish()


def _limit(name: str, section: Section, around: Surroundings) -> ContactPolicy:
    return Limit(
        name,
        most=section.whole("limit", minimum=1),
        window=_window(section),
        counts=section.choice("counts", Counting, Counting.PRESENTATIONS),
        per=section.choice("per", Per, Per.ACTION),
        per_channel=section.flag("per_channel", default=False),
        scope=_scope(section, around),
    )


def _suppression(name: str, section: Section, around: Surroundings) -> ContactPolicy:
    after = section.section("after", f"{section.where}, after")
    outcome = after.name("outcome")
    if outcome and outcome not in around.outcomes:
        hint = nearest(outcome, around.outcomes) or among(around.outcomes)
        after.fault("outcome", f"nothing is called `{outcome}`{hint}")
    suppression = Suppression(
        name,
        outcome=outcome,
        lasts=section.duration("suppress"),
        after=after.whole("times", 1, minimum=1),
        within=after.duration("within") if "within" in after else None,
        per=section.choice("per", Per, Per.ACTION),
        per_channel=section.flag("per_channel", default=False),
        scope=_scope(section, around),
    )
    after.finish()
    return suppression


def _cool_off(name: str, section: Section, around: Surroundings) -> ContactPolicy:
    return CoolOff(
        name,
        lasts=section.duration("cool_off"),
        per=section.choice("per", Per, Per.ALL),
        per_channel=section.flag("per_channel", default=False),
        scope=_scope(section, around),
    )


def _quiet_hours(name: str, section: Section, around: Surroundings) -> ContactPolicy:
    hours = section.section("quiet_hours", f"{section.where}, quiet_hours")
    policy = QuietHours(
        name, starts=hours.clock("from"), ends=hours.clock("to"), scope=_scope(section, around)
    )
    hours.finish()
    if hours.entry("from") and hours.entry("from") == hours.entry("to"):
        hours.fault("to", "is the same as from; quiet hours that never end are a rule, not a contact policy")
    outbound = ", ".join(sorted(around.outbound))
    if not outbound:
        section.fault("quiet_hours", "no channel is outbound; write channels: {email: {outbound: true}}")
    elif policy.scope.channels and not policy.scope.channels & around.outbound:
        section.fault("channels", f"none of them is outbound; quiet hours are for {outbound}")
    return policy


_READERS: Mapping[str, Callable[[str, Section, Surroundings], ContactPolicy]] = {
    "limit": _limit,
    "suppress": _suppression,
    "cool_off": _cool_off,
    "quiet_hours": _quiet_hours,
}


def _window(section: Section) -> Window:
    word = section.entry("window")
    if isinstance(word, str) and word in list(CalendarWindow):
        return CalendarWindow(word)
    if isinstance(word, str) and word.isalpha():
        hint = nearest(word, list(CalendarWindow)) or "; write day, week or month, or a time span such as 7d"
        section.fault("window", f"`{word}` is no window{hint}")
        return CalendarWindow.DAY
    return section.duration("window")


def _scope(section: Section, around: Surroundings) -> Scope:
    kinds = ("issues", "groups", "actions", "channels")
    scope = Scope(**{kind: frozenset(around.names.read(section, kind)) for kind in kinds})
    if not any(
        (not scope.issues or action.issue in scope.issues)
        and (not scope.groups or action.group in scope.groups)
        and (not scope.actions or action.action_id in scope.actions)
        for action in around.actions
    ):
        section.fault("", "governs no action; no action is in all of the issues, groups and actions it names")
    return scope
