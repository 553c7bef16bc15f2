"""Where a customer belongs: the no-marketing holdout, control, or arms of experiments."""

from __future__ import annotations

from dataclasses import dataclass

from serving.decision.catalogue import Catalogue
from serving.decision.experiments import Assignment, assignments


@dataclass(frozen=True, slots=True)
class Allotment:
    """What was drawn for a customer. Holdout goes before control, and both before experiments.

    Parameters
    ----------
    held_out
        Gets no marketing.
    control
        Gets what it may get, chosen uniformly.
    assignments
        The arms it is in.
    """

    held_out: bool = False
    control: bool = False
    assignments: tuple[Assignment, ...] = ()


_COMMON = Allotment()
_HELD_OUT = Allotment(held_out=True)
_CONTROL = Allotment(control=True)


def allot(catalogue: Catalogue, unit: str | None) -> Allotment:
    """Return where a unit belongs; None belongs nowhere."""
    if catalogue.holdout is not None and catalogue.holdout.has(unit):
        return _HELD_OUT
    if catalogue.control is not None and catalogue.control.has(unit):
        return _CONTROL
    found = assignments(catalogue.layers, unit)
    return Allotment(assignments=found) if found else _COMMON
