"""A file is there wholly or not at all; who could not be decided for is listed beside it."""

from __future__ import annotations

import stat
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from serving.batch.output import Output
from serving.batch.rows import Form
from serving.batch.tally import Given
from serving.decision.decision import FillReason, OfferKind
from serving.records import RecordedOffer, RecordedPlacement

FORM = Form(("title",))
AT = datetime(2026, 5, 1, 12, tzinfo=UTC)
NONE = np.empty(0, dtype=np.int32)


CSV = '''\
"customer_id","placement","rank","action","treatment","kind","propensity","priority","action_probability",\
"tracking_id","expires_at","reason","content_title"
"anna","home",1,"tea","tea-web","arbitrated",0.25,0.5,1,,"2026-05-01T12:00:00Z","filled","""tea"", really"
"anna","home",2,"jam","jam-web","arbitrated",0.25,0.5,1,,"2026-05-01T12:00:00Z","filled","""jam"", really"
"ben","home",,,,,,,,,,"nothing_eligible",
"dora","home",1,"tea","tea-web","arbitrated",0.25,0.5,1,,"2026-05-01T12:00:00Z","filled","""tea"", really"
'''


def given(customer: str, *actions: str) -> Given:
    offers = tuple(
        RecordedOffer(
            rank=rank, action=action, treatment=f"{action}-web", tracking_id="", expires_at=AT,
            kind=OfferKind.ARBITRATED, raw=0.5, propensity=0.25, value=2.0, context_weight=1.0, lever=1.0,
            priority=0.5, action_probability=1.0,
        )
        for rank, action in enumerate(actions, start=1)
    )  # fmt: skip
    reason = FillReason.FILLED if offers else FillReason.NOTHING_ELIGIBLE
    words = [{"title": f'"{action}", really'} for action in actions]
    return Given(customer, RecordedPlacement("home", 2, reason, offers), NONE, NONE, words)


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_everybody_has_a_row_and_everything_is_said(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"offers.{ending}"
    with Output(path, FORM.schema) as output:
        output.write(FORM.table([given("anna", "tea", "jam"), given("ben")]), [])
        output.write(FORM.table([]), [("cleo", 'her features say, "no"')])
        output.write(FORM.table([given("dora", "tea")]), [("eve", "another")])
        assert not path.exists()
    if ending == "csv":
        assert path.read_text() == CSV
    else:
        rows = pq.read_table(path).to_pylist()
        assert [row["action"] for row in rows] == ["tea", "jam", None, "tea"]
        assert rows[0]["expires_at"] == AT
    listed = tmp_path / f"offers.{ending}.rejected.csv"
    assert listed.read_text().splitlines() == [
        "customer_id,reason",
        'cleo,"her features say, ""no"""',
        "eve,another",
    ]
    assert sorted(one.name for one in tmp_path.iterdir()) == [path.name, listed.name]


def test_what_is_interrupted_leaves_the_earlier_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "offers.csv"
    path.write_text("earlier")

    def lose_patience() -> None:
        with Output(path, FORM.schema) as output:
            output.write(FORM.table([given("anna", "tea")]), [("ben", "no")])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        lose_patience()
    assert [one.name for one in tmp_path.iterdir()] == ["offers.csv"]
    assert path.read_text() == "earlier"


def test_a_list_of_those_left_out_goes_away_when_nobody_is(tmp_path: Path) -> None:
    path = tmp_path / "offers.csv"
    stale = tmp_path / "offers.csv.rejected.csv"
    stale.write_text("customer_id,reason\n")
    with Output(path, FORM.schema) as output:
        output.write(FORM.table([given("anna", "tea")]), [])
    assert not stale.exists()


def test_offers_are_their_owners_and_not_written_through_links(tmp_path: Path) -> None:
    theirs, folder = tmp_path / "theirs", tmp_path / "folder"
    folder.mkdir()
    theirs.write_text("theirs")
    for name in ("offers.csv", "offers.csv.rejected.csv"):
        (folder / name).symlink_to(theirs)
        (folder / f"{name}.part").symlink_to(theirs)

    with Output(folder / "offers.csv", FORM.schema) as output:
        output.write(FORM.table([given("anna", "tea")]), [("ben", "no")])

    assert theirs.read_text() == "theirs"
    written = [folder / "offers.csv", folder / "offers.csv.rejected.csv"]
    assert {stat.S_IMODE(path.lstat().st_mode) for path in written} == {0o600}


def test_a_list_that_cannot_be_written_leaves_the_earlier_offers(tmp_path: Path) -> None:
    path = tmp_path / "offers.csv"
    path.write_text("earlier")
    (tmp_path / "offers.csv.rejected.csv").mkdir()

    with pytest.raises(OSError, match="rejected"), Output(path, FORM.schema) as output:
        output.write(FORM.table([given("anna", "tea")]), [("ben", "no")])

    assert path.read_text() == "earlier"
    assert sorted(one.name for one in tmp_path.iterdir()) == ["offers.csv", "offers.csv.rejected.csv"]
