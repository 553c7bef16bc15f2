"""What a caller asks of a decision, before it meets the catalogue."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from serving.decision.values import Forced, Scalar
from serving.ports import Identity


@dataclass(frozen=True, slots=True)
class Ask:
    """A request, well formed; whether it makes sense is checked against the catalogue.

    Parameters
    ----------
    customer_id
        None when the channel does not know who it is.
    channel
        Where the answer will be shown.
    placements
        Names and, where the caller said so, numbers of slots; None is as many as the placement has.
    context
        Declared ``context.*`` values, without the time.
    time
        The instant to decide for; None is now. Only for test keys.
    request_id
        The caller's own id for this request: asking again under it gives the same answer.
    language
        BCP 47 tag of the language the answer is shown in; None is the customer's.
    force
        What must be shown whatever the rules say; None for nothing. Only for test keys.
    identity
        What the channel knows the customer by, where it has no customer id of them.
    include
        What the caller wants besides the offers.
    body_sha256
        Digest of the request as sent.
    reserves
        Whether what is offered counts from now on; False for who only looks at a decision.
    """

    customer_id: str | None
    channel: str
    placements: tuple[tuple[str, int | None], ...]
    context: Mapping[str, Scalar] = field(default_factory=dict)
    time: datetime | None = None
    request_id: str | None = None
    language: str | None = None
    force: Forced | None = None
    identity: Identity | None = None
    include: tuple[str, ...] = ()
    body_sha256: bytes = b""
    reserves: bool = True
