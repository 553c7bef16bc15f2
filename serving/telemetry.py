"""What is counted and timed of the running service, as a Protocol: the form that counts is an adapter.

Nothing that is told here may be about a person, and every word is one of few: routes are templates, codes and
names come from the API, the catalogue and the code.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from moment.home import Home
from serving.decision.catalogue import Catalogue
from serving.records import DecisionRecord, Versions


@dataclass(frozen=True, slots=True)
class Answered:
    """One request that was answered.

    Parameters
    ----------
    method, route
        ``GET`` and the like or ``other``; ``/v1/decisions/{decision_id}``: the template, never the
        path, empty where no route fits.
    status, code
        The status, and the problem's code; empty where it is none.
    seconds
        From the first byte of the request until the last of the answer.
    """

    method: str
    route: str
    status: int
    code: str
    seconds: float


class Telemetry(Protocol):
    """Takes what happens. It never raises, never waits, and may be called from any thread."""

    def request(self, answered: Answered) -> None:
        """Take in a request that was answered."""
        ...

    def decision(self, record: DecisionRecord, catalogue: Catalogue) -> None:
        """Take in a decision that was made and recorded; not one that is only answered again."""
        ...

    def item(self, kind: str, verdict: str) -> None:
        """Take in the verdict of one item of a report; `kind` is ``outcome`` or ``event``."""
        ...

    def waiting(self, writes: int) -> None:
        """Take in how many writes wait for the disk in this process."""
        ...

    def opened(self, versions: Versions) -> None:
        """Take in what decides from now on."""
        ...

    def dependency(self, name: str, *, up: bool) -> None:
        """Take in that a dependency was given up, or is asked again."""
        ...

    def followed(self, seq: int) -> None:
        """Take in the ledger's last act that decisions heed from now on."""
        ...

    def ledger(self, *, broken: bool) -> None:
        """Take in whether the ledger is not what was signed, so that it is followed no more."""
        ...

    def refused(self, model: str, reason: str) -> None:
        """Take in that a bundle was refused; the last good one goes on deciding."""
        ...

    def approval(self, model: str, days: float | None) -> None:
        """Take in how many days the approval of what decides still holds; None where there is none."""
        ...

    def shadow(self, model: str, fate: str) -> None:
        """Take in what became of a challenger's shadow: ``written``, ``dropped`` or ``failed``."""
        ...


class Untold:
    """Telemetry that nobody reads."""

    def request(self, answered: Answered) -> None:
        """Forget it."""

    def decision(self, record: DecisionRecord, catalogue: Catalogue) -> None:
        """Forget it."""

    def item(self, kind: str, verdict: str) -> None:
        """Forget it."""

    def waiting(self, writes: int) -> None:
        """Forget it."""

    def opened(self, versions: Versions) -> None:
        """Forget it."""

    def dependency(self, name: str, *, up: bool) -> None:
        """Forget it."""

    def followed(self, seq: int) -> None:
        """Forget it."""

    def ledger(self, *, broken: bool) -> None:
        """Forget it."""

    def refused(self, model: str, reason: str) -> None:
        """Forget it."""

    def approval(self, model: str, days: float | None) -> None:
        """Forget it."""

    def shadow(self, model: str, fate: str) -> None:
        """Forget it."""


UNTOLD: Telemetry = Untold()


def metrics_folder(home: Home, port: int) -> Path:
    """Return where the workers of the service on a port keep what they count.

    BentoML empties it at start and tells the workers: another service on the same home must have its own.
    """
    return home.root / "metrics" / str(port)
