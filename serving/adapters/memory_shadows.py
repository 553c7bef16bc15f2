"""What challengers said beside decisions, in memory."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future

from serving.ports.shadows import Shadow


class MemoryShadows:
    """The port `ShadowRecords` in memory; it keeps whatever it is given."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str, str], Shadow] = {}

    def append(self, shadows: Sequence[Shadow]) -> Future[int]:
        """Keep some."""
        new = [one for one in shadows if (one.decision_id, one.model, one.digest) not in self._kept]
        self._kept |= {(one.decision_id, one.model, one.digest): one for one in new}
        done: Future[int] = Future()
        done.set_result(len(new))
        return done

    def beside(self, decision_id: str) -> tuple[Shadow, ...]:
        """Return what challengers said beside a decision."""
        return tuple(one for key, one in sorted(self._kept.items()) if key[0] == decision_id)

    def said(self, model: str, digest: str, *, after: str = "", limit: int = 1000) -> tuple[Shadow, ...]:
        """Return what a challenger said, in the order of the decisions' ids."""
        found = [one for _, one in sorted(self._kept.items()) if (one.model, one.digest) == (model, digest)]
        return tuple(one for one in found if one.decision_id > after)[:limit]
