from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pandas as pd

from features.contract import DType, FeatureContract, FeatureSpec, Purpose
from serving.decision.consent_ledger import ConsentEntry, ConsentStatus
from serving.decision.values import Purpose as ConsentPurpose
from training.pipelines.propensity.consents import mask

DAY = timedelta(days=1)
NOON = datetime(2017, 5, 1, 12, tzinfo=UTC)
GRANTED, DENIED = ConsentStatus.GRANTED, ConsentStatus.DENIED


def spec(name: str, purpose: Purpose, dtype: DType = DType.FLOAT64) -> FeatureSpec:
    return FeatureSpec(name, dtype, "currency", purpose, "meaning", "owner", "view", DAY)


CONTRACT = FeatureContract(
    "v1",
    (
        spec("spend", Purpose.PROFILING),
        spec("answers", Purpose.MARKETING, DType.INT64),
        spec("names", Purpose.PROFILING, DType.STRING_LIST),
        spec("zone", Purpose.SERVICE, DType.STRING),
    ),
)
ASKED = pd.DataFrame({"customer_id": ["a", "a", "b"], "at": pd.to_datetime([NOON, NOON + 9 * DAY, NOON])})
FEATURES = pd.DataFrame(
    {
        "spend": [1.0, 2.0, 3.0],
        "answers": pd.array([4, 5, 6], "Int64"),
        "names": [("x",), ("y",), ("z",)],
        "zone": ["UTC", "UTC", "UTC"],
    }
)


def entry(
    purpose: ConsentPurpose, status: ConsentStatus, at: datetime, channel: str | None = None
) -> ConsentEntry:
    return ConsentEntry(purpose, channel, status, at, None, at)


def test_a_row_holds_what_was_consented_to_by_then() -> None:
    told = {
        "a": [
            entry(ConsentPurpose.PROFILING, GRANTED, NOON - DAY),
            entry(ConsentPurpose.MARKETING, GRANTED, NOON - DAY),
            entry(ConsentPurpose.PROFILING, DENIED, NOON + DAY),
        ]
    }
    seen = mask(FEATURES, ASKED, [frozenset({"mail"})] * 3, CONTRACT, told)
    assert seen.features.isna().to_dict("list") == {
        "spend": [False, True, True],
        "answers": [False, False, True],
        "names": [False, True, True],
        "zone": [False, False, False],
    }
    assert seen.features.dtypes.to_dict() == FEATURES.dtypes.to_dict()
    assert seen.statement.endswith("of 3 looked up, 2 were masked in part.")


def test_what_one_channel_may_not_see_none_of_the_questions_rows_holds() -> None:
    told = {
        "a": [
            entry(ConsentPurpose.PROFILING, GRANTED, NOON - DAY),
            entry(ConsentPurpose.PROFILING, DENIED, NOON - DAY, "mail"),
        ]
    }
    channels = [frozenset({"web"}), frozenset({"web", "mail"}), frozenset({"web"})]
    seen = mask(FEATURES, ASKED, channels, CONTRACT, told)
    assert seen.features["spend"].isna().tolist() == [False, True, True]


def test_without_any_consents_nothing_is_masked_and_the_assumption_is_told() -> None:
    seen = mask(FEATURES, ASKED, [frozenset({"mail"})] * 3, CONTRACT, {})
    assert seen.features.equals(FEATURES)
    assert "as if all had agreed" in seen.statement
