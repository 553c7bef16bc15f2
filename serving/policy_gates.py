"""The gates of a next-best-action version: is it sound, does it decide as written, in time, for enough people."""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass
from pathlib import Path

from serving.catalogue.golden import Golden
from serving.decision.actions import Action
from serving.decision.catalogue import Catalogue
from serving.lifecycle import GateVerdict
from serving.ports import Scorer
from serving.records import DecisionRecord

PACKAGED_BOUNDS = Path(__file__).parent / "catalogue" / "gates.yaml"
"""The bounds where a deployment gives none of its own."""

ScorerFor = Callable[[str, Sequence[Action]], Scorer | None]
"""From the digest of a propensity bundle to a scorer for some actions: ``ModelArchive.scorer``."""


@dataclass(frozen=True, slots=True)
class PolicyBounds:
    """What a version must reach; `requests` is how many recorded requests are decided again at most."""

    golden_at_least: float = 1.0
    latency_p99_ms_at_most: float = 20.0
    reach_at_least: float = 0.9
    starved_at_most: float | None = None
    requests: int = 500
    fewest: int = 50


def read_bounds(path: Path = PACKAGED_BOUNDS) -> PolicyBounds:
    """Read the bounds; ConfigurationError with every fault."""
    raise NotImplementedError


def policy_gates(
    catalogue: Catalogue,
    *,
    golden: Golden | None,
    champion: Catalogue | None,
    recorded: Sequence[DecisionRecord],
    scorer: ScorerFor | None,
    bounds: PolicyBounds,
    features: Container[str] | None = None,
) -> tuple[GateVerdict, ...]:
    """Return what the gates find of a catalogue that is to become a version."""
    raise NotImplementedError
