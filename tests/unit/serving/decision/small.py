"""A small catalogue made in code, for tests that need many variations of one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta

import numpy as np

from serving.decision.actions import Action, Candidate, Distinct, LawfulBasis, Placement, Treatment
from serving.decision.catalogue import Catalogue
from serving.decision.columns import Column, ColumnType
from serving.decision.decision import Scores
from serving.decision.exploration import Exploration
from serving.decision.greedy import Greedy
from serving.decision.parsing import parse_rule
from serving.decision.rules import Level, Rule, RuleUse, Tier
from serving.decision.shortlist import Shortlist
from serving.decision.values import (
    ActionId,
    Customer,
    CustomerId,
    PlacementRequest,
    ProfileKind,
    Purpose,
    Request,
    Scalar,
    TreatmentId,
)

NOW = datetime(2026, 3, 3, 11, tzinfo=UTC)
COLUMNS = {"age": Column(ColumnType.INT), "spend": Column(ColumnType.FLOAT)}


def treatment(
    name: str, *, channel: str = "web", places: tuple[str, ...] = ("home", "side"), language: str = "en"
) -> Treatment:
    return Treatment(TreatmentId(name), channel, places, language, {"title": name})


def action(
    name: str,
    *,
    value: float = 1.0,
    group: str = "g",
    rules: tuple[int, ...] = (),
    treatments: Iterable[Treatment] = (),
    purposes: frozenset[Purpose] = frozenset(),
    mandatory: LawfulBasis | None = None,
) -> Action:
    return Action(
        action_id=ActionId(name),
        label=name,
        issue="i",
        group=group,
        value=value,
        window=timedelta(days=30),
        attributes={},
        rules=tuple(RuleUse(Tier.ELIGIBLE, Level.ACTION, number) for number in rules),
        treatments=tuple(treatments) or (treatment(f"{name}-web"),),
        purposes=purposes,
        mandatory=mandatory,
    )


def catalogue(
    *actions: Action,
    rules: tuple[str, ...] = (),
    slots: int = 3,
    distinct: Distinct = Distinct.ACTION,
    floor: float = 0.0,
    exploration: Exploration | None = None,
    fallback: bool = False,
) -> Catalogue:
    flyer = action("flyer", value=0.0)
    return Catalogue(
        name="small",
        currency="EUR",
        timezone="UTC",
        actions=actions,
        placements=(
            Placement(
                "web", "home", slots, distinct, Candidate(flyer, flyer.treatments[0]) if fallback else None
            ),
            Placement("web", "side", slots),
        ),
        rules=tuple(_rule(number, text) for number, text in enumerate(rules)),
        propensity_floor=floor,
        exploration=exploration or Greedy(),
    )


def _rule(number: int, text: str) -> Rule:
    parsed = parse_rule(text, COLUMNS)
    assert parsed.expression is not None, parsed.faults
    return Rule(number, text, parsed.expression)


def customer(**features: Scalar) -> Customer:
    return Customer(CustomerId("c"), ProfileKind.KNOWN, features)


def request(**places: int) -> Request:
    return Request("web", tuple(PlacementRequest(name, slots) for name, slots in places.items()))


def scorer(known: Mapping[str, float], otherwise: float = 0.5) -> Scorer:
    return Scorer(known, otherwise)


class Scorer:
    """Scores by treatment id."""

    def __init__(self, known: Mapping[str, float], otherwise: float) -> None:
        self.known = known
        self.otherwise = otherwise
        self.calls = 0

    def __call__(self, shortlist: Shortlist) -> Scores:
        self.calls += 1
        values = [self.known.get(one.treatment.treatment_id, self.otherwise) for one in shortlist.contenders]
        return Scores(np.array(values), np.array(values))
