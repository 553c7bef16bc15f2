"""A customer taken out of everything: no byte of them is left, and no ingest brings them back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

# Feast sets warning filters when it is imported; here that is before pytest sets a test's own
import feast.feature_store  # noqa: F401
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features import kept_rows, lake
from features.definitions import all_views
from features.erasure import held_in_lake
from features.ingest import ingest
from features.realtime import Event, EventKind
from features.snapshots import build
from features.sources.folder import FolderSource
from features.store import FeatureStore
from moment.errors import ConfigurationError
from moment.home import Home
from serving.adapters.erased_files import FileTurns, other_stores
from serving.adapters.group_commit import GroupCommit
from serving.adapters.identifiers import utc_now
from serving.adapters.realtime_push import RealtimePusher
from serving.adapters.sqlite_consents import SqliteConsents
from serving.adapters.sqlite_erasures import DELETED, DETACHED, KEPT, PROOF, SqliteErasures
from serving.adapters.sqlite_events import KeptStates, SqliteEvents
from serving.adapters.sqlite_identities import SqliteIdentities
from serving.adapters.vault import Vault
from serving.bootstrap import open_customer_ledger
from serving.decision.consent_ledger import ConsentEntry, ConsentStatus
from serving.decision.values import Purpose
from serving.ports import Erasure, Identity, IdentityKind, JournalEntry, Told
from serving.records import Mode
from serving.use_cases.erase import EraseCustomer

CANARY = "canary-9d41e7"
NEIGHBOUR = "neighbour-2"
END = datetime(2018, 1, 1, tzinfo=UTC)
COOKIE = Identity(IdentityKind.COOKIE, f"cookie of {CANARY}")


def write_shop(folder: Path) -> Path:
    folder.mkdir(parents=True)
    people = (CANARY, NEIGHBOUR, "third-3")
    tables = {
        "customers": ["customer_id,party_type,joined_at", *(f"{one},person,2016-01-01" for one in people)],
        "consents": [
            "customer_id,purpose,status,valid_from",
            *(f"{one},profiling,granted,2016-01-01" for one in people),
            f"{CANARY},marketing,denied,2016-02-01",
        ],
        "identities": ["customer_id,kind,value_hash,linked_at", f"{CANARY},cookie,abc{CANARY},2017-01-01"],
        "interactions": [
            "event_id,customer_id,identity,occurred_at,channel,kind",
            f"e1,,cookie:abc{CANARY},2017-05-01T10:00:00Z,web,page_view",
            f"e2,{NEIGHBOUR},,2017-05-01T10:00:00Z,web,page_view",
        ],
        "transactions": [
            "transaction_id,customer_id,occurred_at,amount,category",
            *(
                f"{one}-{day},{one},{END - timedelta(days=day):%Y-%m-%d},3.5,BEEF"
                for one in people
                for day in range(3, 90, 7)
            ),
            f"{CANARY}-bad,{CANARY},2017-05-01,much,BEEF",
            f"{NEIGHBOUR}-bad,{NEIGHBOUR},2017-05-01,much,BEEF",
        ],
        "presentations": [
            "presentation_id,customer_id,action_id,channel,occurred_at,exposure",
            *(f"{one}:1,{one},coupon,web,2017-06-01T00:00:00Z,observed" for one in people),
        ],
        "outcomes": [
            "outcome_id,presentation_id,kind,occurred_at",
            *(f"o-{one},{one}:1,redeemed,2017-06-02T00:00:00Z" for one in people),
        ],
    }
    for name, lines in tables.items():
        (folder / f"{name}.csv").write_text("\n".join(lines) + "\n")
    rules = dict.fromkeys(tables, 'known_at = "occurred_at + 1 day"\n')
    rules |= {
        "customers": 'known_at = "joined_at"\nhistory = "snapshot"\n',
        "consents": 'known_at = "valid_from"\n',
        "identities": 'known_at = "linked_at"\n',
    }
    rules["transactions"] += "reject_limit = 0.5\n"
    text = "\n".join(f"[tables.{name}]\n{rule}" for name, rule in rules.items())
    (folder / "source.toml").write_text(text)
    return folder


class World:
    """A home with a customer in every store."""

    def __init__(self, root: Path) -> None:
        self.home = Home(root / "home", root / "mlruns")
        self.shop = FolderSource.open(write_shop(root / "shop"))
        with open_customer_ledger(self.home) as ledger:
            ingest(self.home, self.shop, ledger=ledger)
        build(self.home, all_views(), since=END - timedelta(days=7))
        self.store = FeatureStore(self.home)
        self.store.apply()
        self.store.materialize(datetime.now(UTC))
        self.vault = Vault.open(self.home)
        self.writer = GroupCommit(self.home.database)
        self.consents = SqliteConsents(self.home.database, self.writer, self.vault)
        self.identities = SqliteIdentities(self.home.database, self.writer, self.vault)
        self.erasures = SqliteErasures(self.home.database, self.writer, self.vault)
        self.stores = other_stores(self.home, self.store)
        self.turns = FileTurns(self.home, patience=10)
        self.erase = EraseCustomer(self.erasures, self.stores, self.turns, utc_now)
        kept_rows.keep(self.home, pa.table({"customer_id": [CANARY, NEIGHBOUR, CANARY]}))
        self._live()

    def _live(self) -> None:
        """Let the customer and a neighbour do something today, too."""
        now = utc_now()
        pusher = RealtimePusher(KeptStates(self.home.database, self.writer), FeatureStore(self.home).push)
        events = SqliteEvents(self.writer, self.vault, pusher.announce)
        self.identities.link(COOKIE, CANARY, mode=Mode.LIVE, at=now)
        profile = self.identities.resolve(COOKIE, mode=Mode.LIVE).profile
        views = [
            JournalEntry(who, Event(f"{who} views", EventKind.PAGE_VIEW, now), who.encode())
            for who in (CANARY, profile, NEIGHBOUR)
        ]
        taken = events.append(views, mode=Mode.LIVE, key_id="key", received_at=now).result()
        assert taken.visible.result(10)
        pusher.close()

    def close(self) -> None:
        self.writer.close()
        for opened in (self.consents, self.identities, self.erasures):
            opened.close()

    def files_with(self, words: bytes) -> list[str]:
        """Return every file of the home that holds some bytes, also inside what parquet compresses."""
        found = []
        for file in sorted(self.home.root.rglob("*")):
            if file.is_file():
                content = file.read_bytes()
                if file.suffix == ".parquet":
                    content += repr(pq.read_table(file).to_pydict()).encode()
                found += [str(file.relative_to(self.home.root))] if words in content else []
        return found


@pytest.fixture(scope="module")
def erased(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The world after the erasure; before it the customer was in each kind of store."""
    world = World(tmp_path_factory.mktemp("erasure"))
    before = " ".join(world.files_with(CANARY.encode()))
    assert all(
        part in before for part in ("lake/", "snapshots/", "quarantine/", "feast/online.db", "training-sets/")
    )
    world.receipt = world.erase.erase(CANARY)  # type: ignore[attr-defined]
    yield world
    world.close()


def test_no_byte_of_the_customer_is_left(erased: World) -> None:
    assert erased.files_with(CANARY.encode()) == []
    assert erased.files_with(NEIGHBOUR.encode()) != []


def test_the_receipt_counts_rows_by_store(erased: World) -> None:
    rows = dict(erased.receipt.rows)  # type: ignore[attr-defined]
    transactions = len(range(3, 90, 7))
    assert rows["lake"] == 1 + 2 + 1 + 1 + transactions + 1 + 1
    assert rows["quarantine"] == 1
    assert rows["snapshots"] == len(all_views()) * 2
    assert rows["training_sets"] == 2
    assert (rows["keys"], rows["events"], rows["identities"], rows["realtime_states"]) == (2, 2, 1, 2)
    assert rows["online_features"] > 0
    assert rows[PROOF] == 1  # the grant; the withdrawal stays as proof


def test_nothing_is_known_any_more_and_the_neighbour_is_as_before(erased: World) -> None:
    now = datetime.now(UTC)
    gone, other = erased.store.online([CANARY, NEIGHBOUR], now)
    assert (gone.found, other.found) == (False, True)
    assert erased.identities.resolve(COOKIE, mode=Mode.LIVE).customer_id is None
    with lake.connect(erased.home) as connection:
        (outcomes,) = connection.execute("SELECT count(*) FROM outcomes").fetchone()
        assert connection.execute("SELECT event_id FROM interactions").fetchall() == [("e2",)]
    assert outcomes == 2


def test_a_later_ingest_does_not_bring_the_customer_back(erased: World) -> None:
    before = lake.digest(erased.home)
    (erased.shop.folder / "locations.csv").write_text("location_id,kind,known_at\ns1,store,2016-01-01\n")
    with (erased.shop.folder / "source.toml").open("a") as settings:
        settings.write('\n[tables.locations]\nknown_at = "known_at"\n')
    with open_customer_ledger(erased.home) as ledger:
        report = ingest(erased.home, FolderSource.open(erased.shop.folder), ledger=ledger)
    assert not report.unchanged
    assert {table.table: table.rows for table in report.tables}["customers"] == 2
    assert {table.table: table.rejected for table in report.tables}["transactions"] == 1
    assert erased.files_with(CANARY.encode()) == []
    assert lake.digest(erased.home) != before
    told = ConsentEntry(Purpose.PROFILING, None, ConsentStatus.GRANTED, END, None, END, "again")
    assert erased.consents.append([Told(CANARY, told)], mode=Mode.LIVE) == 0


def test_an_ingest_without_the_memory_of_who_was_erased_is_refused(erased: World) -> None:
    with pytest.raises(ConfigurationError, match="who was erased"):
        ingest(erased.home, erased.shop)


def test_erasing_again_finds_nothing_and_the_receipt_is_the_same(erased: World) -> None:
    assert erased.erase.erase(CANARY) == erased.receipt  # type: ignore[attr-defined]
    assert sum(rows for _, rows in erased.receipt.rows) > 0  # type: ignore[attr-defined]


def test_somebody_nobody_knows_gets_the_same_answer(erased: World) -> None:
    unknown, known = erased.erase.erase("nobody-5"), erased.erase.erase(CANARY)
    assert [name for name, _ in unknown.rows] == [name for name, _ in known.rows]
    assert {rows for _, rows in unknown.rows} == {0}


def test_an_erasure_that_crashed_is_gone_on_with(erased: World) -> None:
    class Crash(Exception):
        pass

    lake_store = erased.stores[1]

    def crash(erasure: Erasure) -> None:
        lake_store.erase(erasure)
        raise Crash

    held = sum(held_in_lake(erased.home, NEIGHBOUR).values())
    broken = replace(lake_store, erase=crash)
    with pytest.raises(Crash):
        EraseCustomer(erased.erasures, (erased.stores[0], broken), erased.turns, utc_now).erase(NEIGHBOUR)
    assert erased.erasures.unfinished() == (NEIGHBOUR,)
    (gone,) = erased.store.online([NEIGHBOUR], datetime.now(UTC))
    assert not gone.found
    (receipt,) = erased.erase.resume()
    rows = dict(receipt.rows)
    assert rows["keys"] == 1
    assert rows["online_features"] > 0
    assert rows["lake"] == held > 0  # counted, though the one who took them is gone
    assert erased.erasures.unfinished() == ()
    assert erased.erase.erase(NEIGHBOUR) == receipt
    assert erased.files_with(NEIGHBOUR.encode()) == []


def test_every_table_that_knows_customers_is_seen_to(erased: World) -> None:
    connection = erased.erasures._readers.get()
    tables = connection.execute(
        "SELECT m.name FROM sqlite_master m, pragma_table_info(m.name) c "
        "WHERE m.type = 'table' AND c.name IN ('customer_ref', 'profile_ref', 'other_ref')"
    )
    assert {name for (name,) in tables} == {*DETACHED, *DELETED, *KEPT, PROOF}
