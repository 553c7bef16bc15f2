from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from moment.errors import DependencyError, InvalidRequest
from serving.adapters.memory import MemoryCatalogues
from serving.decision.explanation import explain_candidate
from serving.decision.reasons import Reason
from serving.records import Mode
from serving.use_cases.access import Caller
from serving.use_cases.recall import Recall, Recalled
from tests.service.kit import Shop, ask, caller, catalogue


def test_every_candidate_comes_back_with_reason_and_observed_values() -> None:
    shop = Shop()
    record = shop.decide(caller(), ask("ben", context={"weather": "sun"}))
    considered = {
        str(item.candidate.action.action_id): item
        for item in shop.recall(caller(), record.decision_id).considered()
    }
    assert considered["coupon-tea"].reason is Reason.SHOWN
    assert considered["coupon-tea"].propensity == 0.3
    assert considered["coupon-ham"].reason is Reason.NOT_ELIGIBLE
    assert considered["coupon-ham"].observed == {"age": 17, "spend": 20.0}
    assert considered["coupon-soup"].observed == {"context.weather": "sun"}
    assert "age >= 18" in explain_candidate(considered["coupon-ham"], catalogue()).text


@pytest.mark.parametrize(
    "stranger", [caller(Mode.LIVE), caller(channel="app"), caller(Mode.LIVE, channel="web")]
)
def test_a_decision_of_another_channel_or_mode_is_not_found(stranger: Caller) -> None:
    shop = Shop()
    record = shop.decide(caller(), ask())
    with pytest.raises(InvalidRequest) as foreign:
        shop.recall(stranger, record.decision_id)
    with pytest.raises(InvalidRequest) as unknown:
        shop.recall(stranger, "nothing")
    assert foreign.value.code == unknown.value.code == "not-found"
    assert str(foreign.value) == str(unknown.value)


def test_a_record_without_its_personal_part_still_counts() -> None:
    record = Shop().decide(caller(), ask())
    erased = Recalled(msgspec.structs.replace(record, personal=None), catalogue())
    reasons = [item.reason for item in erased.considered()]
    assert reasons.count(Reason.SHOWN) == 2
    assert all(value is None for item in erased.considered() for value in item.observed.values())


def test_a_catalogue_that_is_gone_is_said_so() -> None:
    shop = Shop()
    record = shop.decide(caller(), ask())
    recall = replace(shop.recall, catalogues=MemoryCatalogues(()))
    assert isinstance(recall, Recall)
    with pytest.raises(DependencyError, match="not archived"):
        recall(caller(), record.decision_id)
