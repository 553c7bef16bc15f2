"""Consent: what a customer has not allowed is not eligible, whatever the rules say.

A mandatory message is never asked for purposes; an opt-out of the channel stops it too, unless a legal
obligation stands behind it. Marketing rests while consents cannot be read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from serving.decision.actions import Action, LawfulBasis
from serving.decision.reasons import Reason
from serving.decision.values import Consent, Purpose

_BIT = {purpose: 1 << position for position, purpose in enumerate(Purpose)}
_REMEMBERED = 256


@dataclass(frozen=True, slots=True, eq=False)
class ConsentPlan:
    """What each action needs, known before any request.

    Attributes
    ----------
    needs
        Shape (n_actions,): one bit per purpose that must be consented to.
    all_needs
        Every bit that is set in ``needs``.
    marketing
        Shape (n_actions,): must rest while consents or contacts cannot be read.
    obliged
        Shape (n_actions,): goes past an opt-out of the channel.
    """

    needs: NDArray[np.uint8]
    all_needs: int
    marketing: NDArray[np.bool_]
    obliged: NDArray[np.bool_]

    @classmethod
    def of(cls, actions: Sequence[Action]) -> ConsentPlan:
        """Return the plan for actions ordered by id."""
        needs = np.array([_needs(action) for action in actions], dtype=np.uint8)
        obligation = LawfulBasis.LEGAL_OBLIGATION
        return cls(
            needs=needs,
            all_needs=int(np.bitwise_or.reduce(needs)) if len(needs) else 0,
            marketing=np.array([action.is_marketing for action in actions], dtype=np.bool_),
            obliged=np.array([action.mandatory is obligation for action in actions], dtype=np.bool_),
        )

    def stops(self, consent: Consent | None) -> NDArray[np.int32] | None:
        """Return per action why it may not be offered, 0 where it may; None when nothing stops. Read-only.

        Parameters
        ----------
        consent
            As the ledger resolved it for the channel that asks; None when the ledger is gone.
        """
        return _stops(self, consent)


@lru_cache(maxsize=_REMEMBERED)
def _stops(plan: ConsentPlan, consent: Consent | None) -> NDArray[np.int32] | None:
    """Return ``ConsentPlan.stops``; remembered, for few sets of purposes are ever consented to."""
    reason = np.zeros(len(plan.needs), dtype=np.int32)
    if consent is None:
        reason[plan.marketing] = Reason.CONSENT_STORE_GONE
    else:
        missing = plan.all_needs & ~sum(_BIT[purpose] for purpose in consent.purposes)
        if not missing and not consent.opted_out:
            return None
        if consent.opted_out:
            reason[~plan.obliged] = Reason.OPTED_OUT
        if missing:
            reason[plan.needs & missing > 0] = Reason.NO_CONSENT
    reason.flags.writeable = False
    return reason


def _needs(action: Action) -> int:
    return 0 if action.mandatory else sum(_BIT[purpose] for purpose in action.purposes)
