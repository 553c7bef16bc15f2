"""The gates of a next-best-action version: sound, decides as written, in time, for enough people.

All of it is a function of what is given: the catalogue, its golden decisions, what decides now, and records.
A number that is missing fails. One does not: without enough recorded requests nobody can tell whom a policy
reaches, and a fresh home has none, so ``reach`` is inconclusive then. Such a version may challenge; to become
the champion it needs somebody who accepts that by name.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Sequence

import numpy as np

from moment.errors import ConfigurationError, DependencyError
from serving.catalogue.feature_columns import missing_columns
from serving.catalogue.golden import Golden, missed
from serving.decision.catalogue import Catalogue
from serving.lifecycle import GateVerdict
from serving.lifecycle.gates import judged
from serving.policies.bounds import PACKAGED_BOUNDS, PolicyBounds, read_bounds
from serving.policies.intervals import interval_of
from serving.policies.reach import listed, reach_gates
from serving.policies.requests import Redecide, ScorerFor, golden_milliseconds, representative
from serving.records import DecisionRecord

__all__ = ["PACKAGED_BOUNDS", "PolicyBounds", "ScorerFor", "policy_gates", "read_bounds"]

_LISTED = 3
_TIMED = 100
"""Requests that are timed at most: five runs of each."""


def policy_gates(
    catalogue: Catalogue,
    *,
    golden: Golden | None,
    champion: Catalogue | None,
    recorded: Sequence[DecisionRecord],
    scorer: ScorerFor | None,
    bounds: PolicyBounds,
    features: Container[str] | None = None,
    catalogues: Callable[[str], Catalogue | None] | None = None,
) -> tuple[GateVerdict, ...]:
    """Return what the gates find of a catalogue that is to become a version.

    Parameters
    ----------
    catalogue
        Loaded, so free of faults.
    golden
        Its golden decisions; None where there are none, which fails.
    champion
        What decides now; None: it is held against what was answered then.
    recorded
        Decision records; of them the newest live ones that can be decided again are.
    scorer
        Finds the model a record cites, for what was not scored then; None: it stays unscored.
    bounds
        What must be reached.
    features
        Names of what a rule may read of customers; None: those that are built in.
    catalogues
        Finds the catalogue a record cites, as ``CatalogueArchive.find`` does: without it recorded scores are
        read only where one of the two above decided.
    """
    requests = representative(recorded, bounds.requests)
    known = {one.digest: one for one in (champion, catalogue) if one is not None}
    if catalogues is not None:
        known |= _cited({one.versions.catalogue for one in requests} - set(known), catalogues)
    again = Redecide(catalogue, known, scorer)
    total = len(requests)
    requests = tuple(record for record in requests if again.can_score(record))
    return (
        _check_gate(catalogue, _built_in() if features is None else features),
        _golden_gate(catalogue, golden, bounds),
        _latency_gate(catalogue, golden, requests, Redecide(catalogue, known, scorer), bounds),
        *reach_gates(requests, again, champion, bounds, unread=total - len(requests)),
    )


def _cited(digests: Iterable[str], catalogues: Callable[[str], Catalogue | None]) -> dict[str, Catalogue]:
    """Return the catalogues that are still kept, and sound, of those that records cite."""
    found = {}
    for digest in digests:
        try:
            catalogue = catalogues(digest)
        except (DependencyError, ConfigurationError):
            continue
        if catalogue is not None:
            found[digest] = catalogue
    return found


def _built_in() -> Container[str]:
    from features.definitions import customer_contract
    from features.realtime_features import REALTIME_V1

    return {spec.name for spec in (*customer_contract().scalars, *REALTIME_V1.scalars)}


def _check_gate(catalogue: Catalogue, features: Container[str]) -> GateVerdict:
    lacking = missing_columns(catalogue, features)
    note = f"no feature computes {listed(lacking)}; define them, or take the rules out" if lacking else ""
    return GateVerdict(
        gate="catalogue.check",
        title="Columns of the customer that rules read and no feature computes, none",
        verdict=judged(float(len(lacking)), at_most=0.0),
        value=float(len(lacking)),
        at_most=0.0,
        note=note,
    )


def _golden_gate(catalogue: Catalogue, golden: Golden | None, bounds: PolicyBounds) -> GateVerdict:
    total = 0 if golden is None else len(golden.decisions)
    wrong = () if golden is None else missed(golden, catalogue)
    share = 1 - len(wrong) / total if total else None
    note = "; ".join(map(str, wrong[:_LISTED])) + (
        f"; and {len(wrong) - _LISTED} more" * (len(wrong) > _LISTED)
    )
    return GateVerdict(
        gate="golden",
        title=f"Golden decisions that come out as written, at least {bounds.golden_at_least:.0%}",
        verdict=judged(share, at_least=bounds.golden_at_least),
        value=share,
        at_least=bounds.golden_at_least,
        note=note
        if total
        else "no golden decisions; write them in NAME.golden.yaml beside the catalogue (docs/policies.md)",
    )


def _latency_gate(
    catalogue: Catalogue,
    golden: Golden | None,
    requests: Sequence[DecisionRecord],
    timing: Redecide,
    bounds: PolicyBounds,
) -> GateVerdict:
    spent = [taken for record in requests[-_TIMED:] if (taken := timing.milliseconds(record)) is not None]
    of = "recorded requests"
    if not spent and golden is not None:
        spent, of = golden_milliseconds(golden, catalogue), "golden decisions"
    value = low = high = None
    if spent:
        value, low, high = interval_of(np.array(spent), lambda drawn: np.percentile(drawn, 99, axis=-1))
    most = bounds.latency_p99_ms_at_most
    return GateVerdict(
        gate="latency.p99_ms",
        title=f"Deciding without the model, 99th percentile in ms, at most {most:g}",
        verdict=judged(value, low, high, at_most=most),
        value=value,
        low=low,
        high=high,
        at_most=most,
        note=f"over {len(spent)} {of}"
        if spent
        else "there is neither a recorded request nor a golden decision",
    )
