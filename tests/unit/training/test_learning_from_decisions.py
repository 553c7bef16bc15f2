"""What recorded decisions change in the training set: which windows closed, what was seen, what tests."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from moment.errors import ConfigurationError
from serving.decision.consent_ledger import ConsentEntry, ConsentStatus
from serving.decision.values import Purpose
from tests.unit.training.test_consents import ASKED, CONTRACT, FEATURES, NOON
from tests.unit.training.test_pipeline_nodes import OUTCOMES, PRESENTATIONS, RECORD, presented
from training.pipelines.propensity import nodes
from training.pipelines.propensity.consents import mask, recorded_purposes

DAY = timedelta(days=1)
POSITIVE = {"coupon-tea": "redeemed"}


def labelled() -> pd.DataFrame:
    """Label the history that ended in January 2018, and two offers of our own, eight years later."""
    own = pd.DataFrame(
        [presented("own, answered", "2026-05-01", "2026-05-15"), presented("own", "2026-05-02", "2026-05-16")]
    )
    both = pd.concat([PRESENTATIONS.assign(decided=False), own.assign(decided=True)], ignore_index=True)
    answer = pd.DataFrame([("own, answered", "redeemed", pd.Timestamp("2026-05-03", tz="UTC"))])
    outcomes = pd.concat([OUTCOMES, answer.set_axis(OUTCOMES.columns, axis=1)], ignore_index=True)
    return nodes.label(both, outcomes, positive=POSITIVE, record=RECORD)


def test_own_windows_are_closed_when_they_say_so_and_others_when_their_record_says_so() -> None:
    closed = labelled().set_index("presentation_id")["closed"]
    assert closed["own"]
    assert closed["own, answered"]
    assert not closed["not closed"]


def test_what_was_never_seen_to_the_end_of_its_window_trains_nothing_however_late_the_split() -> None:
    rows = labelled()
    split = nodes.split(rows, datetime(2026, 4, 1, tzinfo=UTC))
    names = rows["presentation_id"].to_numpy()
    assert "not closed" not in set(names[split.train])
    assert set(names[split.test]) == {"own", "own, answered"}


def of_days(*answers: int) -> pd.DataFrame:
    """Return labelled rows: on day n so many answers, and one row that was not answered."""
    at = [
        pd.Timestamp("2026-05-01T09:30", tz="UTC") + day * DAY
        for day, count in enumerate(answers)
        for _ in range(count + 1)
    ]
    answered = [int(row < count) for count in answers for row in range(count + 1)]
    return pd.DataFrame({"at": at, "answered": answered, "closed": True})


@pytest.mark.parametrize(
    ("answers", "share", "day"),
    [
        ((10, 10, 10, 10), 0.25, 4),
        ((10, 10, 10, 9), 0.25, 3),
        ((10, 0, 0, 1), 0.05, 4),
        # However little the rest holds: something must be left to learn from
        ((30, 1), 0.5, 2),
    ],
)
def test_the_newest_days_with_a_share_of_the_answers_test(
    answers: tuple[int, ...], share: float, day: int
) -> None:
    assert nodes.newest_period(of_days(*answers), share) == datetime(2026, 5, day, tzinfo=UTC)


def test_windows_that_are_open_do_not_move_the_split() -> None:
    rows = pd.concat([of_days(5, 5), of_days(0, 0, 0, 9).assign(closed=False)], ignore_index=True)
    assert nodes.newest_period(rows, 0.5) == datetime(2026, 5, 2, tzinfo=UTC)


@pytest.mark.parametrize("answers", [(), (0, 0), (0, 7)])
def test_answers_of_one_day_cannot_be_divided(answers: tuple[int, ...]) -> None:
    rows = of_days(*answers) if answers else of_days(1).head(0)
    with pytest.raises(ConfigurationError, match="give --split-on"):
        nodes.newest_period(rows, 0.25)


def test_the_record_of_a_decision_holds_before_what_was_told_of_consents() -> None:
    granted = ConsentEntry(Purpose.PROFILING, None, ConsentStatus.GRANTED, NOON - DAY, None, NOON - DAY)
    recorded = [frozenset[Purpose](), None, frozenset({Purpose.MARKETING, Purpose.PROFILING})]
    seen = mask(
        FEATURES, ASKED, [frozenset({"web"})] * 3, CONTRACT, {"a": [granted]}, recorded=recorded
    ).features
    assert seen["spend"].isna().tolist() == [True, False, False]
    assert seen["answers"].isna().tolist() == [True, True, False]


def test_where_no_source_tells_consents_only_recorded_decisions_are_masked() -> None:
    recorded = [frozenset({Purpose.SERVICE}), None, None]
    seen = mask(FEATURES, ASKED, [frozenset({"web"})] * 3, CONTRACT, {}, recorded=recorded)
    assert seen.features["spend"].isna().tolist() == [True, False, False]


def test_purposes_are_those_all_rows_of_a_question_have() -> None:
    words = pd.Series(["marketing,profiling", "marketing", None, "none"], dtype=object)
    found = recorded_purposes(words, np.array([0, 0, 1, 2]), 4)
    assert found == [frozenset({Purpose.MARKETING}), None, frozenset(), None]
