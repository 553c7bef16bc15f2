"""One golden decision: what is given, when it is asked, what must come of it.

given
    ``customer`` (features; a customer nobody knows when left out), ``zone``, ``language``, ``unit``;
    ``consents`` (purposes, or ``gone``), ``opted_out``; ``contacts`` (or ``gone``), ``outcomes``, ``used``,
    and ``merged`` (contacts and outcomes of an identity that turned out to be the same customer)
when
    ``at``, ``channel``, ``placements``, ``context``, ``trusted``, ``propensities`` (by action or treatment;
    none at all: there is no model), ``evidence``, ``seed``, ``force`` (``action`` and, where one is meant,
    ``treatment``), ``stopped`` (``actions``, ``issues``, ``channels``, ``models``)
then
    what ``golden_told.THEN`` names; what is not stated is free
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from moment.errors import InvalidRequest, MomentError
from serving.catalogue.golden_given import customer_of, history_of
from serving.catalogue.golden_told import REFUSED, told
from serving.decision.catalogue import Catalogue
from serving.decision.decide import decide
from serving.decision.decision import Decision, Scores
from serving.decision.shortlist import Shortlist
from serving.decision.values import ActionId, Forced, PlacementRequest, Request, Stopped, TreatmentId

USUAL_CHANNEL = "web"
"""Where a case asks that does not say."""

_CLOSE = 1e-9


@dataclass(frozen=True, slots=True)
class Propensities:
    """A scorer that knows the case's propensities; what it does not know, it cannot score."""

    known: Mapping[str, float] | None
    evidence: Mapping[str, float] | None = None

    def __call__(self, shortlist: Shortlist) -> Scores | None:
        """Return what is known of the contenders; None where there is no model."""
        if self.known is None:
            return None
        propensity = _aligned(self.known, shortlist)
        evidence = None if self.evidence is None else _aligned(self.evidence, shortlist)
        return Scores(raw=propensity, propensity=propensity, evidence=evidence)


def _aligned(known: Mapping[str, float], shortlist: Shortlist) -> NDArray[np.float64]:
    ids = [(one.treatment.treatment_id, one.action.action_id) for one in shortlist.contenders]
    return np.array([known.get(first, known.get(second, np.nan)) for first, second in ids], dtype=np.float64)


def decided(case: Mapping[str, Any], catalogue: Catalogue) -> Decision:
    """Return what a catalogue decides of a case.

    Raises
    ------
    InvalidRequest
        The catalogue does not take what is asked.
    """
    given, when = case.get("given") or {}, case["when"]
    request = request_of(case)
    return decide(
        request,
        catalogue,
        customer_of(given),
        history_of(given, catalogue, request.channel),
        when["at"],
        Propensities(when.get("propensities"), when.get("evidence")),
        np.random.default_rng(when.get("seed", 1)),
    )


def request_of(case: Mapping[str, Any]) -> Request:
    """Return the request of a case."""
    when = case["when"]
    return Request(
        channel=when.get("channel", USUAL_CHANNEL),
        placements=tuple(PlacementRequest(name, slots) for name, slots in when["placements"].items()),
        context=when.get("context") or {},
        trusted=when.get("trusted", False),
        force=_forced(when.get("force")),
        stopped=_stopped(when.get("stopped") or {}),
    )


def mistaken(case: Mapping[str, Any], catalogue: Catalogue) -> list[str]:
    """Decide, and return where the decision differs from what the case states."""
    then = case["then"]
    try:
        decision = decided(case, catalogue)
    except InvalidRequest as refusal:
        if REFUSED in then:
            return differences(then, {REFUSED: refusal.code})
        return [f"it is refused: {refusal}"]
    except MomentError as error:
        return [f"it cannot be decided: {error}"]
    return differences(then, told(decision, then))


def differences(expected: Any, found: Any, place: str = "") -> list[str]:  # noqa: ANN401  # YAML
    """Return where what was found differs from what a case states; what it does not state is free."""
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
    if isinstance(expected, float) and isinstance(found, float) and abs(expected - found) <= _CLOSE:
        return []
    return [] if expected == found else [f"{place}: expected {expected!r}, found {found!r}"]


def _forced(force: Mapping[str, str] | None) -> Forced | None:
    if force is None:
        return None
    treatment = force.get("treatment")
    return Forced(ActionId(force["action"]), None if treatment is None else TreatmentId(treatment))


def _stopped(written: Mapping[str, list[str]]) -> Stopped:
    return Stopped(**{kind: frozenset(names) for kind, names in written.items()})
