"""``moment retrain`` with real stores and processes: killed, gone on with, alone, and with nothing new."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from features import lake
from features.contract import FeatureContract
from features.definitions import customer_contract
from moment.home import Home
from moment.life import offices
from serving.adapters.catalogue_files import CatalogueFiles
from serving.adapters.sqlite_outcomes import SqliteOutcomes
from serving.adapters.sqlite_records import SqliteRecords
from serving.adapters.vault import Vault
from serving.bootstrap import PACKAGED_CATALOGUE
from serving.catalogue import load
from serving.catalogue.feature_columns import feature_columns
from serving.decision.actions import Action
from serving.decision.values import Purpose
from serving.lifecycle import Model, State
from serving.ports import Entry, OutcomeReport, Reporter
from serving.records import Mode
from tests.conftest import PROJECT
from tests.unit.serving.adapters.test_stores import a_record
from training.pipelines.propensity.settings import PropensitySettings
from training.pipelines.propensity.training_set import training_set
from training.retrain import Journal, Status, journals

# The story trains again by the command; its steps, kills and rows have unit tests
pytestmark = [pytest.mark.timeout(900), pytest.mark.long_form]

FIRST = datetime(2018, 1, 8, 10, tzinfo=UTC)
"""When the shop began to decide for itself: after the history ends."""

DAY = timedelta(days=1)
SHOWN = 240


@pytest.fixture(scope="module")
def home(built: Home, tmp_path_factory: pytest.TempPathFactory) -> Home:
    """The small home with two months of decisions of its own."""
    root = tmp_path_factory.mktemp("retrained_home")
    made = Home(root / "home", root / "mlruns")
    shutil.copytree(built.lake, made.lake)
    decide(made)
    return made


def decide(home: Home) -> None:
    """Record decisions of one offer each, all shown, every fourth answered; nothing was known of anybody."""
    contract = customer_contract()
    catalogue = load(PACKAGED_CATALOGUE, feature_columns(contract))
    CatalogueFiles(home.root / "catalogues").keep(PACKAGED_CATALOGUE, catalogue, feature_columns(contract))
    with lake.connect(home) as connection:
        found = connection.execute("SELECT customer_id FROM customers ORDER BY 1 LIMIT 60").fetchall()
    customers = [row[0] for row in found]
    vault = Vault.open(home)
    records = SqliteRecords(home.database, vault)
    outcomes = SqliteOutcomes(home.database, records.writer, vault)
    for number in range(SHOWN):
        at = FIRST + number % 50 * DAY
        action = catalogue.actions[number % 5]
        entry = decided(
            number,
            customers[number % len(customers)],
            action,
            at,
            catalogue=catalogue.digest,
            contract=contract,
        )
        records.append(entry).result(5)
        kinds = ["presented", action.positive_outcome][: 1 + (number % 4 == 0)]
        reports = [
            OutcomeReport(f"d{number}.1", f"d{number}", kind, f"e{number}{kind}", at, at) for kind in kinds
        ]
        outcomes.append(reports, by=Reporter("key_1", Mode.LIVE, None), received_at=at).result(5)
    outcomes.close()
    records.close()


def decided(
    number: int, customer: str, action: Action, at: datetime, *, catalogue: str, contract: FeatureContract
) -> Entry:
    made = a_record()
    assert made.personal is not None
    (placement,) = made.placements
    offer = msgspec.structs.replace(
        placement.offers[0],
        action=action.action_id,
        treatment=action.treatments[0].treatment_id,
        tracking_id=f"d{number}.1",
        action_probability=0.2,
    )
    record = msgspec.structs.replace(
        made,
        decision_id=f"d{number}",
        mode=Mode.LIVE,
        request_id=None,
        received_at=at,
        decided_at=at,
        placements=(msgspec.structs.replace(placement, offers=(offer,)),),
        versions=msgspec.structs.replace(made.versions, catalogue=catalogue, contract=contract.digest()),
        personal=msgspec.structs.replace(
            made.personal,
            customer_id=customer,
            purposes=(Purpose.PROFILING, Purpose.MARKETING, Purpose.SERVICE),
            features=dict.fromkeys(contract.names),
            states={},
        ),
    )
    return Entry(record, b"body")


def begun(home: Home, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "moment.cli", "retrain", *arguments],
        cwd=PROJECT,
        env=os.environ | {"MOMENT_HOME": str(home.root), "MOMENT_MLRUNS": str(home.mlruns)},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def finished(home: Home, *arguments: str) -> tuple[int, str, str]:
    process = begun(home, *arguments)
    out, err = process.communicate(timeout=800)
    return process.returncode, out, err


def newest(home: Home) -> Journal:
    return journals(home)[-1]


def wait_for(home: Home, step: str, process: subprocess.Popen[str]) -> None:
    """Wait until the newest journal says that a step is finished."""
    deadline = time.monotonic() + 600
    while not (journals(home) and newest(home).find(step)):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)


def snapshot_files(home: Home) -> dict[Path, int]:
    return {file: file.stat().st_mtime_ns for file in home.snapshots.glob("*/*.parquet")}


SEGMENTATION = ("--model", "segmentation", "--reason", "schedule", "--note", "nightly")


@pytest.fixture(scope="module")
def retrained(home: Home) -> tuple[Home, Journal, str]:
    """A retraining that a second one was refused beside, killed after its features, and gone on with."""
    process = begun(home, *SEGMENTATION)
    wait_for(home, "decisions", process)
    code, _, err = finished(home, "--model", "propensity")
    assert code == 1
    assert f"models are being retrained by process {process.pid} (reason: schedule) since" in err
    wait_for(home, "features", process)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    killed, files = newest(home), snapshot_files(home)

    code, out, err = finished(home, *SEGMENTATION)

    assert code == 0, err
    assert f"Going on with {killed.retraining_id}" in err
    assert snapshot_files(home) == files
    return home, killed, out


def test_killed_it_goes_on_where_it_was(retrained: tuple[Home, Journal, str]) -> None:
    home, killed, out = retrained
    (journal,) = journals(home)
    assert journal.status is Status.DONE
    assert journal.steps[: len(killed.steps)] == killed.steps
    assert journal.find("decisions").outcome["presentations"] == SHOWN  # type: ignore[union-attr]
    assert "Next: moment models show segmentation" in out
    assert "nightly" in out


def test_its_version_is_in_the_ledger_with_its_reason_and_its_data(
    retrained: tuple[Home, Journal, str],
) -> None:
    home, _, _ = retrained
    entered = newest(home).outcomes["enter segmentation"]
    with offices().life(home) as life:
        (version,) = life.book().of_model(Model.SEGMENTATION)
    assert version.version == entered["version"]
    assert version.submitted.reason == "schedule: nightly"
    assert version.submitted.data_digest == newest(home).outcomes["train segmentation"]["data"]
    assert version.state in (State.CHAMPION, State.CANDIDATE, State.CHALLENGER)
    with sqlite3.connect(home.mlruns / "mlflow.db") as connection:
        tags = {row[0] for row in connection.execute("SELECT value FROM tags WHERE key = 'moment.reason'")}
    assert tags == {"schedule: nightly"}


def test_with_nothing_new_it_says_so_and_ends(retrained: tuple[Home, Journal, str]) -> None:
    home, _, _ = retrained
    code, out, err = finished(home, *SEGMENTATION)
    assert code == 0, err
    version = journals(home)[0].outcomes["enter segmentation"]["version"]
    assert f"Nothing was trained: there is nothing new to learn from since segmentation {version}" in out
    assert newest(home).status is Status.STOPPED


def test_what_decisions_saw_is_compared_with_what_training_sees(
    retrained: tuple[Home, Journal, str],
) -> None:
    home, _, out = retrained
    skew = journals(home)[0].outcomes["skew"]
    # These records say that nothing was known of anybody, training knows better
    assert skew["decisions"] == SHOWN
    assert 0.5 < float(skew["share"] or 0) < 1
    assert "% of " in out


def test_own_decisions_are_in_the_training_set(
    retrained: tuple[Home, Journal, str], settings: PropensitySettings
) -> None:
    home, _, _ = retrained
    data = training_set(home, msgspec.structs.replace(settings, split_on=None, test_share=0.03))
    own = data.rows.loc[data.rows["decided"]]
    assert data.left_out["window spans the split"] + len(own) >= SHOWN
    assert len(own) > SHOWN / 4
    assert set(own["exposure"]) == {"observed"}
    assert own["answered"].mean() == pytest.approx(0.25, abs=0.05)
    assert data.split_at > FIRST, data.split_at
    assert data.split.test.any()
