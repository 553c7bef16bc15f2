"""A chunk decided ahead of its turn stands exactly when its turn would have decided it the same."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.batch.balances import Balances, holds
from serving.decision.actions import Action, Allowance, Treatment
from serving.decision.budgets import BudgetPlan, first_full
from serving.decision.values import ActionId, TreatmentId, Used

NAMES = tuple(map(ActionId, ("a", "b")))


def action(
    name: str, *, cost: float = 0.0, budget: Allowance | None = None, volume: Allowance | None = None
) -> Action:
    return Action(
        ActionId(name), name, "i", "g", 1.0, timedelta(days=1), {}, (),
        (Treatment(TreatmentId(f"{name}-web"), "web", ("home",), "en", {}),),
        cost=cost, budget=budget, volume=volume,
    )  # fmt: skip


amounts = st.integers(0, 30).map(lambda number: number / 10)
allowances = st.one_of(
    st.none(), st.builds(Allowance, total=st.none() | amounts, per_day=st.none() | amounts)
)
volumes = st.one_of(
    st.none(),
    st.builds(Allowance, total=st.none() | st.integers(0, 9), per_day=st.none() | st.integers(0, 9)),
)
useds = st.builds(
    Used, budget_total=amounts, budget_today=amounts, volume_total=st.integers(0, 9),
    volume_today=st.integers(0, 9),
)  # fmt: skip


@given(cost=amounts, budget=allowances, volume=volumes, used=useds, taken=st.integers(0, 12))
def test_what_has_room_is_what_the_core_says_has_room(
    cost: float, budget: Allowance | None, volume: Allowance | None, used: Used, taken: int
) -> None:
    one = action("a", cost=cost, budget=budget, volume=volume)
    plan = BudgetPlan.of([one])
    if not plan.bounded:
        return
    balances = Balances(plan, {NAMES[0]: used}, Counter({NAMES[0]: taken}))
    full = first_full(one.cost, one.budget, one.volume, balances.used[NAMES[0]]) is not None
    assert (NAMES[0] in balances.closed) == full


@given(
    rooms=st.tuples(st.integers(-1, 4), st.integers(-1, 4)),
    taken=st.tuples(st.integers(0, 3), st.integers(0, 3)),
    wishes=st.lists(st.lists(st.sampled_from(NAMES), min_size=1, max_size=2, unique=True), max_size=6),
)
def test_a_chunk_that_stands_is_the_one_its_turn_would_have_made(
    rooms: tuple[int, int], taken: tuple[int, int], wishes: list[list[ActionId]]
) -> None:
    early = dict(zip(NAMES, rooms, strict=True))
    true = {name: early[name] - more for name, more in zip(NAMES, taken, strict=True)}
    views, charged = decided(early, wishes)
    # Whatever differs in what anybody saw must be noticed; what is decided again for nothing costs time only
    if holds(early, true, charged):
        assert views == decided(true, wishes)[0]
    if early == true:
        assert holds(early, true, charged)


def decided(
    left: dict[ActionId, int], wishes: list[list[ActionId]]
) -> tuple[list[frozenset[ActionId]], list[ActionId]]:
    """Return what each customer saw closed, and what was given: to each the first open of their wishes."""
    left = dict(left)
    views, charged = [], []
    for wish in wishes:
        views.append(frozenset(name for name, room in left.items() if room <= 0))
        got = next((name for name in wish if left[name] > 0), None)
        if got is not None:
            left[got] -= 1
            charged.append(got)
    return views, charged


def test_a_budget_is_used_up_in_exact_steps() -> None:
    plan = BudgetPlan.of([action("a", cost=0.1, budget=Allowance(total=0.3))])
    balances = Balances(plan, {}, Counter({NAMES[0]: 2}))
    assert balances.used[NAMES[0]].budget_total == pytest.approx(0.2, abs=1e-12)
    assert balances.left() == {NAMES[0]: 1}
    assert balances.closed == frozenset()
    assert Balances(plan, {}, Counter({NAMES[0]: 3})).closed == {NAMES[0]}
