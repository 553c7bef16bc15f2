"""Reads a golden case: the shared catalogue with its differences, the request, and what must come of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from serving.catalogue import load
from serving.decision.columns import Column, ColumnType
from serving.decision.considered import Considered
from serving.decision.decide import decide
from serving.decision.decision import Decision, Scores
from serving.decision.explanation import explain_candidate
from serving.decision.shortlist import Shortlist
from serving.decision.values import Customer, CustomerId, History, PlacementRequest, ProfileKind, Request

FOLDER = Path(__file__).parent
FEATURES: Mapping[str, Column] = {
    "age": Column(ColumnType.INT),
    "spend_30d": Column(ColumnType.FLOAT),
    "vegan": Column(ColumnType.BOOL),
    "city": Column(ColumnType.STRING),
}


@dataclass(frozen=True)
class Propensities:
    """A scorer that knows the case's propensities; what it does not know, it cannot score."""

    known: Mapping[str, float] | None

    def __call__(self, shortlist: Shortlist) -> Scores | None:
        if self.known is None:
            return None
        ids = [(one.treatment.treatment_id, one.action.action_id) for one in shortlist.contenders]
        values = [self.known.get(treatment, self.known.get(action, np.nan)) for treatment, action in ids]
        propensity = np.array(values, dtype=np.float64)
        return Scores(raw=propensity, propensity=propensity)


def merged(base: Any, change: Any) -> Any:  # noqa: ANN401  # YAML
    """Return ``base`` with ``change`` written over it; null takes an entry away."""
    if not (isinstance(base, dict) and isinstance(change, dict)):
        return change
    names = [*base, *(name for name in change if name not in base)]
    new = {name: merged(base.get(name), change[name]) if name in change else base[name] for name in names}
    return {name: value for name, value in new.items() if value is not None}


def read(case: Path) -> dict[str, Any]:
    """Return a case as written."""
    content: dict[str, Any] = yaml.safe_load(case.read_text(encoding="utf-8"))
    return content


def run(case: Mapping[str, Any], scratch: Path) -> dict[str, Any]:
    """Decide, and return what the case may speak of."""
    given, when = case.get("given") or {}, case["when"]
    base = yaml.safe_load((FOLDER / "catalogue.yaml").read_text(encoding="utf-8"))
    file = scratch / "catalogue.yaml"
    file.write_text(yaml.safe_dump(merged(base, given.get("catalogue") or {}), sort_keys=False))
    catalogue = load(file, FEATURES)
    known = given.get("customer")
    customer = (
        Customer(None, ProfileKind.NONE)
        if known is None
        else Customer(CustomerId("c-1"), ProfileKind.KNOWN, known)
    )
    request = Request(
        channel=when.get("channel", "web"),
        placements=tuple(PlacementRequest(name, slots) for name, slots in when["placements"].items()),
        context=when.get("context") or {},
    )
    decision = decide(
        request,
        catalogue,
        customer,
        History(),
        when["at"],
        Propensities(when.get("propensities")),
        np.random.default_rng(when.get("seed", 1)),
    )
    return _told(decision)


def _told(decision: Decision) -> dict[str, Any]:
    return {
        "offers": {
            placement.name: [offer.candidate.treatment.treatment_id for offer in placement.offers]
            for placement in decision.placements
        },
        "kinds": {p.name: [offer.kind.value for offer in p.offers] for p in decision.placements},
        "placements": {placement.name: placement.reason.value for placement in decision.placements},
        "why": {
            placement.name: {
                _name(one): explain_candidate(one, decision.considered.catalogue).text
                for one in decision.considered
                if one.placement == placement.name
            }
            for placement in decision.placements
        },
        "probabilities": [offer.action_probability for offer in decision.offers],
        "funnel": [
            decision.funnel.considered,
            decision.funnel.available,
            decision.funnel.eligible,
            decision.funnel.applicable,
            decision.funnel.suitable,
            decision.funnel.within_contact_policy,
            decision.funnel.scored,
            decision.funnel.shown,
        ],
        "context": dict(decision.context),
    }


def _name(one: Considered) -> str:
    several = len(one.candidate.action.treatments) > 1
    return one.candidate.treatment.treatment_id if several else one.candidate.action.action_id


def differences(expected: Any, found: Any, place: str = "") -> list[str]:  # noqa: ANN401  # YAML
    """Return where the decision differs from what the case states; what it does not state is free."""
    if isinstance(expected, dict) and isinstance(found, dict):
        return [
            line
            for name, value in expected.items()
            for line in differences(value, found.get(name), f"{place}.{name}")
        ]
    return [] if expected == found else [f"{place}: expected {expected!r}, found {found!r}"]
