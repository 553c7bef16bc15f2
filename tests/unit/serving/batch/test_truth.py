"""A batch decides for no moment a customer is in: what they do right now is unknown to it."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import duckdb
import numpy as np
import pyarrow as pa

from serving.batch.truth import TruthTable
from serving.decision.context import complete_context
from serving.decision.reasons import Reason
from serving.use_cases.question import request_of
from tests.service.kit import NOW, ask, caller, catalogue

PEOPLE = {"customer_id": ["anna"], "spend": [80.0], "age": [40], "size": ["large & loud"]}


def test_real_time_features_are_unknown_in_a_batch() -> None:
    shop = catalogue("", ('eligible: "spend >= 10"', 'eligible: "views_30m >= 0 AND spend >= 10"'))
    asked = ask()
    context = complete_context(request_of(caller(), asked, shop), shop.context, NOW, ZoneInfo("UTC"))
    with duckdb.connect() as connection:
        verdicts = TruthTable(shop, connection).verdicts(pa.table(PEOPLE), [context], np.zeros(1, np.intp))
    reasons = {
        str(action.action_id): int(reason)
        for action, reason in zip(shop.actions, verdicts.reason[0], strict=True)
    }
    assert reasons["coupon-tea"] == Reason.ELIGIBILITY_UNKNOWN
    assert reasons["coupon-jam"] != Reason.ELIGIBILITY_UNKNOWN
