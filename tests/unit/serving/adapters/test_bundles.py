"""A contender's score is the model's of its row, whoever else is scored and however often."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from features.contract import FeatureValue
from features.definitions import CUSTOMER_V1
from features.layout import propensity_layout
from moment.errors import InvariantViolation
from serving.adapters.bundles import BundleScorer
from serving.bundles import (
    Calibration,
    GoldenRows,
    Kind,
    LinearColumn,
    LinearModel,
    PropensityBundle,
    PropensityContent,
    action_facts,
    open_propensity,
    write_propensity,
)
from serving.decision.actions import Action, Candidate, Treatment
from serving.decision.contenders import Contenders
from serving.decision.decision import Scores
from serving.decision.values import ActionId, TreatmentId
from serving.ports import NOBODY, CustomerFacts
from tests.unit.serving.bundle_kit import ABOUT, LIBRARIES

ACTIONS = tuple(
    Action(
        ActionId(f"a{place}"),
        "",
        "shop",
        f"g{place % 2}",
        place + 0.5,
        timedelta(days=7 + place),
        {"category": f"C{place}", "department": "DELI", "typical_price": 1.0 + place},
        (),
        (Treatment(TreatmentId(f"a{place}-x"), "web", ("home",), "en", {}),),
    )
    for place in range(6)
)
CANDIDATES = [Candidate(action, action.treatments[0]) for action in ACTIONS]
CONTENDERS = [CANDIDATES[place] for place in (4, 1, 2, 2, 0, 3, 5, 5)]
LAYOUT = propensity_layout(CUSTOMER_V1, [action_facts(action) for action in ACTIONS])
NOTHING: dict[str, FeatureValue] = dict.fromkeys(CUSTOMER_V1.names)


def facts(**values: FeatureValue) -> CustomerFacts:
    return CustomerFacts(found=True, values=NOTHING | values, states={}, event_times={})


@pytest.fixture
def bundle(tmp_path: Path) -> PropensityBundle:
    """Return a logistic model that gives weight to every column."""
    rng = np.random.default_rng(6)
    columns = [
        LinearColumn(
            one.name, missing_weight=0.1, category_weights=tuple(rng.normal(size=len(one.categories)))
        )
        if one.categories
        else LinearColumn(one.name, weight=float(rng.normal()), scale=9.0, missing_weight=float(rng.normal()))
        for one in LAYOUT.columns
    ]
    golden = GoldenRows(np.zeros((1, len(LAYOUT.columns)), dtype=np.float32), ("g0",), ("a0",))
    return open_propensity(
        write_propensity(
            tmp_path,
            PropensityContent(
                Kind.LOGISTIC,
                PropensityContent.of_linear(LinearModel(-2.0, tuple(columns))),
                LAYOUT,
                CUSTOMER_V1,
                Calibration(0.9, -0.1, {"g1": 0.4}, {"a4": -0.3}),
                golden,
                LIBRARIES,
            ),
            ABOUT,
        )
    )


def plainly(bundle: PropensityBundle, scorer: BundleScorer, customer: CustomerFacts, slots: int) -> Scores:
    """Return the scores of the rows, each scored alone and by the names of its action."""
    rows = scorer.rows(customer, CONTENDERS, slots)
    alone = [
        bundle.score(rows.matrix[place : place + 1], [one.action.group], [one.action.action_id])
        for place, one in enumerate(CONTENDERS)
    ]
    return Scores(np.concatenate([s.raw for s in alone]), np.concatenate([s.calibrated for s in alone]))


CUSTOMERS = {
    "nobody": NOBODY,
    "masked": facts(),
    "a number": facts(baskets_7d=3),
    "a list": facts(category_names=("C1", "C9"), category_days_since=(3.0, 4.0)),
}


@pytest.mark.parametrize("name", CUSTOMERS)
@pytest.mark.parametrize("slots", [1, 3])
def test_scores_are_the_models_of_each_row(bundle: PropensityBundle, name: str, slots: int) -> None:
    scorer, customer = BundleScorer(bundle, ACTIONS), CUSTOMERS[name]
    expected = plainly(bundle, scorer, customer, slots)
    for _ in range(2):
        found = scorer.score(customer, CONTENDERS, {}, slots)
        assert np.array_equal(found.raw, expected.raw)
        assert np.array_equal(found.propensity, expected.propensity)
        found.raw[:] = found.propensity[:] = 0.0  # nobody else's scores change with it
    together = scorer.score_all([scorer.rows(one, CONTENDERS, slots) for one in CUSTOMERS.values()])
    assert np.array_equal(together[list(CUSTOMERS).index(name)].propensity, expected.propensity)


def test_candidates_are_found_again_whichever_catalogue_they_come_from(bundle: PropensityBundle) -> None:
    scorer, customer = BundleScorer(bundle, ACTIONS), CUSTOMERS["a list"]
    for catalogue in (tuple(CANDIDATES), tuple(reversed(CANDIDATES)), tuple(CANDIDATES)):
        contenders = Contenders(catalogue, np.array([4, 0, 0, 5]))
        expected = scorer.score(customer, list(contenders), {}, 1)
        assert np.array_equal(scorer.score(customer, contenders, {}, 1).raw, expected.raw)
        assert [*contenders[1:], contenders[0]] == [catalogue[place] for place in (0, 0, 5, 4)]


def test_what_is_known_and_how_many_are_asked_for_makes_a_difference(bundle: PropensityBundle) -> None:
    scorer = BundleScorer(bundle, ACTIONS)
    found = [scorer.score(one, CONTENDERS, {}, 1).raw.tolist() for one in CUSTOMERS.values()]
    assert found[0] == found[1]
    assert len({*map(tuple, found)}) == 3
    assert scorer.score(NOBODY, CONTENDERS, {}, 2).raw.tolist() != found[0]


def test_a_feature_the_model_reads_must_be_there(bundle: PropensityBundle) -> None:
    values = {name: value for name, value in NOTHING.items() if name != "kids"}
    with pytest.raises(InvariantViolation, match="no 'kids'"):
        BundleScorer(bundle, ACTIONS).score(
            CustomerFacts(found=True, values=values, states={}, event_times={}), CONTENDERS, {}, 1
        )
