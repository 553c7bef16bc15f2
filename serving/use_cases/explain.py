"""Why a recorded decision came out as it did: of all its candidates, or of one action."""

from __future__ import annotations

from dataclasses import dataclass

from moment.errors import InvalidRequest
from serving.decision.catalogue import Catalogue
from serving.decision.explanation import Explanation, explain
from serving.decision.parsing import nearest
from serving.records import RecordedStop
from serving.use_cases.access import Caller
from serving.use_cases.recall import Recall, Recalled


@dataclass(frozen=True, slots=True)
class Explained:
    """A recorded decision with its explanation.

    `remark` says why an action is not among the candidates: fallbacks do not compete. None for any other.
    """

    recalled: Recalled
    explanation: Explanation
    remark: str | None = None


@dataclass(frozen=True, slots=True)
class Explain:
    """The use case."""

    recall: Recall

    def __call__(self, caller: Caller, decision_id: str, action_id: str | None = None) -> Explained:
        """Return why each candidate was shown or not, or those of one action.

        Raises
        ------
        InvalidRequest
            ``not-found``, as in `Recall`; ``unknown-action``: the catalogue that decided has no such action.
        DependencyError
            The catalogue that decided it is gone.
        """
        recalled = self.recall(caller, decision_id)
        whole = explain(recalled.considered())
        if action_id is None:
            return Explained(recalled, whole)
        check_action(recalled.catalogue, action_id)
        about = whole.about(action_id)
        return Explained(recalled, about, None if about.candidates else _absence(recalled, action_id))


def check_action(catalogue: Catalogue, action_id: str) -> None:
    """Refuse an action that a catalogue does not have, with the nearest name."""
    known = [str(action.action_id) for action in (*catalogue.actions, *catalogue.fallbacks)]
    if action_id not in known:
        hint = nearest(action_id, known) or "; GET the explanation without it to see all that competed"
        raise InvalidRequest(
            f"the catalogue that decided this has no such action{hint}", code="unknown-action", field="action"
        )


def _absence(recalled: Recalled, action_id: str) -> str:
    """Return why an action was no candidate: every other than a fallback is one, for each placement."""
    stop = _stop_of(recalled, action_id)
    if stop is not None:
        return f"{action_id} is a fallback, and {stop.kind} `{stop.name}` was stopped ({stop.stop_id})"
    filled = [
        placement.name
        for placement in recalled.record.placements
        for offer in placement.offers
        if offer.action == action_id
    ]
    if filled:
        return (
            f"{action_id} is the fallback of {', '.join(filled)}: nothing that competes was left for a slot"
        )
    return f"{action_id} is a fallback: it does not compete, and no slot was left for it"


def _stop_of(recalled: Recalled, action_id: str) -> RecordedStop | None:
    """Return the stop that took a fallback off, if one did."""
    record = recalled.record
    action = recalled.catalogue.action(action_id)
    names = {"action": action_id, "issue": action.issue, "channel": record.channel}
    return next((stop for stop in record.stops if names.get(stop.kind) == stop.name), None)
