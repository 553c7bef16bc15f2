"""What is wrong with a batch is said before it starts, with the way out."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from moment.errors import InvalidRequest
from serving.batch.ask import BatchAsk, check_file, condition_of, find_placement, slots_of
from serving.batch.starting import Mark, Typed, check
from serving.catalogue.feature_columns import feature_columns
from serving.records import Mode, Versions
from serving.settings import Settings
from tests.service.kit import CATALOGUE, CONTRACT, NOW, catalogue

COLUMNS = feature_columns(CONTRACT)
VERSIONS = Versions(catalogue="c", contract="f", propensity="p", segmentation="s", code="1")
ASK = BatchAsk("web", "home", 2, "age > 30", "", NOW, Mode.TEST, None, False)


@pytest.mark.parametrize(
    ("name", "channel", "message"),
    [
        ("homme", None, "no channel has placement `homme`; did you mean `home`?"),
        ("checkout", "app", "channel `app` has no placement `checkout`; one of home"),
        ("home", "webb", "no channel `webb`; did you mean `web`?"),
        ("home", None, "several channels have a placement `home`; say `--channel app` or `--channel web`"),
    ],
)
def test_a_placement_that_is_not_there_names_the_nearest(
    name: str, channel: str | None, message: str
) -> None:
    with pytest.raises(InvalidRequest) as refused:
        find_placement(catalogue(), name, channel)
    assert str(refused.value) == message


def test_the_only_channel_that_has_a_placement_need_not_be_named() -> None:
    assert find_placement(catalogue(), "checkout", None).channel == "web"
    assert find_placement(catalogue(), "home", "app").channel == "app"


def test_slots_are_all_there_are_unless_fewer_are_wanted() -> None:
    home = find_placement(catalogue(), "home", "web")
    assert (slots_of(home, None), slots_of(home, 1)) == (2, 1)
    with pytest.raises(InvalidRequest, match="has 1 to 2 slots, not 3"):
        slots_of(home, 3)


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("agee > 30", "there is no column `agee`; did you mean `age`?"),
        ("context.hour > 3", "there is no column `context.hour`"),
        ("age >", "--where `age >`: "),
        ("size = 'tiny'", "`size` is never 'tiny'"),
        ("age > 30; DROP TABLE customers", "exactly one predicate"),
    ],
)
def test_a_predicate_that_cannot_be_meant_is_refused(where: str, message: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        condition_of(where, COLUMNS)
    assert message in str(refused.value)


def test_a_predicate_is_sql_over_customer_features() -> None:
    assert condition_of("  ", COLUMNS) == ""
    assert '"age"' in condition_of("age >= 18 AND size = '<small>'", COLUMNS)


def test_a_file_that_could_not_be_written_is_refused(tmp_path: Path) -> None:
    check_file(tmp_path / "offers.csv")
    for name, message in {
        "offers.xlsx": "write it as .parquet or .csv",
        "none/offers.csv": "its folder is not there",
    }.items():
        with pytest.raises(InvalidRequest, match=message):
            check_file(tmp_path / name)
    (tmp_path / "a.csv").mkdir()
    with pytest.raises(InvalidRequest, match="it is a folder"):
        check_file(tmp_path / "a.csv")


def test_a_batch_is_named_by_all_that_decides_it() -> None:
    as_of = datetime(2026, 4, 30, tzinfo=UTC)
    name = ASK.batch_id(VERSIONS, as_of)
    assert name == replace(ASK).batch_id(VERSIONS, as_of)
    others = {
        replace(ASK, slots=1).batch_id(VERSIONS, as_of),
        replace(ASK, where="age > 31").batch_id(VERSIONS, as_of),
        replace(ASK, at=NOW + timedelta(seconds=1)).batch_id(VERSIONS, as_of),
        replace(ASK, reserve=timedelta(hours=48)).batch_id(VERSIONS, as_of),
        replace(ASK, mode=Mode.LIVE).batch_id(VERSIONS, as_of),
        ASK.batch_id(Versions("other", "f", "p", "s", "1"), as_of),
        ASK.batch_id(VERSIONS, as_of + timedelta(days=1)),
    }
    assert len(others | {name}) == 8


def test_live_reservations_are_for_now_or_later_unless_the_batch_is_unfinished(tmp_path: Path) -> None:
    file = tmp_path / "shop.yaml"
    file.write_text(CATALOGUE)
    settings = Settings(catalogue=file)
    typed = Typed("checkout", tmp_path / "o.csv", at=NOW - timedelta(hours=1), mode=Mode.LIVE)
    check(typed, settings, CONTRACT, NOW)
    reserving = replace(typed, reserve=timedelta(hours=48))
    with pytest.raises(InvalidRequest, match=r"--at lies in the past.*leave it out, or take --mode test"):
        check(reserving, settings, CONTRACT, NOW)
    check(replace(reserving, mode=Mode.TEST), settings, CONTRACT, NOW)
    check(replace(reserving, at=NOW + timedelta(days=1)), settings, CONTRACT, NOW)
    mark = Mark(typed.out)
    assert mark.read() is None
    mark.path.write_text(json.dumps({"batch_id": "b", "at": str(reserving.at)}))
    _, ask = check(reserving, settings, CONTRACT, NOW)
    assert ask.at == reserving.at
    mark.path.write_text("{}")
    assert mark.read() is None
