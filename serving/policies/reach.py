"""Whom a policy reaches, against what decides now: on recorded requests, each decided again by both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from serving.decision.catalogue import Catalogue
from serving.lifecycle import GateVerdict, Verdict
from serving.lifecycle.gates import judged
from serving.policies.bounds import PolicyBounds
from serving.policies.intervals import Estimate, clustered
from serving.policies.requests import Reached, Redecide, recorded_reach
from serving.records import DecisionRecord

_LISTED = 6


@dataclass(frozen=True, slots=True)
class Compared:
    """Requests, and what came of each: by the new policy, and by the old one or as it was answered then.

    Parameters
    ----------
    requests, new, old
        Aligned.
    unsure
        Why nobody can tell from them; empty where one can.
    """

    requests: Sequence[DecisionRecord]
    new: Sequence[Reached]
    old: Sequence[Reached]
    unsure: str

    @property
    def customers(self) -> tuple[str, ...]:
        """Whose request each is; of somebody nobody knows, a unit of its own."""
        return tuple(_customer(record) for record in self.requests)


def reach_gates(
    requests: Sequence[DecisionRecord],
    again: Redecide,
    champion: Catalogue | None,
    bounds: PolicyBounds,
    *,
    unread: int = 0,
) -> tuple[GateVerdict, ...]:
    """Return reach, and what can be told besides: who is starved, and how much changes.

    Parameters
    ----------
    requests
        Recorded ones that can be decided again.
    again
        Decides by the new policy.
    champion
        What decides now; None: it is held against what was answered then.
    bounds
        What must be reached.
    unread
        How many more requests there are whose scores cannot be read.
    """
    if not requests:
        note = _left_out(unread) if unread else "no recorded requests yet"
        return (_reach_gate((None, None, None), bounds, sure=False, note=note),)
    new = [again(record) for record in requests]
    if champion is None:
        old = [recorded_reach(record, again.catalogue) for record in requests]
    else:
        now = Redecide(champion, again.known, again.scorer_for)
        old = [now(record) for record in requests]
    compared = Compared(requests, new, old, _unsure(old, bounds))
    notes = [_counted(compared, "now" if champion is not None else "then")]
    if unread:
        notes.append(_left_out(unread))
    if again.refused:
        notes.append(f"{again.refused} ask for what the catalogue does not have")
    if again.unscored:
        notes.append(f"{again.unscored} contenders could not be scored")
    if compared.unsure:
        notes.append(compared.unsure)
    return (
        _reach_gate(_ratio(compared), bounds, sure=not compared.unsure, note="; ".join(notes)),
        _starved_gate(compared, again.catalogue, bounds),
        _changed_gate(compared),
    )


def _left_out(unread: int) -> str:
    return f"{unread} more are left out: neither the catalogue nor the model that scored them is kept"


def _unsure(old: Sequence[Reached], bounds: PolicyBounds) -> str:
    if len(old) < bounds.fewest:
        return f"{bounds.fewest} requests are needed to tell"
    if not any(one.marketing for one in old):
        return "what it is held against reaches nobody"
    return ""


def _counted(compared: Compared, when: str) -> str:
    new, old = (sum(one.marketing for one in side) for side in (compared.new, compared.old))
    return f"of {len(compared.requests)} recorded requests {new} are reached, {old} {when}"


def _reach_gate(estimate: Estimate, bounds: PolicyBounds, *, sure: bool, note: str) -> GateVerdict:
    value, low, high = estimate
    at_least, at_most = bounds.reach_at_least, bounds.reach_at_most
    upper = "" if at_most is None else f" and at most {at_most:g}"
    verdict = judged(value, low, high, at_least=at_least, at_most=at_most)
    return GateVerdict(
        gate="reach",
        title=f"Requests with a marketing offer, against what decides now, at least {at_least:g}{upper}",
        verdict=verdict if sure else Verdict.INCONCLUSIVE,
        value=value,
        low=low,
        high=high,
        at_least=at_least,
        at_most=at_most,
        note=note,
    )


def _starved_gate(compared: Compared, catalogue: Catalogue, bounds: PolicyBounds) -> GateVerdict:
    competing = _competing(compared.requests, catalogue)
    reached, before = _offered(compared.new), _offered(compared.old)
    share = len(competing - reached) / len(competing) if competing else None
    most, lost = bounds.starved_at_most, sorted((before & competing) - reached)
    bounded = most is not None and bool(compared.unsure)
    return GateVerdict(
        gate="starved",
        title=f"Actions offered in none of the requests{'' if most is None else f', at most {most:.0%}'}",
        verdict=Verdict.INCONCLUSIVE if bounded else judged(share, at_most=most),
        value=share,
        at_most=most,
        note=f"offered before and never now: {listed(lost)}" if lost else "",
    )


def _competing(requests: Sequence[DecisionRecord], catalogue: Catalogue) -> set[str]:
    """Return the actions that have a treatment for a placement that was asked for."""
    asked = {(record.channel, place.name) for record in requests for place in record.asked}
    return {
        str(action.action_id)
        for action in catalogue.actions
        if action.mandatory is None
        and any((one.channel, place) in asked for one in action.treatments for place in one.placements)
    }


def _offered(side: Sequence[Reached]) -> frozenset[str]:
    return frozenset[str]().union(*(one.actions for one in side))


def _changed_gate(compared: Compared) -> GateVerdict:
    pairs = zip(compared.new, compared.old, strict=True)
    differs = np.array([new.first != old.first for new, old in pairs], dtype=np.float64)
    value, low, high = clustered(differs, np.ones_like(differs), compared.customers)
    return GateVerdict(
        gate="changed",
        title="Requests whose first offer is another one (told, not bounded)",
        verdict=judged(value, low, high),
        value=value,
        low=low,
        high=high,
    )


def _ratio(compared: Compared) -> Estimate:
    new, old = (
        np.array([one.marketing for one in side], dtype=np.float64) for side in (compared.new, compared.old)
    )
    return clustered(new, old, compared.customers)


def _customer(record: DecisionRecord) -> str:
    whose = None if record.personal is None else record.personal.customer_id
    return f"decision {record.decision_id}" if whose is None else f"customer {whose}"


def listed(names: Sequence[str]) -> str:
    """Return the first few names, and how many more there are."""
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return f"{', '.join(names[:_LISTED])}{more}"
