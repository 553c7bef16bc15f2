"""Forgetting what was recorded when its time has come. Catalogues and bundles that records cite are kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta

from serving.ports import Clock, Expiry, Pruned, RetainedRecords
from serving.records import Versions

AT_ONCE = 500
"""How many records one transaction forgets: few enough to keep no decision waiting."""


@dataclass(frozen=True, slots=True)
class Retention:
    """How many days what was recorded is kept, by class.

    Parameters
    ----------
    personal
        The personal part of live records, events, and reports of outcomes nobody waits for any more.
    records
        Live records as a whole, with all that hangs on them: what limits look back on, too.
    test
        Records of test traffic.
    """

    personal: int
    records: int
    test: int


@dataclass(frozen=True, slots=True)
class Kept:
    """What is left: by which versions how many records were decided; these must stay readable."""

    cited: Mapping[Versions, int]

    def counts(self, part: str) -> dict[str, int]:
        """Return how many records cite each version of a part: `catalogue`, `propensity` and so on."""
        counts: dict[str, int] = {}
        for versions, count in self.cited.items():
            digest = str(getattr(versions, part))
            counts[digest] = counts.get(digest, 0) + count
        return counts


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What pruning came to; `overwritten` is False when readers kept removed rows in the log meanwhile."""

    pruned: Pruned
    kept: Kept
    overwritten: bool = True


@dataclass(frozen=True, slots=True)
class PruneRecords:
    """The use case."""

    records: RetainedRecords
    retention: Retention
    clock: Clock

    def expiry(self) -> Expiry:
        """Return what is due now."""
        now, days = self.clock(), self.retention
        return Expiry(
            personal=now - timedelta(days=days.personal),
            records=now - timedelta(days=days.records),
            test=now - timedelta(days=days.test),
        )

    def due(self) -> Forgotten:
        """Return what would be forgotten now, and forget nothing."""
        return Forgotten(self.records.due(self.expiry()), Kept(self.records.cited()))

    def __call__(self, told: Callable[[int], None] = lambda _: None) -> Forgotten:
        """Forget all that is due, some at a time; ``told`` hears of how many.

        Interrupted, it has forgotten some; asked again, it goes on.

        Raises
        ------
        DependencyError
            The store does not answer.
        """
        expiry, total = self.expiry(), Pruned()
        while (some := self.records.prune(expiry, AT_ONCE)) != Pruned():
            total += some
            told(some.personal + some.records + some.events + some.reports)
        return Forgotten(total, Kept(self.records.cited()), self.records.compact())
