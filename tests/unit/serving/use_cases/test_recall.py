from __future__ import annotations

from dataclasses import replace

import msgspec
import numpy as np
import pytest

from moment.errors import DependencyError, InvalidRequest
from serving.adapters.memory import MemoryCatalogues
from serving.decision.actions import SetBy
from serving.decision.catalogue import Catalogue
from serving.decision.decide import decide
from serving.decision.decision import Decision, Scores
from serving.decision.explanation import explain_candidate
from serving.decision.reasons import Reason
from serving.decision.values import (
    ActionId,
    Consent,
    Contact,
    Customer,
    CustomerId,
    History,
    PastOutcome,
    PlacementRequest,
    Request,
    Used,
)
from serving.records import DecisionRecord, Mode, dump, load
from serving.use_cases.access import Caller
from serving.use_cases.recall import Recall, Recalled
from tests.service.kit import NOW, Shop, ask, caller, catalogue, spent


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


def test_a_record_holds_all_it_takes_to_decide_the_same_again() -> None:
    policies = "{twice: {limit: 2, window: 7d}, no: {suppress: 9d, after: {outcome: rejected}}}"
    shop = Shop(
        more=f"contact_policies: {policies}",
        change=("exploration: greedy", "exploration: {policy: epsilon_uniform, share: 0.9}"),
    )
    first = shop.decide(caller(), ask()).placements[0].offers[0].tracking_id
    shop.contacts.present(first, occurred_at=NOW, reported_at=NOW)
    shop.contacts.record_outcome(first, "rejected", outcome_id="o", occurred_at=NOW, reported_at=NOW)
    for _ in range(4):
        record = load(dump(shop.decide(caller(), ask(context={"weather": "rain"}))))
        again = decide_again(record, shop.catalogue)
        assert [
            (offer.candidate.treatment.treatment_id, offer.action_probability, offer.priority)
            for offer in again.offers
        ] == [
            (offer.treatment, offer.action_probability, offer.priority)
            for placement in record.placements
            for offer in placement.offers
        ]
        assert again.considered.reason.tolist() == record.considered.reason
        assert again.joint_probability == record.joint_probability


def decide_again(record: DecisionRecord, decided_by: Catalogue) -> Decision:
    """Decide from what the record holds and its catalogue alone."""
    told = record.personal
    assert told is not None
    assert told.purposes is not None
    history = History(
        contacts=tuple(Contact(**msgspec.structs.asdict(one)) for one in told.contacts or ()),
        outcomes=tuple(PastOutcome(**msgspec.structs.asdict(one)) for one in told.outcomes or ()),
        used={ActionId(name): Used(**msgspec.structs.asdict(used)) for name, used in record.used.items()},
    )
    customer = Customer(
        customer_id=None if told.customer_id is None else CustomerId(told.customer_id),
        profile=record.profile,
        features={name: value for name, value in told.features.items() if not isinstance(value, tuple)},
        segment=record.segment,
        timezone=told.timezone,
        language=told.language,
        consent=Consent(frozenset(told.purposes), told.opted_out),
        unit=told.unit,
    )
    sent = {field.name for field in decided_by.context if field.set_by is not SetBy.MOMENT}
    request = Request(
        record.channel,
        tuple(PlacementRequest(asked.name, asked.slots) for asked in record.asked),
        {name: value for name, value in told.context.items() if name in sent},
        trusted=True,
    )
    scored = Scores(
        *(np.array(column, dtype=np.float64) for column in (record.scored.raw, record.scored.propensity))
    )
    rng = np.random.default_rng(record.seed)
    return decide(request, decided_by, customer, history, record.decided_at, lambda _: scored, rng)


def test_reading_a_decision_counts_as_asking_about_its_customer() -> None:
    shop = Shop()
    of_anna, of_nobody = (shop.decide(caller(), ask(who)).decision_id for who in ("anna", None))
    assert shop.recall(spent(), of_nobody).record.decision_id == of_nobody
    with pytest.raises(InvalidRequest) as refused:
        shop.recall(spent(), of_anna)
    assert refused.value.code == "too-many-customers"
