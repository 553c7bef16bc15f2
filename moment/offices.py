"""What the rooms of the house ask of each other, handed down by the roof: no room imports another for it.

``moment.cli`` builds one :class:`Offices` and hands it to every command as ``ctx.obj``.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from features.consents import CustomerLedger
    from features.sources.decision_records import Decided
    from moment.home import Home
    from serving.lifecycle import Book, GateVerdict, Model, Version


class LifeOffice(Protocol):
    """The part of a model's life that training takes part in."""

    def book(self) -> Book:
        """Return the state of everything."""
        ...

    def enter(
        self,
        bundle: Path,
        gates: Sequence[GateVerdict],
        *,
        registered: str = "",
        data_digest: str = "",
        tier: int = 2,
        use_class: str = "marketing",
        owner: str = "",
        reason: str = "",
        key_file: Path | None = None,
    ) -> Version:
        """Sign a bundle, submit it and tell what its gates found; return it as candidate or challenger.

        One that is in the ledger already is not submitted again; its gates are told anew.
        """
        ...

    def install(self, model: Model, digest: str, *, reason: str) -> Version:
        """Make a challenger the champion without a person, where no person is in charge of the model.

        What its gates left open is accepted by the machine in the name of `reason`, and stays visible.
        """
        ...


@dataclass(frozen=True)
class Offices:
    """How one room reaches another.

    Parameters
    ----------
    customer_ledger
        Opens what an ingest tells consents to, and asks who was erased.
    life
        Opens the life of models.
    mirror
        Shows the states of the book in MLflow: aliases and tags. Does nothing where MLflow is not installed.
    decided
        Opens what was decided, presented and answered, to learn from; only what was decided since, if given.
    """

    customer_ledger: Callable[[Home], AbstractContextManager[CustomerLedger]]
    life: Callable[[Home], AbstractContextManager[LifeOffice]]
    mirror: Callable[[Home, Book], None]
    decided: Callable[[Home, datetime | None], AbstractContextManager[Decided]]
