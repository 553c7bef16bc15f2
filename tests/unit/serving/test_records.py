from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from moment.errors import DependencyError
from serving.api.answers import decision_answer, record_answer
from serving.decision.reasons import Reason
from serving.records import FORMAT, Sealable, dump, load
from serving.use_cases.recall import Recalled
from tests.service.kit import NOW, Shop, ask, caller, catalogue

FORMAT_1 = Path(__file__).parent / "stored" / "record_format_1.json"


def stored(**changes: object) -> Sealable:
    """Return the record as the Moment of format 1 stored it, but for the changes."""
    parts = json.loads(FORMAT_1.read_text("utf-8"))
    return Sealable(msgspec.json.encode(parts["open"] | changes), msgspec.json.encode(parts["personal"]))


def test_a_record_of_format_1_reads_as_it_was_meant() -> None:
    record = load(stored())
    assert (record.format, record.decision_id, record.attempt) == (1, "decision-1", 1)
    assert (record.experiments, record.control, record.held_out, record.used) == ((), False, False, {})
    assert (record.stops, record.approvals, record.versions.policy) == ((), {}, "")
    offers = record.placements[0].offers
    assert [(offer.action, offer.expires_at, offer.reserved_until) for offer in offers] == [
        ("coupon-tea", datetime(2026, 5, 1, 19, tzinfo=UTC), None),
        ("coupon-ham", datetime(2026, 5, 1, 19, tzinfo=UTC), None),
    ]
    assert record.personal is not None
    assert (record.personal.customer_id, record.personal.contacts) == ("anna", ())
    assert record.personal.event_times == {"profile": datetime(2026, 4, 30, 18, 30, tzinfo=UTC)}
    assert load(dump(record)) == msgspec.structs.replace(record, format=FORMAT)


def test_a_record_of_format_1_is_still_explained_and_answered() -> None:
    recalled = Recalled(load(stored()), catalogue())
    considered = {str(one.candidate.action.action_id): one for one in recalled.considered()}
    assert considered["coupon-soup"].reason is Reason.NOT_ELIGIBLE
    assert considered["coupon-soup"].observed == {"context.weather": "sun"}
    assert (considered["coupon-jam"].context_weight, considered["coupon-jam"].measured) == (1.0, None)
    answer = decision_answer(recalled.record)
    assert [offer.action for offer in answer.placements[0].offers] == ["coupon-tea", "coupon-ham"]
    assert record_answer(recalled, views={}, scores=True).seed == str(recalled.record.seed)


def test_todays_records_say_their_format() -> None:
    record = Shop().decide(caller(), ask())
    assert (record.format, record.decided_at) == (FORMAT, NOW)
    assert msgspec.msgpack.decode(dump(record).open)["format"] == FORMAT


def test_what_stands_in_json_reads_as_what_is_written_now() -> None:
    record = Shop().decide(caller(), ask())
    parts = dump(record)
    assert parts.personal is not None
    as_before = [msgspec.msgpack.decode(part) for part in (parts.open, parts.personal)]
    as_json = Sealable(*(msgspec.json.encode(part) for part in as_before))
    assert as_json.open.startswith(b"{")
    assert load(as_json) == load(parts) == record


def test_a_record_of_a_newer_moment_is_not_read_by_halves() -> None:
    with pytest.raises(DependencyError, match=f"format {FORMAT + 1}, this Moment reads up to {FORMAT}"):
        load(stored(format=FORMAT + 1))


@pytest.mark.parametrize(
    "changes", [{"profile": "known to the newer one only"}, {"seed": "a word now"}, {"decided_at": [2026, 1]}]
)
def test_what_a_newer_moment_writes_otherwise_asks_for_an_upgrade_too(changes: dict[str, object]) -> None:
    newer = stored(format=FORMAT + 2, **changes)
    formats = f"format {FORMAT + 2}, this Moment reads up to {FORMAT}"
    for one in (newer, Sealable(msgspec.msgpack.encode(msgspec.json.decode(newer.open)), newer.personal)):
        with pytest.raises(DependencyError, match=f"^decision decision-1 .* {formats}; upgrade Moment$"):
            load(one)


def test_what_is_wrong_in_a_record_of_today_is_not_blamed_on_a_newer_moment() -> None:
    with pytest.raises(msgspec.ValidationError, match="profile"):
        load(stored(profile="no such kind"))
