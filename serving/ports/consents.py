"""The ledger of consents."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from serving.decision.consent_ledger import ConsentEntry
from serving.decision.values import Consent
from serving.records import Mode


@dataclass(frozen=True, slots=True)
class Told:
    """An entry on its way to the consent ledger, and whose it is."""

    customer_id: str
    entry: ConsentEntry


class Consents(Protocol):
    """The ledger of consents: appended to, never changed.

    What live keys and sources tell holds for test traffic too; what test keys tell, for test traffic alone.
    """

    def read(self, customer_id: str, *, mode: Mode, channel: str, now: datetime) -> Consent:
        """Return what the customer allows on a channel, those they are linked with included.

        DependencyError when it cannot be said.
        """
        ...

    def entries(self, customer_id: str, *, mode: Mode) -> tuple[ConsentEntry, ...]:
        """Return the customer's own entries, oldest first."""
        ...

    def append(self, told: Sequence[Told], *, mode: Mode) -> int:
        """Store entries durably and return how many are new; erased customers' are dropped."""
        ...
