"""Budgets and volumes: which bound is full first, and what an answer takes."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import numpy as np
import pytest

from serving.decision.actions import Allowance
from serving.decision.budgets import BudgetPlan, Charge, first_full
from serving.decision.reasons import Reason
from serving.decision.values import ActionId, Contact, Used
from tests.unit.serving.decision.small import NOW, action

BOUNDED = replace(
    action("b"), cost=2.5, budget=Allowance(total=10, per_day=5), volume=Allowance(total=8, per_day=3)
)
PLAN = BudgetPlan.of((action("a"), BOUNDED, action("c")))


@pytest.mark.parametrize(
    ("used", "reason", "observed"),
    [
        (Used(7.5, 2.5, 7, 2), 0, None),  # one more fills every bound exactly
        (Used(7.6, 0, 0, 0), Reason.BUDGET_SPENT, 7.6),
        (Used(10, 5, 8, 3), Reason.BUDGET_SPENT, 10),
        (Used(5, 2.6, 8, 3), Reason.BUDGET_SPENT_TODAY, 2.6),
        (Used(5, 2.5, 8, 3), Reason.VOLUME_REACHED, 8),
        (Used(5, 2.5, 7, 3), Reason.VOLUME_REACHED_TODAY, 3),
    ],
)
def test_the_first_bound_without_room_is_the_reason(used: Used, reason: int, observed: float | None) -> None:
    reasons, amounts = PLAN.spent({ActionId("b"): used})
    assert reasons.tolist() == [0, reason, 0]
    assert np.isnan(amounts[[0, 2]]).all()
    assert (None if np.isnan(amounts[1]) else amounts[1]) == observed


def test_what_nobody_has_used_has_room() -> None:
    reasons, amounts = PLAN.spent({})
    assert not reasons.any()
    assert np.isnan(amounts).all()
    assert PLAN.action_ids == ("b",)


def test_a_bound_of_nothing_is_full_from_the_start() -> None:
    assert first_full(1.0, None, Allowance(total=0), Used()) == (Reason.VOLUME_REACHED, 0.0)
    assert first_full(0.0, Allowance(total=0), None, Used()) is None


def test_a_thousand_costs_of_a_cent_are_ten() -> None:
    used = Used(budget_total=sum([0.01] * 999))  # not 9.99 in binary
    assert used.budget_total != 9.99
    assert first_full(0.01, Allowance(total=10), None, used) is None
    assert first_full(0.02, Allowance(total=10), None, used) is not None


def test_only_bounded_actions_are_charged() -> None:
    day = date(2026, 3, 3)
    contacts = [Contact(f"t-{name}", ActionId(name), "g", "i", "web", NOW, NOW) for name in ("a", "b")]
    assert PLAN.charges(contacts, day) == (
        Charge("t-b", ActionId("b"), day, 2.5, BOUNDED.budget, BOUNDED.volume),
    )
