"""Tracking ids: each names one offer of one decision, and bears a signature.

Only an answer of Moment holds one, so whoever sends it back was given it: a browser needs no key to report
what became of its own offers, and nobody can report on offers they were never given.
"""

from __future__ import annotations

import base64
import hmac
from dataclasses import dataclass, field

LABEL = "tracking ids"
"""What the server's secret derives the signing key under."""

_TAG_BYTES = 16
_MOST_DIGITS = 4


@dataclass(frozen=True, slots=True)
class TrackedOffer:
    """What a tracking id names: a decision, and which of its offers, counted from 1."""

    decision_id: str
    number: int


@dataclass(frozen=True, slots=True)
class Tracking:
    """Signs tracking ids and reads them back.

    Parameters
    ----------
    key
        256 bits, the same in every process that signs or reads.
    """

    key: bytes = field(repr=False)
    _keyed: hmac.HMAC = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # Taking the key in costs more than signing does: each signature begins with a copy
        object.__setattr__(self, "_keyed", hmac.new(self.key, digestmod="sha256"))

    def sign(self, decision_id: str, number: int) -> str:
        """Return the tracking id of a decision's offer: ``<decision_id>.<number>.<signature>``."""
        named = f"{decision_id}.{number}"
        keyed = self._keyed.copy()
        keyed.update(named.encode())
        tag = keyed.digest()[:_TAG_BYTES]
        return f"{named}.{base64.urlsafe_b64encode(tag).rstrip(b'=').decode()}"

    def read(self, tracking_id: str) -> TrackedOffer | None:
        """Return what a tracking id names, or None when it was not signed here, just so."""
        decision_id, _, rest = tracking_id.partition(".")
        number = rest.partition(".")[0]
        if not (tracking_id.isascii() and number.isdigit() and len(number) <= _MOST_DIGITS):
            return None
        offer = TrackedOffer(decision_id, int(number))
        known = self.sign(offer.decision_id, offer.number)
        return offer if hmac.compare_digest(known, tracking_id) else None
