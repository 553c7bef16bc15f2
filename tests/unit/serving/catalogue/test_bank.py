"""The bank's catalogue: sound, wide, without dead rules, and careful with whom it lends to; simulated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray

import serving.catalogue
from serving.catalogue import load
from serving.commands.catalogue import catalogue as command
from serving.decision.actions import Action, LawfulBasis, Treatment
from serving.decision.catalogue import Catalogue
from serving.decision.contact import CoolOff, Limit, QuietHours, Suppression
from serving.decision.decide import decide
from serving.decision.decision import Scores
from serving.decision.expression import Expression, Literal
from serving.decision.greedy import Greedy
from serving.decision.rule_plan import Verdicts
from serving.decision.shortlist import Shortlist
from serving.decision.to_sql import to_sql
from serving.decision.values import (
    Consent,
    Customer,
    CustomerId,
    History,
    PlacementRequest,
    ProfileKind,
    Purpose,
    Request,
)
from tests.unit.serving.catalogue.simulated_bank import SimulatedVisit, simulated_visits

FILE = Path(serving.catalogue.__file__).parent / "examples" / "bank.yaml"
VISITS = 4000
TRIES = 60
LINES = {
    "everyday banking",
    "cards",
    "lending and mortgages",
    "savings and investment",
    "insurance",
}


@dataclass(frozen=True)
class Simulation:
    """The catalogue asked for every simulated visit."""

    bank: Catalogue
    visits: list[SimulatedVisit]
    truth: NDArray[np.int8]
    verdicts: Verdicts

    @property
    def held(self) -> NDArray[np.bool_]:
        """Shape (n_visits, n_actions): whether every rule of the action holds."""
        return np.equal(self.verdicts.reason, 0)

    def reach(self) -> dict[str, float]:
        """Return the share of simulated visits whose rules hold, by action."""
        means = self.held.mean(axis=0)
        return {action.action_id: float(mean) for action, mean in zip(self.bank.actions, means, strict=True)}


@pytest.fixture(scope="module")
def simulation() -> Simulation:
    bank = replace(load(FILE, {}), exploration=Greedy())
    visits = simulated_visits(VISITS, seed=20260303)
    truth = _truth(bank.plan.rules.predicates, visits)
    return Simulation(bank, visits, truth, bank.plan.rules.settle(truth))


def _truth(predicates: Sequence[Expression], visits: Sequence[SimulatedVisit]) -> NDArray[np.int8]:
    """Return 0 true, 1 false, 2 unknown, shape (n_visits, n_predicates), as DuckDB says."""
    table = pa.Table.from_pylist([visit.row for visit in visits])
    told = ", ".join(
        f"CASE WHEN {to_sql(one)} THEN 0 WHEN NOT {to_sql(one)} THEN 1 ELSE 2 END AS p{number}"
        for number, one in enumerate(predicates)
    )
    with duckdb.connect() as connection:
        connection.register("visits", table)
        answer = connection.execute(f"SELECT {told} FROM visits").fetchnumpy()
    return np.column_stack([answer[f"p{number}"] for number in range(len(predicates))]).astype(np.int8)


@pytest.fixture(scope="module")
def bank(simulation: Simulation) -> Catalogue:
    return simulation.bank


def test_the_command_finds_it_sound() -> None:
    answer = CliRunner().invoke(command, ["check", str(FILE)])

    assert answer.exit_code == 0, answer.output
    assert "bank.yaml is sound" in answer.output


def test_it_is_as_wide_as_a_retail_bank(bank: Catalogue) -> None:
    assert len(bank.actions) >= 40
    assert {action.issue for action in bank.actions} == {
        "growth",
        "retention",
        "service",
        "resilience",
        "protection",
    }
    assert bank.channels == ("app", "call_centre", "email", "web")
    assert bank.outbound == {"email", "call_centre"}
    assert {action.attributes["line_of_business"] for action in bank.actions} == LINES
    groups = {(action.group, action.attributes["line_of_business"]) for action in bank.actions}
    assert all(len({group for group, line in groups if line == one}) >= 3 for one in LINES)


def test_it_shows_everything_a_catalogue_can_say(bank: Catalogue) -> None:
    tiers_and_levels = {(use.tier, use.level) for action in bank.actions for use in action.rules}
    assert len(tiers_and_levels) == 9
    kinds = {type(policy) for policy in bank.contact_policies}
    assert kinds == {Limit, Suppression, CoolOff, QuietHours}
    assert {action.mandatory for action in bank.actions} >= {
        LawfulBasis.LEGAL_OBLIGATION,
        LawfulBasis.CONTRACT,
    }
    assert {one.language for action in bank.actions for one in action.treatments} == {"en", "de"}
    assert any(action.budget for action in bank.actions)
    assert any(action.volume for action in bank.actions)
    assert any(action.weightings for action in bank.actions)
    assert {exclusion.name for exclusion in bank.exclusions} == {"credit", "advice"}
    assert bank.formula is not None
    assert bank.control is not None
    assert bank.holdout is not None
    assert len(bank.layers) == 2
    assert load(FILE, {}).exploration.name.startswith("epsilon_uniform")


def test_every_text_has_what_it_asks_for(bank: Catalogue) -> None:
    for action in bank.actions:
        wanted = {"pitch", "line_of_business", "handling_cost"}
        if any(one.language == "de" and one.channel == "email" for one in action.treatments):
            wanted |= {"label_de", "pitch_de"}
        assert wanted <= set(action.attributes), action.action_id


def test_whatever_competes_is_worth_more_than_it_costs_to_carry_out(bank: Catalogue) -> None:
    for action in bank.actions:
        cost = action.attributes["handling_cost"]
        assert isinstance(cost, float)
        assert action.mandatory or action.value > cost, action.action_id


def test_no_rule_is_dead(simulation: Simulation) -> None:
    true, false = (np.any(simulation.truth == code, axis=0).tolist() for code in (0, 1))
    rules = {
        str(predicate): (some_true, some_false)
        for predicate, some_true, some_false in zip(
            simulation.bank.plan.rules.predicates, true, false, strict=True
        )
        if not isinstance(predicate, Literal)
    }

    assert len(rules) > 80
    assert {text: found for text, found in rules.items() if found != (True, True)} == {}


def test_every_action_reaches_some_simulated_visits_and_none_reaches_all(simulation: Simulation) -> None:
    reach = simulation.reach()

    assert {name: share for name, share in reach.items() if not 0.0005 < share < 0.95} == {}
    by_issue = {
        issue: max(reach[action.action_id] for action in simulation.bank.actions if action.issue == issue)
        for issue in ("growth", "retention", "service", "resilience", "protection")
    }
    assert min(by_issue.values()) > 0.05


def test_what_is_rarely_right_reaches_few(simulation: Simulation) -> None:
    reach = simulation.reach()

    assert reach["mortgage-conversation"] < reach["personal-loan"] < reach["instant-saver"]
    assert reach["fraud-warning"] < 0.05
    assert reach["business-account"] < 0.1


def test_credit_is_for_those_who_are_checked_assessed_and_not_behind(simulation: Simulation) -> None:
    credit = [bool("credit" in action.exclusions) for action in simulation.bank.actions]
    reached = np.any(simulation.held[:, credit], axis=1).tolist()
    rows = [visit.row for visit, one in zip(simulation.visits, reached, strict=True) if one]

    assert sum(credit) == 8
    assert len(rows) > 100
    for row in rows:
        fresh, nightly = row["context.credit_ok"], row["credit_prechecked"]
        assert (nightly if fresh is None else fresh) is True
        assert row["days_in_arrears"] == 0
        if row["party_type"] == "person":
            assert row["vulnerable"] is False
            assert isinstance(row["age"], int)
            assert row["age"] >= 18


def test_persons_and_businesses_are_kept_apart(simulation: Simulation) -> None:
    business = np.array([visit.features["party_type"] == "business" for visit in simulation.visits])
    growth = np.array([action.issue == "growth" for action in simulation.bank.actions])
    of_business = np.array([action.group == "business-banking" for action in simulation.bank.actions])
    for_both = np.array([action.group == "advice" for action in simulation.bank.actions])

    assert not simulation.held[~business][:, of_business].any()
    assert not simulation.held[business][:, growth & ~of_business & ~for_both].any()
    assert simulation.held[business][:, of_business].any(axis=0).all()


def test_every_treatment_can_be_shown_to_somebody(simulation: Simulation) -> None:
    unseen = [
        treatment.treatment_id
        for number, action in enumerate(simulation.bank.actions)
        for treatment in action.treatments
        if not _can_be_shown(simulation, number, action, treatment)
    ]

    assert unseen == []


def _can_be_shown(simulation: Simulation, number: int, action: Action, treatment: Treatment) -> bool:
    """Whether one of the first simulated visits whose rules hold is shown the treatment."""
    found = np.flatnonzero(simulation.held[:, number])
    return any(
        _is_shown(simulation.bank, simulation.visits[visit], action, treatment)
        for visit in found[:TRIES].tolist()
    )


def _is_shown(bank: Catalogue, visit: SimulatedVisit, action: Action, treatment: Treatment) -> bool:
    def only_this(shortlist: Shortlist) -> Scores:
        scores = np.array([1.0 if one.action is action else np.nan for one in shortlist.contenders])
        return Scores(scores, scores)

    place = bank.placement(treatment.channel, treatment.placements[0])
    assert place is not None
    asked = PlacementRequest(place.name, place.slots)  # a mandatory message may take the first slot
    request = Request(treatment.channel, (asked,), visit.context, trusted=True)
    customer = Customer(
        CustomerId("simulated"),
        ProfileKind.KNOWN,
        visit.features,
        language=treatment.language,
        consent=Consent(frozenset(Purpose)),
    )
    decision = decide(request, bank, customer, History(), visit.at, only_this, np.random.default_rng(1))
    return treatment in [offer.candidate.treatment for offer in decision.offers]
