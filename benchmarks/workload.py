"""Simulated catalogues of any size over 50 features, and simulated customers, for benchmarks of the core.

Every rule is written twice: in SQL for Moment, and in the language of zen-engine for the comparison.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta

import numpy as np

from serving.decision.actions import Action, Distinct, Exclusion, Placement, Treatment
from serving.decision.catalogue import Catalogue
from serving.decision.columns import Column, ColumnType
from serving.decision.contact import CalendarWindow, CoolOff, Limit, Per, QuietHours, Suppression
from serving.decision.decision import Scores
from serving.decision.parsing import parse_rule
from serving.decision.rules import Level, Rule, RuleUse, Tier
from serving.decision.shortlist import Shortlist
from serving.decision.values import (
    ActionId,
    Contact,
    Customer,
    CustomerId,
    History,
    PastOutcome,
    PlacementRequest,
    ProfileKind,
    Request,
    Scalar,
    TreatmentId,
)

NOW = datetime(2026, 3, 3, 11, tzinfo=UTC)
REQUEST = Request("web", (PlacementRequest("home", 3),))

WORDS = ("ash", "birch", "cedar", "elm", "fir", "oak")
BANDS = (0.1, 0.2, 0.3, 0.4, 0.5)
"""What ``action.band`` may be; ``action.floor`` lies between the first and the last, for each action anew."""

COLUMNS: Mapping[str, Column] = {
    **{f"rate_{number}": Column(ColumnType.FLOAT) for number in range(20)},
    **{f"count_{number}": Column(ColumnType.INT) for number in range(15)},
    **{f"flag_{number}": Column(ColumnType.BOOL) for number in range(8)},
    **{f"word_{number}": Column(ColumnType.STRING, WORDS) for number in range(7)},
}
"""The 50 features."""

ISSUES, GROUPS = 5, 50
RULES_OF_ISSUES, RULES_OF_ACTION = 2, 2


@dataclass(frozen=True, slots=True)
class Twin:
    """One predicate in two languages."""

    sql: str
    zen: str


@dataclass(frozen=True, slots=True)
class Workload:
    """A catalogue with the second writing of its rules.

    Attributes
    ----------
    catalogue
        As Moment decides with it.
    zen
        The rules of the catalogue in zen-engine's language, by rule id.
    """

    catalogue: Catalogue
    zen: tuple[str, ...]

    def zen_of(self, rule_id: int, action: Action) -> str:
        """Return a rule with the action's own values in place, as Moment's plan holds it."""
        return re.sub(r"\baction\.(\w+)", lambda found: repr(action.attributes[found[1]]), self.zen[rule_id])


@dataclass(frozen=True, slots=True)
class ArrayScorer:
    """Scores from an array: there is no model in these figures."""

    propensity: np.ndarray[tuple[int], np.dtype[np.float64]]

    def __call__(self, shortlist: Shortlist) -> Scores:
        """Return the array's values at the contenders."""
        found = self.propensity[shortlist.contender_index]
        return Scores(found, found)


def make_workload(actions: int, rules: int, *, policies: bool = False, seed: int = 0) -> Workload:
    """Return a catalogue of so many actions, one treatment each, that use so many distinct rules.

    Five issues have two rules each, every group one, every action two of the rest; one in six of the rest
    compares a feature with an attribute of the action: one of few values, or one of its own.
    """
    rng = np.random.default_rng(seed)
    twins = _twins(rng, rules)
    groups = min(GROUPS, max(1, rules // 6))
    rest = np.arange(ISSUES * RULES_OF_ISSUES + groups, rules)
    if len(rest) < RULES_OF_ACTION:
        raise ValueError(f"{rules} rules are too few for {groups} groups; ask for 20 or more")
    # so that each of the rest is used before one is used twice
    deck = np.concatenate([rng.permutation(rest) for _ in range(RULES_OF_ACTION * actions // len(rest) + 2)])
    made = tuple(
        _action(number, groups, deck[RULES_OF_ACTION * number :][:RULES_OF_ACTION].tolist(), rng)
        for number in range(actions)
    )
    catalogue = Catalogue(
        name="simulated",
        currency="EUR",
        timezone="Europe/Berlin",
        actions=made,
        placements=(Placement("web", "home", 3, Distinct.GROUP),),
        rules=tuple(_rule(number, twin) for number, twin in enumerate(twins)),
    )
    return Workload(_with_policies(catalogue) if policies else catalogue, tuple(twin.zen for twin in twins))


def make_customers(count: int, *, missing: float = 0.05, seed: int = 1) -> tuple[Customer, ...]:
    """Return simulated customers; ``missing`` is the share of their values that is unknown."""
    rng = np.random.default_rng(seed)
    return tuple(
        Customer(CustomerId(f"c{number}"), ProfileKind.KNOWN, _row(rng, missing), unit=f"c{number}")
        for number in range(count)
    )


def make_scorer(actions: int, seed: int = 2) -> ArrayScorer:
    """Return a simulated propensity per candidate."""
    return ArrayScorer(np.random.default_rng(seed).uniform(0.005, 0.1, actions))


def make_history(catalogue: Catalogue, contacts: int = 30, outcomes: int = 5, seed: int = 3) -> History:
    """Return what a customer was given within 30 days, half of it shown, and how they answered."""
    rng = np.random.default_rng(seed)
    given = []
    few = rng.choice(len(catalogue.actions), max(1, contacts // 3), replace=False)
    for number, hours in enumerate(sorted(30.0 * 24.0 * rng.random(contacts) ** 2 + 1.0, reverse=True)):
        action = catalogue.actions[int(rng.choice(few))]
        at = NOW - timedelta(hours=float(hours))
        given.append(
            Contact(
                f"t{number}",
                action.action_id,
                action.group,
                action.issue,
                "web",
                decided_at=at,
                reserved_until=at + timedelta(minutes=40),
                presented_at=at + timedelta(minutes=1) if number % 2 == 0 else None,
            )
        )
    answered = [
        PastOutcome("rejected", one.action_id, one.group, one.issue, one.channel, one.decided_at)
        for one in given[:outcomes]
    ]
    return History(tuple(given), tuple(answered))


def _twins(rng: np.random.Generator, count: int) -> list[Twin]:
    """Return distinct rules of two or three atoms, in order of their SQL; about five in six hold."""
    bound = ISSUES * RULES_OF_ISSUES + min(GROUPS, max(1, count // 6))
    plain: dict[str, Twin] = {}
    while len(plain) < count:
        number = len(plain)
        one, two, three = (_atom(rng) for _ in range(3))
        if number >= bound and number % 6 == 0:
            one = _against_action(rng, "band" if number % 12 else "floor")
        twin = (
            Twin(f"{one.sql} OR {two.sql}", f"{one.zen} or {two.zen}")
            if number % 2
            else Twin(
                f"({one.sql} OR {two.sql}) AND ({three.sql} OR {one.sql})",
                f"({one.zen} or {two.zen}) and ({three.zen} or {one.zen})",
            )
        )
        plain.setdefault(twin.sql, twin)
    return list(plain.values())


def _atom(rng: np.random.Generator) -> Twin:
    match int(rng.integers(4)):
        case 0:
            sql = f"rate_{rng.integers(20)} >= {rng.uniform(0.2, 0.5):.3f}"
            return Twin(sql, sql)
        case 1:
            name, low = f"count_{rng.integers(15)}", int(rng.integers(0, 8))
            return Twin(f"{name} BETWEEN {low} AND {low + 12}", f"({name} >= {low} and {name} <= {low + 12})")
        case 2:
            name = f"flag_{rng.integers(8)}"
            return Twin(f"NOT {name}", f"(not {name})")
        case _:
            name = f"word_{rng.integers(7)}"
            words = [WORDS[index] for index in sorted(rng.choice(len(WORDS), 4, replace=False))]
            quoted = ", ".join(f"'{word}'" for word in words)
            return Twin(f"{name} IN ({quoted})", f"{name} in [{quoted}]")


def _against_action(rng: np.random.Generator, attribute: str) -> Twin:
    sql = f"rate_{rng.integers(20)} >= action.{attribute}"
    return Twin(sql, sql)


def _row(rng: np.random.Generator, missing: float) -> Mapping[str, Scalar]:
    row: dict[str, Scalar] = {}
    for name, column in COLUMNS.items():
        if rng.random() < missing:
            row[name] = None
            continue
        match column.type:
            case ColumnType.FLOAT:
                row[name] = float(rng.random())
            case ColumnType.INT:
                row[name] = int(rng.integers(0, 20))
            case ColumnType.BOOL:
                row[name] = bool(rng.random() < 0.3)
            case ColumnType.STRING:
                row[name] = WORDS[int(rng.integers(len(WORDS)))]
    return row


def _action(number: int, groups: int, own: Sequence[int], rng: np.random.Generator) -> Action:
    group = number % groups
    issue = group % ISSUES
    of_issue = [
        RuleUse(Tier.ELIGIBLE, Level.ISSUE, RULES_OF_ISSUES * issue + step) for step in range(RULES_OF_ISSUES)
    ]
    of_group = RuleUse(Tier.APPLICABLE, Level.GROUP, ISSUES * RULES_OF_ISSUES + group)
    of_action = [RuleUse(Tier.SUITABLE, Level.ACTION, rule_id) for rule_id in own]
    name = f"action-{number:05d}"
    return Action(
        action_id=ActionId(name),
        label=name,
        issue=f"issue-{issue}",
        group=f"group-{group}",
        value=float(rng.uniform(1.0, 100.0)),
        window=timedelta(days=30),
        attributes={
            "band": BANDS[int(rng.integers(len(BANDS)))],
            "floor": round(float(rng.uniform(BANDS[0], BANDS[-1])), 3),
        },
        rules=(*of_issue, of_group, *of_action),
        treatments=(Treatment(TreatmentId(f"{name}-web"), "web", ("home",), "en", {"title": name}),),
        purposes=frozenset(),
    )


def _rule(number: int, twin: Twin) -> Rule:
    attributes = dict.fromkeys(("action.band", "action.floor"), Column(ColumnType.FLOAT))
    parsed = parse_rule(twin.sql, {**COLUMNS, **attributes})
    if parsed.expression is None:
        raise ValueError(f"{twin.sql}: {'; '.join(parsed.faults)}")
    return Rule(number, twin.sql, parsed.expression)


def _with_policies(catalogue: Catalogue) -> Catalogue:
    """Return it with limits, suppressions, a cool-off, quiet hours and a set of actions that exclude."""
    excluding = tuple(
        replace(action, exclusions=("one-of",)) if number % 10 == 0 else action
        for number, action in enumerate(catalogue.actions)
    )
    return Catalogue(
        name=catalogue.name,
        currency=catalogue.currency,
        timezone=catalogue.timezone,
        actions=excluding,
        placements=catalogue.placements,
        rules=catalogue.rules,
        contact_policies=(
            Limit("three-a-week", 3, timedelta(days=7)),
            Limit("five-a-month-of-a-group", 5, CalendarWindow.MONTH, per=Per.GROUP),
            Limit("forty-a-month", 40, timedelta(days=30), per=Per.ALL),
            Suppression("after-a-no", "rejected", timedelta(days=30)),
            CoolOff("a-day-of-rest", timedelta(hours=24), per=Per.ISSUE),
            QuietHours("night", time(21), time(8)),
        ),
        exclusions=(Exclusion("one-of", timedelta(days=7)),),
    )
