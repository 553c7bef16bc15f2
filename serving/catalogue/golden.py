"""Golden decisions: what a catalogue must decide, written by analysts beside it."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from serving.decision.catalogue import Catalogue


@dataclass(frozen=True, slots=True)
class GoldenDecision:
    """One golden decision as it was written: its name, what it is about, where it stands, and its parts."""

    name: str
    concept: str
    place: str
    case: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Golden:
    """The golden decisions of a catalogue, in the order of their file."""

    decisions: tuple[GoldenDecision, ...]


@dataclass(frozen=True, slots=True)
class Missed:
    """A golden decision that comes out otherwise, and in what."""

    decision: GoldenDecision
    differences: tuple[str, ...]


def golden_beside(catalogue: Path) -> Path:
    """Return where the golden decisions of a catalogue's file are kept: `bank.yaml` → `bank.golden.yaml`."""
    return catalogue.with_name(f"{catalogue.stem}.golden.yaml")


def read_golden(path: Path, catalogue: Catalogue, features: Container[str] | None = None) -> Golden:
    """Read golden decisions and check every name in them; ConfigurationError with all faults at once."""
    raise NotImplementedError


def missed(golden: Golden, catalogue: Catalogue) -> tuple[Missed, ...]:
    """Decide every golden decision and return those that come out otherwise."""
    raise NotImplementedError
