"""Golden cases: what is given, when it is asked, what must come of it. Every name in a case is known here.

given
    ``catalogue`` (what differs from the base) and ``base`` (``bank``; the corner shop when left out);
    ``customer`` (features; a customer nobody knows when left out), ``zone``, ``language``, ``unit``;
    ``consents`` (purposes, or ``gone``), ``opted_out``; ``contacts`` (or ``gone``), ``outcomes``, ``used``,
    and ``merged`` (contacts and outcomes of an identity that turned out to be the same customer)
when
    ``at``, ``channel``, ``placements``, ``context``, ``trusted``, ``propensities``, ``evidence``, ``seed``,
    ``force`` (``action`` and, where one is meant, ``treatment``)
then
    what ``told.TELLERS`` can tell; what a case does not state is free
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

import serving.catalogue
from moment.errors import InvalidRequest
from serving.catalogue import load
from serving.decision.catalogue import Catalogue
from serving.decision.columns import Column, ColumnType
from serving.decision.decide import decide
from serving.decision.decision import Decision, Scores
from serving.decision.shortlist import Shortlist
from serving.decision.values import ActionId, Forced, PlacementRequest, Request, TreatmentId
from tests.golden.given import customer_of, history_of
from tests.golden.told import TELLERS

FOLDER = Path(__file__).parent
BASES = {
    "corner-shop": FOLDER / "catalogue.yaml",
    "bank": Path(serving.catalogue.__file__).parent / "examples" / "bank.yaml",
}
FEATURES: Mapping[str, Column] = {
    "age": Column(ColumnType.INT),
    "spend_30d": Column(ColumnType.FLOAT),
    "vegan": Column(ColumnType.BOOL),
    "city": Column(ColumnType.STRING),
}
CASE = frozenset({"concept", "given", "when", "then"})
GIVEN = frozenset({"base", "catalogue", "customer", "zone", "language", "unit", "consents", "opted_out"}) | {
    "contacts",
    "outcomes",
    "used",
    "merged",
}
WHEN = frozenset(
    {"at", "channel", "placements", "context", "trusted", "propensities", "evidence", "seed"}
) | {"force"}


@dataclass(frozen=True)
class Propensities:
    """A scorer that knows the case's propensities; what it does not know, it cannot score."""

    known: Mapping[str, float] | None
    evidence: Mapping[str, float] | None = None

    def __call__(self, shortlist: Shortlist) -> Scores | None:
        if self.known is None:
            return None
        propensity = _aligned(self.known, shortlist)
        evidence = None if self.evidence is None else _aligned(self.evidence, shortlist)
        return Scores(raw=propensity, propensity=propensity, evidence=evidence)


def _aligned(known: Mapping[str, float], shortlist: Shortlist) -> NDArray[np.float64]:
    ids = [(one.treatment.treatment_id, one.action.action_id) for one in shortlist.contenders]
    return np.array([known.get(first, known.get(second, np.nan)) for first, second in ids], dtype=np.float64)


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


def run(case: Mapping[str, Any]) -> list[str]:
    """Decide, and return where the decision differs from what the case states."""
    unknown = sorted(_unknown(case))
    if unknown:
        return unknown
    then = case["then"]
    try:
        decision = decided(case)
    except InvalidRequest as refusal:
        return differences(then, {"refused": refusal.code})
    return differences(then, {name: TELLERS[name](decision) for name in then if name != "refused"})


@cache
def catalogue_of(base: str, changes: str) -> Catalogue:
    """Return a base catalogue with what the case has different, written as YAML."""
    content = merged(yaml.safe_load(BASES[base].read_text(encoding="utf-8")), yaml.safe_load(changes))
    with TemporaryDirectory() as folder:
        file = Path(folder) / "catalogue.yaml"
        file.write_text(yaml.safe_dump(content, sort_keys=False, allow_unicode=True), encoding="utf-8")
        return load(file, FEATURES if base == "corner-shop" else {})


def differences(expected: Any, found: Any, place: str = "") -> list[str]:  # noqa: ANN401  # YAML
    """Return where what was found differs from what the case states; what it does not state is free."""
    if isinstance(expected, dict) and isinstance(found, dict):
        return [
            line
            for name, value in expected.items()
            for line in (
                differences(value, found[name], f"{place}.{name}")
                if name in found
                else [f"{place}.{name}: expected {value!r}, but there is no such thing"]
            )
        ]
    if isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        pairs = enumerate(zip(expected, found, strict=True))
        return [line for index, pair in pairs for line in differences(*pair, f"{place}[{index}]")]
    if isinstance(expected, float) and isinstance(found, float) and abs(expected - found) <= 1e-9:
        return []
    return [] if expected == found else [f"{place}: expected {expected!r}, found {found!r}"]


def decided(case: Mapping[str, Any]) -> Decision:
    """Return what is decided of a case."""
    given, when = case.get("given") or {}, case["when"]
    catalogue = catalogue_of(given.get("base", "corner-shop"), yaml.safe_dump(given.get("catalogue") or {}))
    request = Request(
        channel=when.get("channel", "web"),
        placements=tuple(PlacementRequest(name, slots) for name, slots in when["placements"].items()),
        context=when.get("context") or {},
        trusted=when.get("trusted", False),
        force=_forced(when.get("force")),
    )
    return decide(
        request,
        catalogue,
        customer_of(given),
        history_of(given, catalogue, request.channel),
        when["at"],
        Propensities(when.get("propensities"), when.get("evidence")),
        np.random.default_rng(when.get("seed", 1)),
    )


def _forced(force: Mapping[str, str] | None) -> Forced | None:
    if force is None:
        return None
    if not {"action"} <= set(force) <= {"action", "treatment"}:
        raise KeyError(f"force: an action and perhaps a treatment, not {', '.join(sorted(force))}")
    treatment = force.get("treatment")
    return Forced(ActionId(force["action"]), None if treatment is None else TreatmentId(treatment))


def _unknown(case: Mapping[str, Any]) -> Iterable[str]:
    """Yield every name in a case that nothing here reads: a typo must not pass for a free choice."""
    told = frozenset(TELLERS) | {"refused"}
    parts = {"": (case, CASE)} | {
        part: (case.get(part) or {}, names)
        for part, names in (("given", GIVEN), ("when", WHEN), ("then", told))
    }
    for part, (written, names) in parts.items():
        for name in written:
            if name not in names:
                yield f"{part}.{name}: there is no such thing; one of {', '.join(sorted(names))}"
    if not case.get("then"):
        yield "then: a case states what must come of it"
