"""A catalogue lives the life of a model: submitted, gated, approved by another, published, taken back."""

from __future__ import annotations

import json
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from moment.errors import ConfigurationError, InvalidRequest
from moment.home import Home
from serving.bootstrap import PACKAGED_CATALOGUE
from serving.bundles import BundleRefused, Refusal
from serving.catalogue.golden import golden_beside
from serving.cli import cli as serving_cli
from serving.commands.models import models
from serving.life_room import open_life
from serving.lifecycle import Model

NBA = Model.NEXT_BEST_ACTION


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv("MOMENT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MOMENT_MLRUNS", str(tmp_path / "mlruns"))
    for name in ("MOMENT_PERSON_KEY", "MOMENT_CATALOGUE"):
        monkeypatch.delenv(name, raising=False)
    return Home.find()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A copy of the groceries, with their golden decisions beside it."""
    path = tmp_path / "mine.yaml"
    path.write_text(PACKAGED_CATALOGUE.read_text("utf-8"), "utf-8")
    golden_beside(path).write_text(golden_beside(PACKAGED_CATALOGUE).read_text("utf-8"), "utf-8")
    return path


def run(*arguments: str) -> Result:
    group = models if arguments[0] == "models" else serving_cli
    return CliRunner().invoke(group, arguments[1:] if group is models else arguments)


def said(*arguments: str) -> str:
    done = run(*arguments)
    assert done.exit_code == 0, done.output + repr(done.exception)
    return done.output


def person(home: Home, name: str, role: str) -> str:
    said("keys", "create", "--person", name, "--role", role, "--out-file", f"{name}.key")
    return str(home.keys / f"{name}.key")


def test_a_changed_weight_is_a_version_that_is_published_and_taken_back(home: Home, file: Path) -> None:
    carl, ada = person(home, "Carl", "data_scientist"), person(home, "Ada", "risk_officer")
    first = said("catalogue", "submit", str(file), "--reason", "as it was", "--key", carl)
    assert "challenger" in first
    assert "golden" in first
    with open_life(home) as life:
        (version,) = life.book().of_model(NBA)
    assert [one.gate for one in version.unaccepted] == ["reach"]
    assert f"moment models accept next-best-action {version.version} --gate reach" in first

    def publish() -> str:
        said("models", "accept", NBA.value, "challenger", "--gate", "reach", "--reason", "new", "--key", ada)
        told = said("models", "approve", NBA.value, "challenger", "--reason", "read", "--key", ada)
        assert "Next: moment catalogue publish" in told
        return said("catalogue", "publish", "--key", carl)

    assert f"next-best-action {version.version} decides" in publish()
    again = run("catalogue", "submit", str(file), "--reason", "again", "--key", carl)
    assert isinstance(again.exception, InvalidRequest)
    assert "champion already" in str(again.exception)

    text = file.read_text("utf-8")
    assert "currency: USD" in text
    file.write_text(text.replace("window_days: ", "window_days: 1", 1), "utf-8")
    assert file.read_text("utf-8") != text
    second = run("catalogue", "submit", str(file), "--reason", "longer windows", "--key", carl)
    assert second.exit_code == 0, second.output
    changed = said("models", "diff", NBA.value, "champion", "challenger")
    assert "window" in changed
    publish()
    with open_life(home) as life:
        champion = life.book().champion(NBA)
        assert champion is not None
        assert champion.digest != version.digest
    back = said("catalogue", "rollback", "--reason", "worse", "--key", carl)
    assert f"next-best-action {version.version} decides again" in back
    lines = json.loads(said("models", "list", "--json"))
    assert {line["version"]: line["state"] for line in lines} == {
        version.version: "champion",
        champion.version: "former",
    }


def test_a_catalogue_that_misses_its_golden_decisions_stays_a_candidate(home: Home, file: Path) -> None:
    golden = golden_beside(file)
    golden.write_text(golden.read_text("utf-8").replace("coupon-bacon", "coupon-beef", 1), "utf-8")
    done = run("catalogue", "submit", str(file), "--reason", "wrong")
    assert isinstance(done.exception, (SystemExit, click.ClickException))
    assert done.exit_code == 1
    assert "stays a candidate" in done.output
    published = run("catalogue", "publish", "candidate")
    assert isinstance(published.exception, InvalidRequest)
    assert published.exception.code == "not-now"


def test_one_without_golden_decisions_fails_that_gate(home: Home, file: Path) -> None:
    golden_beside(file).unlink()
    assert run("catalogue", "submit", str(file), "--reason", "none").exit_code == 1
    given = golden_beside(PACKAGED_CATALOGUE)
    assert run("catalogue", "submit", str(file), "--golden", str(given), "--reason", "x").exit_code == 0


def test_a_wrong_catalogue_becomes_no_version(home: Home, file: Path) -> None:
    file.write_text(file.read_text("utf-8").replace("currency: USD", "currency: 7"), "utf-8")
    done = run("catalogue", "submit", str(file), "--reason", "x")
    assert isinstance(done.exception, ConfigurationError)
    assert not (home.bundles / NBA).exists()


@pytest.fixture
def decides(home: Home, file: Path) -> Path:
    """Return the bundle of a catalogue in euros that decides, by the machine's word."""
    file.write_text(file.read_text("utf-8").replace("currency: USD", "currency: EUR"), "utf-8")
    said("catalogue", "submit", str(file), "--reason", "euros")
    with open_life(home) as life:
        (version,) = life.book().of_model(NBA)
        life.install(NBA, version.digest, reason="the first one")
        return life.folder(version)


def test_without_a_file_what_decides_is_checked(decides: Path) -> None:
    told = said("catalogue", "check")
    assert told.startswith(
        f"next-best-action {decides.name}, the champion, is sound: 158 actions in 12 groups"
    )
    assert "Its 20 golden decisions come out as written." in told
    assert "Next: `moment catalogue show`.\n" in told
    scripted = json.loads(said("catalogue", "check", "--json"))
    assert (scripted["sound"], scripted["golden_decisions"]) == (True, 20)


def test_without_a_file_what_decides_is_shown_whatever_the_environment_names(
    decides: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOMENT_CATALOGUE", str(PACKAGED_CATALOGUE))
    shown = run("catalogue", "show", "--json")
    assert json.loads(shown.stdout)["currency"] == "EUR"
    assert shown.stderr == f"This is next-best-action {decides.name}, the champion, as it decides.\n"
    named = run("catalogue", "show", str(PACKAGED_CATALOGUE), "--json")
    assert (json.loads(named.stdout)["currency"], named.stderr) == ("USD", "")


def test_a_champion_that_is_not_whole_is_not_passed_over(decides: Path) -> None:
    (decides / "catalogue.yaml").write_text("")
    done = run("catalogue", "check")
    assert isinstance(done.exception, BundleRefused)
    assert done.exception.reason is Refusal.DIGEST
