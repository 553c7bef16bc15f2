"""docs/operations.md is true: every setting with default and range, every metric; its backup restores."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from prometheus_client import CollectorRegistry

from moment.errors import ConfigurationError
from moment.home import Home
from serving.adapters.database import connect, migrate
from serving.adapters.prometheus import PREFIX, PrometheusTelemetry
from serving.adapters.sqlite_records import SqliteRecords
from serving.adapters.vault import Vault
from serving.bootstrap import open_keys
from serving.life_room import open_life
from serving.lifecycle import Model
from serving.settings import Settings
from tests.unit.serving.adapters.test_stores import a_record, entry
from tests.unit.serving.life_kit import PASSED, bundle

PROJECT = Path(__file__).parents[2]
ROOMS = ("moment", "features", "feature_repo", "serving", "training")
TEXT = (PROJECT / "docs" / "operations.md").read_text(encoding="utf-8")
SETTING = re.compile(r"\bMOMENT_[A-Z0-9_]*[A-Z0-9]\b")
ELSEWHERE = {
    "MOMENT_RATE_PER_KEY": "bounds.per_second",
    "MOMENT_RATE_BURST": "bounds.burst",
    "MOMENT_CUSTOMERS_PER_HOUR": "bounds.customers_per_hour",
}
"""Fields of `Settings` whose names are not their variables' own."""


class Shown(NamedTuple):
    """A metric: its type and labels."""

    kind: str
    labels: frozenset[str]


def rows(header: str) -> list[list[str]]:
    """Return the cells of the rows of the table whose header begins with this."""
    found = re.search(rf"^\| {re.escape(header)} \|.*\n\|[-|]+\|\n((?:\|.*\n)+)", TEXT, re.MULTILINE)
    assert found is not None, header
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in found[1].splitlines()]


def words(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)


SETTINGS = {words(name)[0]: (default, bounds) for name, default, bounds, _ in rows("setting")}


def test_every_setting_the_code_reads_is_on_the_page_and_no_other() -> None:
    files = [path for room in ROOMS for path in (PROJECT / room).rglob("*.py")]
    read = {name for path in files for name in SETTING.findall(path.read_text(encoding="utf-8"))}

    assert set(SETTINGS) == read - {"MOMENT_RETENTION_DAYS"}
    assert set(SETTING.findall(TEXT)) - {"MOMENT_RETENTION_DAYS"} == set(SETTINGS)


def of_settings(name: str) -> object:
    value: object = Settings()
    for part in ELSEWHERE.get(name, name.removeprefix("MOMENT_").lower()).split("."):
        if not hasattr(value, part):
            return None
        value = getattr(value, part)
    return value


def test_defaults_are_the_codes() -> None:
    told = {name: words(default) for name, (default, _) in SETTINGS.items()}
    numbers = {name: of_settings(name) for name in SETTINGS if isinstance(of_settings(name), int | float)}

    assert len(numbers) >= 11
    assert {name: told[name] for name in numbers} == {name: [str(value)] for name, value in numbers.items()}
    assert told["MOMENT_HOST"] == told["MOMENT_ADMIN_HOST"] == [Settings().host]
    assert told["MOMENT_LOG"] == [Settings().log.value]
    assert told["MOMENT_JWT_ALGORITHMS"] == [",".join(Settings().jwt_algorithms)]
    nothing = {name for name, (default, _) in SETTINGS.items() if default == "none"}
    assert all(of_settings(name) in {None, "", ()} for name in nothing)


def is_taken(name: str, value: str) -> bool:
    try:
        Settings.read({name: value})
    except ConfigurationError:
        return False
    return True


@pytest.mark.parametrize("name", [name for name, (_, bounds) in SETTINGS.items() if " to " in bounds])
def test_ranges_are_the_codes(name: str) -> None:
    low, high = map(int, SETTINGS[name][1].split(" to "))

    assert [is_taken(name, str(value)) for value in (low - 1, low, high, high + 1)] == [
        False,
        True,
        True,
        False,
    ]


@pytest.mark.parametrize("name", [name for name, (_, bounds) in SETTINGS.items() if bounds == "above 0"])
def test_what_may_be_any_amount_is_above_nothing(name: str) -> None:
    assert not is_taken(name, "0")
    assert is_taken(name, "0.5")


def metrics() -> dict[str, Shown]:
    registry = CollectorRegistry()
    PrometheusTelemetry(registry)
    found = {}
    declared: Any = set(registry._names_to_collectors.values())
    for metric in declared:
        ending = "_total" if metric._type == "counter" else ""
        found[f"{metric._name}{ending}"] = Shown(metric._type, frozenset(metric._labelnames))
    return found


def test_every_metric_is_on_the_page_with_its_labels_and_no_other() -> None:
    told = {words(name)[0]: Shown(kind, frozenset(words(labels))) for name, kind, labels, _ in rows("metric")}

    assert told == metrics()


def test_whatever_the_page_calls_a_metric_is_one() -> None:
    known = metrics()
    for name in set(re.findall(rf"\b{PREFIX}[a-z_]+\b", TEXT)):
        assert re.sub("_(bucket|count|sum)$", "", name) in known, name


def test_the_alert_rules_ask_for_labels_that_are_there() -> None:
    known = metrics()
    (rules,) = [block for block in map(yaml.safe_load, blocks("yaml")) if "groups" in block]
    names = [rule["alert"] for group in rules["groups"] for rule in group["rules"]]
    assert len(set(names)) == len(names) >= 10
    asked = 0
    for group in rules["groups"]:
        for rule in group["rules"]:
            assert rule["expr"].count("(") == rule["expr"].count(")"), rule["alert"]
            for name, matchers in re.findall(r"(moment_[a-z_]+)\{([^}]*)\}", rule["expr"]):
                labels = set(re.findall(r"(\w+)\s*[=!]~?", matchers))
                assert labels <= known[re.sub("_bucket$", "", name)].labels, rule["alert"]
                asked += 1
    assert asked


def test_what_lies_in_a_home_is_told() -> None:
    told = {name.rstrip("/") for row in rows("in the home") for name in words(row[0])}
    home = Home(Path("/home"), Path("/mlruns"))
    parts = [getattr(home, name) for name, kind in vars(Home).items() if isinstance(kind, property)]

    assert {path.name for path in parts} - told == {"keys"}
    assert {"keys/vault.key", "keys/bundles.key", "catalogues", "allowances"} <= told


def test_every_link_leads_somewhere() -> None:
    targets = [target.partition("#")[0] for target in re.findall(r"\]\(([^)]+)\)", TEXT)]

    assert targets
    assert all((PROJECT / "docs" / target).exists() for target in targets)


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Home]:
    """A home in which a decision is recorded, its database open as in a service: the newest is in the log."""
    home = Home(tmp_path / "home", tmp_path / "mlruns")
    with open_life(home) as life:
        life.enter(bundle(home.bundles, "1"), PASSED)
    home.feast.mkdir()
    (home.feast / "registry.db").write_bytes(b"registry")
    with closing(connect(home.feast / "online.db")) as online:
        online.execute("CREATE TABLE views (value)")
        online.execute("INSERT INTO views VALUES (42)")
        migrate(home.database)
        records = SqliteRecords(home.database, Vault.open(home, {}))
        records.append(entry()).result(5)
        assert home.database.with_name("moment.db-wal").stat().st_size > 0
        yield home
        records.close()


@pytest.mark.skipif(shutil.which("bash") is None, reason="the commands need a shell")
def test_what_the_page_backs_up_it_restores_elsewhere(made: Home, tmp_path: Path) -> None:
    backup, restore = blocks("sh")
    python = tmp_path / "bin" / "python3"
    python.parent.mkdir()
    python.symlink_to(sys.executable)
    folders = {"BACKUP": str(tmp_path / "backup"), "KEYS": str(tmp_path / "secrets")}
    shell = ["bash", "-euo", "pipefail", "-c"]
    environment = os.environ | folders | {"PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}"}

    other = Home(tmp_path / "other", tmp_path / "mlruns")
    subprocess.run([*shell, backup], env=environment | {"MOMENT_HOME": str(made.root)}, check=True)
    subprocess.run([*shell, restore], env=environment | {"MOMENT_HOME": str(other.root)}, check=True)

    records = SqliteRecords(other.database, Vault.open(other, {}))
    with closing(records):
        found = records.find("d1")
    assert found is not None
    assert found.personal == a_record().personal is not None
    with open_life(other) as life:
        (version,) = life.book().of_model(Model.PROPENSITY)
        assert (other.bundles / Model.PROPENSITY / version.version).is_dir()
        assert life.verify() == life.seq() > 0
    with closing(open_keys(other)) as keys:
        assert keys.all() == ()
    with closing(connect(other.feast / "online.db")) as online:
        assert online.execute("SELECT value FROM views").fetchall() == [(42,)]
    secret = tmp_path / "secrets" / "vault.key"
    assert not any(path.name == secret.name for path in (tmp_path / "backup").rglob("*"))
    assert [path.stat().st_mode & 0o077 for path in (secret, other.root, other.database)] == [0, 0, 0]
    assert secret.read_bytes() == (made.keys / "vault.key").read_bytes()
