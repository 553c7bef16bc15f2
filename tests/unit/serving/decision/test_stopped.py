"""What is stopped is never shown, whatever it would be shown as; what is not stopped is as ever."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from serving.decision.actions import LawfulBasis
from serving.decision.catalogue import Catalogue
from serving.decision.decide import decide
from serving.decision.decision import Decision, OfferKind
from serving.decision.reasons import Reason
from serving.decision.stopped import NEXT_BEST_ACTION, stopped_actions
from serving.decision.values import NOTHING_STOPPED, ActionId, Forced, History, Purpose, Stopped
from tests.unit.serving.decision.small import NOW, action, catalogue, customer, request, scorer

SERVICE = frozenset({Purpose.SERVICE})
MADE = catalogue(
    replace(action("a"), issue="sell"),
    replace(action("b"), issue="sell"),
    replace(action("help", purposes=SERVICE), issue="serve"),
    replace(action("law", mandatory=LawfulBasis.LEGAL_OBLIGATION), issue="serve"),
    fallback=True,
)
ISSUES = {"a": "sell", "b": "sell", "help": "serve", "law": "serve", "flyer": "i"}

names = st.frozensets(st.sampled_from(list(ISSUES)))
stops = st.builds(
    Stopped,
    actions=names,
    issues=st.frozensets(st.sampled_from(["sell", "serve", "i"])),
    channels=st.frozensets(st.sampled_from(["web", "app"])),
    models=st.frozensets(st.sampled_from([NEXT_BEST_ACTION, "propensity", "segmentation"])),
)


def decided(stopped: Stopped, forced: str | None, made: Catalogue = MADE) -> Decision:
    force = None if forced is None else Forced(ActionId(forced))
    asked = replace(request(home=3, side=2), stopped=stopped, force=force)
    return decide(asked, made, customer(), History(), NOW, scorer({"a-web": 0.9}), np.random.default_rng(1))


@settings(deadline=None)
@given(stops, st.sampled_from([None, "a", "help", "law"]))
def test_nothing_that_is_stopped_is_shown(stopped: Stopped, forced: str | None) -> None:
    decision = decided(stopped, forced)

    for offer in decision.offers:
        name = str(offer.candidate.action.action_id)
        assert name not in stopped.actions
        assert ISSUES[name] not in stopped.issues
        assert "web" not in stopped.channels
        if NEXT_BEST_ACTION in stopped.models:
            assert offer.kind is OfferKind.FALLBACK or name in {"help", "law"}
    if forced is not None and Reason.FORCED not in {one.reason for one in decision.considered}:
        assert not stopped.is_empty


@settings(deadline=None)
@given(stops)
def test_what_is_not_stopped_is_there_as_ever(stopped: Stopped) -> None:
    off = stopped_actions(MADE.plan, stopped, "web")
    free = {str(one.action_id) for one, why in zip(MADE.actions, _codes(off), strict=True) if not why}

    shown = {str(offer.candidate.action.action_id) for offer in decided(stopped, None).offers}

    # Five slots for four actions: everything that may be shown is
    assert shown - {"flyer"} == free


def _codes(off: NDArray[np.int32] | None) -> list[int]:
    return [0] * len(MADE.actions) if off is None else off.tolist()


def test_where_nothing_is_stopped_nothing_is_looked_at() -> None:
    assert NOTHING_STOPPED.is_empty
    assert stopped_actions(MADE.plan, Stopped(channels=frozenset({"app"})), "web") is None
    assert stopped_actions(MADE.plan, Stopped(models=frozenset({"propensity"})), "web") is None
    one = stopped_actions(MADE.plan, Stopped(actions=frozenset({"a"})), "web")
    assert one is stopped_actions(MADE.plan, Stopped(actions=frozenset({"a"})), "web")
    assert one is not None
    assert not one.flags.writeable
