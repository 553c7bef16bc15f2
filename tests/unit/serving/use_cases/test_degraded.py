from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import pytest

from moment.errors import DependencyError
from serving.adapters.memory_contacts import MemoryContacts
from serving.decision.actions import Candidate
from serving.decision.contact_plan import Lookback
from serving.decision.decision import OfferKind, Scores
from serving.decision.reasons import Reason
from serving.decision.values import ActionId, Scalar
from serving.ports import CustomerFacts, Standing
from serving.records import DecisionRecord, Mode
from serving.use_cases.breakers import State
from serving.use_cases.decide import CONTACTS, PROPENSITY
from tests.service.kit import NOW, Shop, ask, caller

SERVICE = """
  service:
    purposes: [service]
    treatments:
      web: {channel: web, placements: [home], content: {title: "{{ action.label }}"}}
    groups:
      notices:
        actions:
          new-hours: {label: We open earlier, value: 0.5, volume: {total: 9}}
          recall: {label: Do not eat the pate, value: 0.0, mandatory: legal_obligation, volume: {per_day: 9}}
"""


@dataclass(frozen=True)
class NoScorer:
    """A model that is gone."""

    version: str = "table"

    def score(
        self,
        customer: CustomerFacts,  # noqa: ARG002
        contenders: Sequence[Candidate],  # noqa: ARG002
        context: Mapping[str, Scalar],  # noqa: ARG002
        slots: int,  # noqa: ARG002
    ) -> Scores:
        raise DependencyError("the model does not answer")


@dataclass(frozen=True)
class FixedScorer:
    """A model that says the same whatever it is asked."""

    propensity: tuple[float, ...]
    version: str = "table"

    def score(
        self,
        customer: CustomerFacts,  # noqa: ARG002
        contenders: Sequence[Candidate],  # noqa: ARG002
        context: Mapping[str, Scalar],  # noqa: ARG002
        slots: int,  # noqa: ARG002
    ) -> Scores:
        return Scores(np.array(self.propensity), np.array(self.propensity))


class GoneContacts(MemoryContacts):
    """A ledger that cannot be read; `asked` counts how often it was tried."""

    asked = 0

    def read(self, customer_id: str | None, *, mode: Mode, now: object, back: Lookback) -> Standing:  # noqa: ARG002
        self.asked += 1
        raise DependencyError("the ledger of contacts does not answer")


def shown(record: DecisionRecord) -> list[tuple[str, OfferKind]]:
    return [(offer.action, offer.kind) for one in record.placements for offer in one.offers]


def why(shop: Shop, record: DecisionRecord) -> dict[str, Reason]:
    table = record.considered
    names = [str(shop.catalogue.candidates[one].action.action_id) for one in table.candidate]
    return {name: Reason(code) for name, code in zip(names, table.reason, strict=True)}


def test_without_the_model_only_what_needs_no_score_is_left() -> None:
    shop = Shop(more=SERVICE, scorer=NoScorer())
    record = shop.decide(caller(), ask())
    assert record.degraded == (PROPENSITY,)
    assert shown(record) == [("recall", OfferKind.MANDATORY), ("hello", OfferKind.FALLBACK)]
    assert why(shop, record)["coupon-tea"] is why(shop, record)["new-hours"] is Reason.NOT_SCORED


@pytest.mark.parametrize("bad", [-0.1, 1.1, math.inf])
def test_scores_that_are_no_probabilities_are_as_none(bad: float) -> None:
    contenders = len(Shop().decide(caller(), ask()).scored.candidate)
    assert contenders > 1
    rest = (math.nan,) * (contenders - 1)
    for garbage in ((bad, *rest), (*rest, bad), (math.nan, *rest), rest, (0.5, 0.5, *rest)):
        assert Shop(scorer=FixedScorer(garbage)).decide(caller(), ask()).degraded == (PROPENSITY,)
    for sound in (0.0, 0.3, 1.0):
        record = Shop(scorer=FixedScorer((*rest, sound))).decide(caller(), ask())
        assert (record.degraded, len(record.scored.candidate)) == ((), contenders)


def test_what_has_a_budget_rests_while_nobody_can_say_what_is_left_of_it() -> None:
    shop = Shop(more=SERVICE, contacts=GoneContacts())
    record = shop.decide(caller(), ask())
    assert record.degraded == (CONTACTS,)
    assert shown(record) == [("recall", OfferKind.MANDATORY), ("hello", OfferKind.FALLBACK)]
    assert why(shop, record)["new-hours"] is Reason.CONTACT_STORE_GONE
    unbounded = Shop(more=SERVICE.replace("volume: {total: 9}", "lever: 1.0"), contacts=GoneContacts())
    assert ("new-hours", OfferKind.ARBITRATED) in shown(unbounded.decide(caller(), ask()))


def test_a_mandatory_message_counts_from_now_on_though_nothing_could_be_looked_back_on() -> None:
    gone = GoneContacts()
    shop = Shop(more=SERVICE, contacts=gone)
    record = shop.decide(caller(), ask())
    later = NOW + timedelta(minutes=1)
    back = Lookback(NOW - timedelta(days=1), None, NOW.date(), (ActionId("recall"),))
    history = MemoryContacts.read(gone, "anna", mode=Mode.TEST, now=later, back=back).history
    assert [one.tracking_id for one in history.contacts] == [record.placements[0].offers[0].tracking_id]
    assert {str(name): used.volume_today for name, used in history.used.items()} == {"recall": 1}


def test_a_store_that_is_gone_is_not_asked_for_ever() -> None:
    gone = GoneContacts()
    shop = Shop(contacts=gone)
    records = [shop.decide(caller(), ask()) for _ in range(10)]
    assert {record.degraded for record in records} == {(CONTACTS,)}
    assert gone.asked == 3
    assert shop.decide.breakers[CONTACTS].condition.state is State.OPEN


def test_a_rehearsal_leaves_nothing_behind() -> None:
    shop = Shop()
    shop.decide.rehearse()
    assert shop.records.find("decision-1") is None
    assert shop.decide.breakers.conditions() == {}


def test_a_segment_that_cannot_be_told_is_none() -> None:
    shop = Shop()

    class NoSegmenter:
        version = "rule"

        def assign(self, customer: CustomerFacts) -> str | None:  # noqa: ARG002
            raise ZeroDivisionError

    shop.swap(segmenter=NoSegmenter())
    record = shop.decide(caller(), ask())
    assert (record.segment, record.degraded) == (None, ("segmentation",))
    assert [name for name, _ in shown(record)] == ["coupon-tea", "coupon-ham"]
