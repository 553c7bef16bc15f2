"""The roof's part: builds the offices by which one room of the house reaches another."""

from __future__ import annotations

import importlib.util
from contextlib import AbstractContextManager
from datetime import datetime
from typing import TYPE_CHECKING

from moment.offices import LifeOffice, Offices

if TYPE_CHECKING:
    from features.consents import CustomerLedger
    from features.sources.decision_records import Decided
    from moment.home import Home
    from serving.lifecycle import Book


def offices() -> Offices:
    """Return the offices. Nothing is imported before one of them is asked."""
    return Offices(customer_ledger=_customer_ledger, life=_life, mirror=_mirror, decided=_decided)


def _customer_ledger(home: Home) -> AbstractContextManager[CustomerLedger]:
    """Open what an ingest tells consents to; features may not know where that is."""
    from serving.bootstrap import open_customer_ledger

    return open_customer_ledger(home)


def _life(home: Home) -> AbstractContextManager[LifeOffice]:
    """Open the life of models; training may not know where that is."""
    from serving.life_room import open_life

    return open_life(home)


def _mirror(home: Home, book: Book) -> None:
    """Show the book in MLflow; serving may not know of it, and a machine that only serves has none."""
    if importlib.util.find_spec("mlflow") is None:
        return
    from training.mirror import mirror

    mirror(home, book)


def _decided(home: Home, since: datetime | None) -> AbstractContextManager[Decided]:
    """Open what was decided and answered; neither features nor training may know where that is."""
    from serving.adapters.decided import open_decided

    return open_decided(home, since=since)
