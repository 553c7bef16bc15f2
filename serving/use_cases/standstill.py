"""What is off right now: as the core sees it, and as a record keeps it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from serving.decision.values import NOTHING_STOPPED, Stopped
from serving.lifecycle import Stop, StopKind
from serving.records import RecordedStop


@dataclass(frozen=True, slots=True)
class Standstill:
    """Everything that people stopped, at one moment.

    Parameters
    ----------
    stopped
        For ``Request.stopped``.
    recorded
        For ``DecisionRecord.stops``, in order of their ids.
    """

    stopped: Stopped = NOTHING_STOPPED
    recorded: tuple[RecordedStop, ...] = ()

    @classmethod
    def of(cls, stops: Iterable[Stop]) -> Standstill:
        """Return it for the stops of a book: ``Standstill.of(book.stops.values())``."""
        ordered = sorted(stops, key=lambda stop: stop.stop_id)
        recorded = tuple(RecordedStop(stop.stop_id, stop.kind.value, stop.name) for stop in ordered)
        return cls(stopped_of(recorded), recorded) if recorded else NOTHING

    def has(self, model: str) -> bool:
        """Whether a model is off: ``propensity`` is not asked then, ``segmentation`` assigns nothing."""
        return model in self.stopped.models


def stopped_of(stops: Iterable[RecordedStop]) -> Stopped:
    """Return recorded stops as the core sees them."""
    names: dict[str, set[str]] = {kind.value: set() for kind in StopKind}
    for stop in stops:
        names[stop.kind].add(stop.name)
    found = {kind: frozenset(names[kind.value]) for kind in StopKind}
    if not any(found.values()):
        return NOTHING_STOPPED
    return Stopped(
        actions=found[StopKind.ACTION],
        issues=found[StopKind.ISSUE],
        channels=found[StopKind.CHANNEL],
        models=found[StopKind.MODEL],
    )


NOTHING = Standstill()
"""Nothing is off: the usual."""
