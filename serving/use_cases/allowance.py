"""How much one key may ask: requests a second, and different customers an hour."""

from __future__ import annotations

from dataclasses import dataclass, field

from moment.errors import InvalidRequest
from serving.ports import UNBOUNDED, Allowance, Bounds, Clock


@dataclass(frozen=True, slots=True)
class Rates:
    """What holds for keys that say nothing else of themselves, and where it is counted.

    Parameters
    ----------
    default
        The deployment's bounds.
    allowance
        Counts for all workers together; None counts nothing.
    """

    default: Bounds = UNBOUNDED
    allowance: Allowance | None = None


@dataclass(frozen=True, slots=True)
class PersonalAllowance:
    """What one key has left. Without `clock` or `allowance` it is as much as it likes."""

    key_id: str = ""
    bounds: Bounds = UNBOUNDED
    allowance: Allowance | None = field(default=None, repr=False)
    clock: Clock | None = field(default=None, repr=False)

    def take(self) -> None:
        """Count one request; InvalidRequest ``rate-limited`` when it is one too many."""
        if self.allowance is None or self.clock is None or self.bounds.per_second is None:
            return
        wait = self.allowance.take(self.key_id, self.bounds, self.clock())
        if wait > 0:
            raise InvalidRequest(
                "this key asks too often; wait as long as Retry-After says",
                code="rate-limited",
                retry_after=wait,
            )

    def ask_about(self, customer_id: str) -> None:
        """Count a customer asked about; InvalidRequest ``too-many-customers`` when it is one too many."""
        if self.allowance is None or self.clock is None or self.bounds.customers_per_hour is None:
            return
        wait = self.allowance.ask_about(self.key_id, customer_id, self.bounds, self.clock())
        if wait > 0:
            raise InvalidRequest(
                f"this key may ask about {self.bounds.customers_per_hour} different customers an hour; "
                "wait as long as Retry-After says",
                code="too-many-customers",
                retry_after=wait,
            )


BOUNDLESS = PersonalAllowance()
"""The allowance of whoever has no bounds."""
