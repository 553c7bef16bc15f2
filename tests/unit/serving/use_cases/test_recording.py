"""What becomes of a decision's columns and of what it looked back on, in its record."""

from __future__ import annotations

import hmac
import math
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

import msgspec
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from serving.decision.values import ActionId, Contact, History, PastOutcome
from serving.lifecycle import Model
from serving.records import DecisionRecord, Mode, RecordedContact, RecordedOutcome, dump, load
from serving.use_cases.recording import Deliberation, record_of
from serving.use_cases.version_set import Challenger, Live, VersionSet
from tests.service.kit import NOW, TRACKING, VAULT, Shop, ask, caller

NUMBERS = st.one_of(st.just(math.nan), st.just(1.0), st.floats())


@lru_cache
def made() -> Deliberation:
    """Return what went into one decision for somebody known."""
    kept: list[Deliberation] = []

    def keep(_: Live, __: VersionSet, deliberation: Deliberation) -> None:
        kept.append(deliberation)

    shop = Shop()
    now = shop.live.now
    shop.live.swap(replace(now, shadows=(Challenger(Model.PROPENSITY, "d" * 64, 1.0, now.champion),)))
    replace(shop.decide, shadowing=keep)(caller(Mode.LIVE), ask())
    return kept[0]


def recorded(deliberation: Deliberation) -> DecisionRecord:
    return record_of(deliberation, Shop().live.now.champion.versions)


def plainly(numbers: Sequence[float]) -> list[float | None]:
    """Return numbers as JSON has them."""
    return [number if math.isfinite(number) else None for number in numbers]


@given(st.data())
def test_columns_are_recorded_number_by_number_and_read_back_the_same(data: st.DataObject) -> None:
    table = made().decision.considered
    column = st.lists(NUMBERS, min_size=len(table), max_size=len(table))
    priority, observed, weight = (data.draw(column) for _ in range(3))
    changed = replace(
        table,
        priority=np.array(priority),
        observed=np.array(observed),
        context_weight=np.array(weight),
    )

    record = recorded(replace(made(), decision=replace(made().decision, considered=changed)))

    told = record.considered
    assert told.priority == plainly(priority)
    assert told.observed == ([] if all(map(math.isnan, observed)) else plainly(observed))
    assert told.context_weight == ([] if all(number == 1.0 for number in weight) else plainly(weight))
    assert load(dump(record)) == record


def test_a_history_is_recorded_field_by_field() -> None:
    contact = Contact(
        "t1", ActionId("tea"), "g", "i", "web", NOW, NOW, presented_at=NOW, recorded_late=True, timezone="UTC"
    )
    outcome = PastOutcome("rejected", ActionId("tea"), "g", "i", "web", NOW)

    personal = recorded(replace(made(), history=History((contact,), (outcome,)))).personal

    assert personal is not None
    assert personal.contacts == (msgspec.convert(contact, RecordedContact, from_attributes=True),)
    assert personal.outcomes == (msgspec.convert(outcome, RecordedOutcome, from_attributes=True),)


def test_offers_bear_the_ids_they_were_reserved_under() -> None:
    record, reservation = recorded(made()), made().reservation

    told = [offer.tracking_id for placement in record.placements for offer in placement.offers]
    assert told == [TRACKING.sign(record.decision_id, number) for number in range(1, len(told) + 1)]
    assert reservation is not None
    assert {contact.tracking_id for contact in reservation.contacts} <= set(told)


def test_a_signature_is_the_beginning_of_an_hmac() -> None:
    named, _, signature = TRACKING.sign("decision", 7).rpartition(".")
    tag = hmac.digest(VAULT.derived_key("tracking ids"), named.encode(), "sha256")

    assert (named, len(signature)) == ("decision.7", 22)
    assert msgspec.convert(signature.replace("-", "+").replace("_", "/") + "==", bytes) == tag[:16]
