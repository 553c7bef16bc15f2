"""Who stands behind a cookie, a device or an address."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from serving.records import Mode


class IdentityKind(StrEnum):
    """What a channel may know somebody by."""

    COOKIE = "cookie"
    DEVICE = "device"
    EMAIL_HASH = "email_hash"
    LOYALTY_NO = "loyalty_no"
    SOCIAL_HANDLE = "social_handle"


@dataclass(frozen=True, slots=True)
class Identity:
    """What a channel knows somebody by. The value is kept as a keyed hash alone."""

    kind: IdentityKind
    value: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Resolved:
    """Whose an identity is.

    Parameters
    ----------
    profile
        The identity's own profile: what it does while nobody is logged in accumulates under this id.
    customer_id
        Whose it is; None while nobody has linked it, and for one that several customers share.
    shared
        Whether several customers are linked with it: then it is nobody's.
    """

    profile: str
    customer_id: str | None
    shared: bool = False

    @property
    def who(self) -> str:
        """The id to decide for: the customer's, or the profile's own."""
        return self.customer_id or self.profile


@dataclass(frozen=True, slots=True)
class LinkedIdentity:
    """An identity of a customer, as told to people: never its value."""

    kind: IdentityKind
    linked_at: datetime
    shared: bool


class Identities(Protocol):
    """Which identities are whose. Test and live identities never meet."""

    def resolve(self, identity: Identity, *, mode: Mode) -> Resolved:
        """Return whose an identity is; DependencyError when it cannot be said."""
        ...

    def link(self, identity: Identity, customer_id: str, *, mode: Mode, at: datetime) -> Resolved:
        """Let an identity be a customer's: its profile's history, events and consents join theirs.

        Linked with a second customer it is shared: it leaves both, until all but one are unlinked. Durable,
        all at once. An erased customer is not linked.
        """
        ...

    def unlink(self, identity: Identity, customer_id: str, *, mode: Mode) -> Resolved:
        """Undo `link`; each keeps the history it has made itself."""
        ...

    def of_customer(self, customer_id: str, *, mode: Mode) -> tuple[LinkedIdentity, ...]:
        """Return a customer's identities, oldest first."""
        ...

    def mark_crossed(self, decision_ids: Sequence[str], customer_id: str, profile: str) -> None:
        """Note decisions whose experiment arm was another than their customer's, until unlinked."""
        ...

    def crossed(self) -> frozenset[str]:
        """Return the decisions that analyses of experiments leave out."""
        ...
