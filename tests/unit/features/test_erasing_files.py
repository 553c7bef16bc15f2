"""Taking customers out of the files: several at once lose nothing, and one that was killed goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features import erasure, lake
from features.ingest import ingest
from features.sources.folder import FolderSource
from moment.errors import DependencyError
from moment.home import Home
from moment.turns import turn

PEOPLE = tuple(f"customer-{number}" for number in range(8))
PRESENTED = 4
FILES = ("lake", "quarantine", "snapshots")


def write_shop(folder: Path) -> FolderSource:
    folder.mkdir()
    tables = {
        "customers": ["customer_id,party_type,joined_at", *(f"{one},person,2016-01-01" for one in PEOPLE)],
        "identities": [
            "customer_id,kind,value_hash,linked_at",
            *(f"{one},cookie,of-{one},2016-01-01" for one in PEOPLE),
        ],
        "interactions": [
            "event_id,customer_id,identity,occurred_at,channel,kind",
            *(f"e-{one},,cookie:of-{one},2017-05-01T10:00:00Z,web,page_view" for one in PEOPLE),
        ],
        "presentations": [
            "presentation_id,customer_id,action_id,channel,occurred_at,exposure",
            *(
                f"{one}:{turn},{one},coupon,web,2017-06-0{turn}T00:00:00Z,observed"
                for one in PEOPLE
                for turn in range(1, PRESENTED + 1)
            ),
        ],
        "outcomes": [
            "outcome_id,presentation_id,kind,occurred_at",
            *(f"o-{one},{one}:1,redeemed,2017-06-02T00:00:00Z" for one in PEOPLE),
        ],
        "transactions": [
            "transaction_id,customer_id,occurred_at,amount",
            *(f"bad-{one},{one},2017-05-01,much" for one in PEOPLE),
            "good,nobody,2017-05-01,1.0",
        ],
    }
    for name, lines in tables.items():
        (folder / f"{name}.csv").write_text("\n".join(lines) + "\n")
    rules = dict.fromkeys(tables, 'known_at = "occurred_at + 1 day"\n')
    rules["customers"] = 'known_at = "joined_at"\nhistory = "snapshot"\n'
    rules["identities"] = 'known_at = "linked_at"\n'
    rules["transactions"] += "reject_limit = 1.0\n"
    text = "\n".join(f"[tables.{name}]\n{rule}" for name, rule in rules.items())
    (folder / "source.toml").write_text(text)
    return FolderSource.open(folder)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A home with everybody in lake, quarantine and three views of snapshots."""
    made = Home(tmp_path / "home", tmp_path / "mlruns")
    ingest(made, write_shop(tmp_path / "shop"))
    rows = pa.table({"customer_id": [*PEOPLE, "nobody"] * 4_000, "spend": range(4_000 * (len(PEOPLE) + 1))})
    for view in ("a", "b", "c"):
        (made.snapshots / view).mkdir(parents=True)
        pq.write_table(rows, made.snapshots / view / "20180101T000000Z.parquet")
    return made


def erase(home: Home, customer_id: str) -> tuple[int, ...]:
    return (
        erasure.erase_from_lake(home, customer_id),
        erasure.erase_from_quarantine(home, customer_id),
        erasure.erase_from_snapshots(home, customer_id),
    )


def script(home: Home, customer_id: str) -> list[str]:
    code = (
        "from pathlib import Path; from moment.home import Home; from features import erasure as e\n"
        f"home = Home(Path({str(home.root)!r}), Path({str(home.mlruns)!r}))\n"
        f"print(*(f(home, {customer_id!r}) for f in "
        "(e.erase_from_lake, e.erase_from_quarantine, e.erase_from_snapshots)))"
    )
    return [sys.executable, "-c", code]


IN_ALL = (1 + 1 + 1 + PRESENTED + 1, 1, 3 * 4_000)
"""Rows of one customer in lake, quarantine and snapshots."""


def words(home: Home) -> str:
    """Return all that stands in the files, what is left beside them included."""
    found = []
    for file in sorted(home.root.rglob("*")):
        if file.is_file() and file.parent.name != "turns":
            found.append(file.name)
            if file.suffix in (".parquet", ".erasing"):
                found.append(repr(pq.read_table(file).to_pydict()))
    return "\n".join(found)


def assert_gone(home: Home, *customers: str) -> None:
    left = words(home)
    for one in PEOPLE:
        assert (one in left) is (one not in customers), one
    assert ".erasing" not in left
    assert ".partial" not in left


def test_two_threads_at_once_lose_nothing(home: Home) -> None:
    with ThreadPoolExecutor(4) as pool:
        rows = list(pool.map(lambda one: erase(home, one), PEOPLE[:4]))
    assert rows == [IN_ALL] * 4
    assert_gone(home, *PEOPLE[:4])
    (record,) = lake.records(home)
    assert record.erased == 4 * IN_ALL[0]


def test_two_processes_at_once_lose_nothing(home: Home) -> None:
    both = [subprocess.Popen(script(home, one), stdout=subprocess.PIPE, text=True) for one in PEOPLE[:2]]
    told = [process.communicate(timeout=60)[0].split() for process in both]
    assert told == [[str(rows) for rows in IN_ALL]] * 2
    assert_gone(home, *PEOPLE[:2])


def test_one_waits_for_an_ingest_and_an_ingest_for_it(home: Home, tmp_path: Path) -> None:
    with (
        turn(home, "an ingest of shop", shared=True),
        pytest.raises(DependencyError, match="an erasure has waited 0 s for an ingest of shop"),
        erasure.alone_with_files(home, patience=0),
    ):
        pass
    with ThreadPoolExecutor(1) as pool, erasure.alone_with_files(home):
        ingested = pool.submit(lambda: ingest(home, FolderSource.open(tmp_path / "shop")))
        with pytest.raises(TimeoutError):
            ingested.result(0.3)
    assert ingested.result(10).unchanged


@pytest.mark.parametrize("replaced", [4, 5, 8])
def test_one_that_was_killed_leaves_all_that_is_needed_to_go_on(home: Home, replaced: int) -> None:
    """Given one killed before one of its files takes its place; when it is run again, all is gone."""
    counted = sum(sum(held(home, PEOPLE[0]).values()) for held in HELD)
    killed = (
        "import os, signal; from pathlib import Path; replace, left = Path.replace, [REPLACED]\n"
        "def dying(file, target):\n"
        "    if file.suffix == '.erasing':\n"
        "        left[0] -= 1\n"
        "        left[0] or os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return replace(file, target)\n"
        "Path.replace = dying\n"
    ).replace("REPLACED", str(replaced))
    command = script(home, PEOPLE[0])
    command[-1] = killed + command[-1]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=os.environ)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert ".erasing" in words(home)
    erase(home, PEOPLE[0])
    assert_gone(home, PEOPLE[0])
    assert counted == sum(IN_ALL)
    (record,) = lake.records(home)
    assert record.erased == IN_ALL[0]


HELD = (erasure.held_in_lake, erasure.held_in_quarantine, erasure.held_in_snapshots)


def test_what_a_killed_ingest_has_staged_goes_too(home: Home) -> None:
    staged = home.lake / "_staging" / "shop"
    staged.mkdir(parents=True)
    (staged / "customers.parquet").write_bytes(b"customer-1")
    lake.record_file(home, "shop").unlink()  # killed as it moved its files into the lake
    assert erase(home, "customer-1") == IN_ALL
    assert not (home.lake / "_staging").exists()
    assert_gone(home, "customer-1")


def test_what_an_identity_did_goes_where_moment_alone_was_told_whose_it_is(
    home: Home, tmp_path: Path
) -> None:
    folder = tmp_path / "web"
    folder.mkdir()
    rows = [
        "i-1,,cookie:aa,2017-05-01T10:00:00Z,web,page_view",
        "i-2,,cookie:bb,2017-05-01T10:00:00Z,web,page_view",
        "i-3,,cookie:aa,yesterday,web,page_view",
        "i-4,,cookie:of-customer-0,2017-05-01T10:00:00Z,web,page_view",
    ]
    (folder / "interactions.csv").write_text(
        "\n".join(["event_id,customer_id,identity,occurred_at,channel,kind", *rows, ""])
    )
    (folder / "source.toml").write_text(
        '[tables.interactions]\nknown_at = "occurred_at + 1 day"\nreject_limit = 1.0\n'
    )
    ingest(home, FolderSource.open(folder))

    def theirs(kind: str, value_hash: str) -> bool:
        return (kind, value_hash) == ("cookie", "aa")

    before = erasure.held_in_lake(home, PEOPLE[0], theirs)
    assert before["interactions/web"] == 2  # i-1, and i-4 by the identities of another source
    assert erasure.erase_from_lake(home, PEOPLE[0], theirs) == sum(before.values())
    assert erasure.erase_from_quarantine(home, PEOPLE[0], theirs) == 2
    assert erasure.held_in_lake(home, PEOPLE[0], theirs) == {}
    left = pq.read_table(lake.table_file(home, "interactions", "web"))
    assert left["event_id"].to_pylist() == ["i-2"]
    quarantined = [pq.read_table(file)["content"].to_pylist() for file in home.quarantine.glob("*/*.parquet")]
    assert not [one for contents in quarantined for one in contents if "i-3" in one]
