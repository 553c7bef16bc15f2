"""Who is in which arm: stable, uniform, in the shares stated, and layers that do not know each other."""

from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from moment.errors import InvariantViolation
from serving.decision.catalogue import Catalogue
from serving.decision.experiments import (
    Arm,
    Assignment,
    Changes,
    Experiment,
    Layer,
    Share,
    assignments,
    position,
)
from serving.decision.policy import effective
from serving.decision.softmax import Softmax
from serving.decision.uniform import Uniform
from serving.decision.values import ActionId
from tests.unit.serving.decision import small

UNITS = [f"customer-{number}" for number in range(100_000)]
SIGNIFICANCE = 1e-4
"""The seeds are fixed: a test that passes does so for ever. Chance alone would fail one in ten thousand."""


def layer(name: str = "ranking", salt: str | None = None, /, **shares: float) -> Layer:
    """One layer with one experiment of these arms."""
    arms = tuple(Arm(arm, share) for arm, share in sorted(shares.items()))
    return Layer(name, salt or name, (Experiment("push", arms),))


def arm_of(one: Layer, unit: str) -> str:
    found = assignments((one,), unit)
    return found[0].arm if found else "-"


def arms_of(one: Layer, units: list[str] = UNITS) -> list[str]:
    return [arm_of(one, unit) for unit in units]


@pytest.mark.parametrize(
    ("salt", "unit", "stands_at"),
    [
        ("ctrl-2026", "anna", 0.1512840611866001),
        ("", "", 0.4304816492364817),
        ("hold-2026", "Łukasz", 0.8960949754074926),
        ("r1", "customer-99999", 0.9780715724247669),
    ],
)
def test_positions_never_change(salt: str, unit: str, stands_at: float) -> None:
    assert position(salt, unit) == stands_at


def test_arms_never_change() -> None:
    two = Layer(
        "ranking",
        "r1",
        (
            Experiment("calm", (Arm("as-is", 0.2), Arm("quiet", 0.1))),
            Experiment("push", (Arm("as-is", 0.25), Arm("pushed", 0.25))),
        ),
    )
    found = [assignments((two,), f"customer-{number}") for number in range(12)]

    named = ["/".join((one[0].experiment, one[0].arm)) if one else "-" for one in found]
    assert named == [
        "calm/as-is",
        "push/as-is",
        "calm/quiet",
        "-",
        "calm/as-is",
        "calm/as-is",
        "-",
        "push/as-is",
        "-",
        "push/pushed",
        "-",
        "push/pushed",
    ]


def test_positions_are_uniform() -> None:
    stand = np.array([position("r1", unit) for unit in UNITS])

    assert stand.min() >= 0.0
    assert stand.max() < 1.0
    assert stats.kstest(stand, "uniform").pvalue > SIGNIFICANCE


def test_a_share_has_its_share_and_no_unknown_customer() -> None:
    control = Share(0.05, "ctrl-2026")
    inside = sum(control.has(unit) for unit in UNITS)

    assert stats.binomtest(inside, len(UNITS), 0.05).pvalue > SIGNIFICANCE
    assert not Share(1.0, "ctrl-2026").has(None)
    assert not any(Share(0.0, "ctrl-2026").has(unit) for unit in UNITS[:100])
    assert all(Share(1.0, "ctrl-2026").has(unit) for unit in UNITS[:100])


def test_arms_have_the_shares_stated() -> None:
    shares = {"a": 0.5, "b": 0.3, "c": 0.15, "-": 0.05}
    counted = Counter(arms_of(layer(a=0.5, b=0.3, c=0.15)))

    observed = [counted[arm] for arm in shares]
    assert stats.chisquare(observed, [share * len(UNITS) for share in shares.values()]).pvalue > SIGNIFICANCE


def test_shares_that_sum_to_one_leave_nobody_out() -> None:
    assert "-" not in set(arms_of(layer(a=0.1, b=0.2, c=0.7)))
    assert set(arms_of(layer(a=1.0), UNITS[:1000])) == {"a"}
    assert set(arms_of(layer(a=0.0), UNITS[:1000])) == {"-"}
    assert assignments((layer(a=1.0),), None) == ()


def test_a_customer_is_in_one_experiment_of_a_layer_at_most_and_in_every_layer() -> None:
    full = Layer("one", "one", (Experiment("x", (Arm("a", 0.5),)), Experiment("y", (Arm("a", 0.5),))))

    for unit in UNITS[:1000]:
        found = assignments((full, layer("two", a=1.0)), unit)
        assert [one.layer for one in found] == ["one", "two"]
        assert found[1] == Assignment("two", "push", "a")


def test_layers_know_nothing_of_each_other() -> None:
    first = arms_of(layer("ranking", a=0.4, b=0.4))
    second = arms_of(layer("exploring", a=0.3, b=0.3, c=0.3))

    table = stats.contingency.crosstab(first, second).count
    assert table.shape == (3, 4)
    assert stats.chi2_contingency(table).pvalue > SIGNIFICANCE


@pytest.mark.parametrize("salt", ["ctrl-2026", "ranking"])
def test_control_and_holdout_know_nothing_of_layers_even_under_one_salt(salt: str) -> None:
    """Otherwise leaving out the control group would change the shares of the arms."""
    control = Share(0.3, salt)
    first = arms_of(layer("ranking", a=0.4, b=0.4))

    table = stats.contingency.crosstab([control.has(unit) for unit in UNITS], first).count
    assert stats.chi2_contingency(table).pvalue > SIGNIFICANCE


@given(
    shares=st.lists(st.floats(0.0, 1.0), min_size=4, max_size=4).filter(lambda found: sum(found) > 0.1),
    used=st.floats(0.1, 1.0),
    growing=st.integers(0, 3),
)
def test_an_arm_that_grows_moves_nobody_between_the_others(
    shares: list[float], used: float, growing: int
) -> None:
    names = "abcd"
    before = {name: share / sum(shares) * used for name, share in zip(names, shares, strict=True)}
    after = {**before, names[growing]: before[names[growing]] + 1.0 - sum(before.values())}

    for unit in UNITS[:60]:
        was, now = arm_of(layer(**before), unit), arm_of(layer(**after), unit)
        assert now in {was, names[growing]} or was == "-"


def test_an_arm_that_grows_takes_no_more_than_it_must() -> None:
    before, after = arms_of(layer(a=0.2, b=0.2, c=0.2)), arms_of(layer(a=0.3, b=0.2, c=0.2))
    moves = Counter(move for move in zip(before, after, strict=True) if move[0] != move[1])

    assert {move for move in moves if "-" not in move} == {("b", "a"), ("c", "a")}
    assert sum(moves.values()) < 0.2 * len(UNITS)


def test_a_ramp_moves_nobody_out_of_an_arm() -> None:
    steps = [arms_of(layer(a=share, b=2 * share), UNITS[:20_000]) for share in (0.01, 0.05, 0.2, 1 / 3)]

    for before, after in itertools.pairwise(steps):
        assert all(was in {"-", now} for was, now in zip(before, after, strict=True))
    assert "-" in steps[-2]
    assert "-" not in steps[-1]


def test_the_order_of_arms_and_experiments_does_not_matter() -> None:
    one, other = Experiment("x", (Arm("a", 0.3), Arm("b", 0.3))), Experiment("y", (Arm("a", 0.2),))
    turned = Experiment("x", one.arms[::-1])

    for unit in UNITS[:1000]:
        assert assignments((Layer("l", "s", (one, other)),), unit) == assignments(
            (Layer("l", "s", (other, turned)),), unit
        )


def test_parts_name_what_an_arm_changes() -> None:
    assert Changes().parts == frozenset()
    assert Changes(levers={ActionId("a"): 1.0}).parts == {"levers"}
    assert Changes(propensity_floor=0.0).parts == {"propensity_floor"}
    assert Changes(exploration=Uniform()).parts == {"exploration"}


def experimenting() -> Catalogue:
    pushed = Changes(levers={ActionId("b"): 2.0}, propensity_floor=0.0)
    spread = Changes(exploration=Softmax(0.2))
    plain = small.catalogue(small.action("a"), small.action("b"), floor=0.1, exploration=Uniform())
    return Catalogue(
        name=plain.name,
        currency=plain.currency,
        timezone=plain.timezone,
        actions=plain.actions,
        placements=plain.placements,
        propensity_floor=0.1,
        exploration=Uniform(),
        layers=(
            Layer("ranking", "r", (Experiment("push", (Arm("as-is", 0.5), Arm("pushed", 0.5, pushed))),)),
            Layer("spread", "s", (Experiment("soft", (Arm("soft", 1.0, spread),)),)),
        ),
    )


def test_arms_change_the_policy_and_nothing_else_does() -> None:
    catalogue = experimenting()
    plain = effective(catalogue, ())
    pushed = Assignment("ranking", "push", "pushed")
    both = effective(catalogue, (pushed, Assignment("spread", "soft", "soft")))

    assert (plain.lever.tolist(), plain.exploration, plain.propensity_floor) == ([1.0, 1.0], Uniform(), 0.1)
    assert (both.lever.tolist(), both.exploration, both.propensity_floor) == ([1.0, 2.0], Softmax(0.2), 0.0)
    as_is = effective(catalogue, (Assignment("ranking", "push", "as-is"),))
    assert as_is.lever.tolist() == plain.lever.tolist()
    assert as_is.formula is None


def test_a_policy_is_made_once_and_cannot_be_written_to() -> None:
    catalogue = experimenting()
    arms = (Assignment("ranking", "push", "pushed"),)

    assert effective(catalogue, arms) is effective(experimenting(), arms)
    with pytest.raises(ValueError, match="read-only"):
        effective(catalogue, arms).lever[0] = 3.0


def test_an_arm_of_another_catalogue_is_refused() -> None:
    with pytest.raises(InvariantViolation, match="no arm `loud` in experiment `push` of layer `ranking`"):
        effective(experimenting(), (Assignment("ranking", "push", "loud"),))
