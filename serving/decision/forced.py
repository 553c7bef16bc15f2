"""Forced offers: what a channel's developer has shown to them to see it there, whoever the customer is.

A forced offer takes the first slot it fits and needs no more than a treatment made for that placement: no
rule, consent, limit or budget is asked, the action need not be open. It is no contact, takes nothing of a
budget and never learns (π = 1).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from moment.errors import InvalidRequest
from serving.decision.catalogue import Catalogue
from serving.decision.parsing import nearest
from serving.decision.reasons import Reason
from serving.decision.slates import Slate
from serving.decision.values import Forced, Request

_SPOKEN = (0, Reason.OTHER_LANGUAGE)


@dataclass(frozen=True, slots=True)
class ForcedSeat:
    """Where a forced offer goes: which of the requested placements, and its row in that slate."""

    position: int
    row: int


def forced_seat(request: Request, slates: Sequence[Slate], catalogue: Catalogue) -> ForcedSeat | None:
    """Return where the forced offer of a request goes; None when it forces nothing.

    A treatment that is named goes out in whatever language it is; else the first in the customer's does.

    Parameters
    ----------
    request
        With or without something forced.
    slates
        Of its placements, as the customer is spoken to.
    catalogue
        Knows what there is.

    Raises
    ------
    InvalidRequest
        ``unknown-action``, ``unknown-treatment``, or ``treatment-does-not-fit``: it is made for none of the
        placements asked for.
    """
    if request.force is None:
        return None
    wanted = _candidates(request.force, catalogue)
    spoken = (0,) if request.force.treatment_id is None else _SPOKEN
    for position, slate in enumerate(slates):
        fits = np.isin(slate.candidate, wanted) & np.isin(slate.unfit, spoken)
        if fits.any():
            return ForcedSeat(position, int(fits.argmax()))
    raise InvalidRequest(
        f"`{request.force.treatment_id or request.force.action_id}` has no treatment for a placement asked "
        "for; ask for one it is made for",
        code="treatment-does-not-fit",
        field="force.action" if request.force.treatment_id is None else "force.treatment",
    )


def _candidates(force: Forced, catalogue: Catalogue) -> list[int]:
    """Return the candidates that may stand for what is forced, by index in ``catalogue.candidates``."""
    of_action = {
        candidate.treatment.treatment_id: index
        for index, candidate in enumerate(catalogue.candidates)
        if candidate.action.action_id == force.action_id
    }
    if not of_action:
        known = [action.action_id for action in catalogue.actions]
        hint = nearest(force.action_id, known) or "; `moment catalogue show` lists all"
        raise InvalidRequest(
            f"the catalogue has no such action that competes{hint}",
            code="unknown-action",
            field="force.action",
        )
    if force.treatment_id is None:
        return list(of_action.values())
    if force.treatment_id not in of_action:
        hint = nearest(force.treatment_id, list(of_action)) or f"; one of {', '.join(of_action)}"
        raise InvalidRequest(
            f"action `{force.action_id}` has no such treatment{hint}",
            code="unknown-treatment",
            field="force.treatment",
        )
    return [of_action[force.treatment_id]]
