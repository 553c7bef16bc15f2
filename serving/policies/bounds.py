"""What a new version of the next best action must reach, as YAML says it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from moment.errors import ConfigurationError
from serving import catalogue
from serving.catalogue.document import read_document
from serving.catalogue.loader import count_of, in_order
from serving.catalogue.section import Section

PACKAGED_BOUNDS = Path(catalogue.__file__).parent / "gates.yaml"
"""The bounds where a deployment gives none of its own."""


@dataclass(frozen=True, slots=True)
class PolicyBounds:
    """What a version must reach.

    Parameters
    ----------
    golden_at_least
        Share of golden decisions that come out as written.
    latency_p99_ms_at_most
        How long deciding may take, without the model.
    reach_at_least, reach_at_most
        Requests with at least one marketing offer, over those of what decides now.
    starved_at_most
        Share of actions that are offered in no request; None: it is told only.
    requests, fewest
        How many recorded requests are decided again at most, and how many it takes to tell.
    """

    golden_at_least: float = 1.0
    latency_p99_ms_at_most: float = 20.0
    reach_at_least: float = 0.9
    reach_at_most: float | None = 2.0
    starved_at_most: float | None = None
    requests: int = 500
    fewest: int = 50


def read_bounds(path: Path = PACKAGED_BOUNDS) -> PolicyBounds:
    """Read bounds from YAML; what it leaves out is as in `PolicyBounds`.

    Raises
    ------
    ConfigurationError
        With every fault found.
    """
    node, faults = read_document(path, "policy gates")
    usual, root = PolicyBounds(), Section(path.name, "", node, faults)
    parts = {
        name: root.section(name, name, required=False) for name in ("golden", "latency", "reach", "starved")
    }
    reach, starved = parts["reach"], parts["starved"]
    bounds = PolicyBounds(
        golden_at_least=parts["golden"].number("at_least", usual.golden_at_least, minimum=0, maximum=1),
        latency_p99_ms_at_most=parts["latency"].number(
            "p99_ms_at_most", usual.latency_p99_ms_at_most, above=0
        ),
        reach_at_least=reach.number("at_least", usual.reach_at_least, minimum=0),
        reach_at_most=reach.number("at_most", minimum=1) if "at_most" in reach else None,
        starved_at_most=starved.number("at_most", minimum=0, maximum=1) if "at_most" in starved else None,
        requests=reach.whole("requests", usual.requests, minimum=1),
        fewest=reach.whole("fewest", usual.fewest, minimum=2),
    )
    for section in (*parts.values(), root):
        section.finish()
    if faults:
        raise ConfigurationError(f"policy gates {path} {count_of(faults)}", faults=in_order(faults))
    return bounds
