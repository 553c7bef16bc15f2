"""``moment keys`` on a home of its own."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from moment.home import Home
from serving.adapters.identifiers import utc_now
from serving.bootstrap import open_keys
from serving.commands.keys import ROLES, SCOPES, keys
from serving.ports import Bounds, Role, Scope
from serving.use_cases.access import Access, Caller


class Desk:
    """Somebody at a terminal."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self._environment = {"MOMENT_HOME": str(home.root), "MOMENT_MLRUNS": str(home.mlruns)}

    def run(self, *arguments: str) -> Result:
        return CliRunner().invoke(keys, arguments, env=self._environment)

    def ok(self, *arguments: str) -> Any:  # noqa: ANN401 - whatever the command prints as JSON
        done = self.run(*arguments, "--json")
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)

    def listed(self) -> list[dict[str, Any]]:
        return list(self.ok("list"))

    def enter(self, secret: str) -> Caller:
        store = open_keys(self.home)
        try:
            return Access(store, utc_now)(secret)
        finally:
            store.close()


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(Home(tmp_path / "home", tmp_path / "mlruns"))


def test_every_scope_and_role_can_be_given() -> None:
    assert set(SCOPES) == {str(scope) for scope in Scope}
    assert set(ROLES) == {str(role) for role in Role}


def test_a_channels_key_is_made_and_listed_without_its_secret(desk: Desk) -> None:
    made = desk.ok(
        "create", "--mode", "live", "--channel", "web", "--scope", "scores:read", "--label", "shop"
    )
    caller = desk.enter(made["key"])
    assert (caller.channel, caller.scopes) == ("web", frozenset({Scope.READ_SCORES}))
    plain = desk.run("list").stdout
    assert made["key"] not in plain
    assert f"{made['key_id']}  live  web  scores:read  open  shop" in plain
    assert f"last used {utc_now():%Y-%m-%d}" in plain


def test_a_persons_key_is_theirs_by_role(desk: Desk) -> None:
    made = desk.ok("create", "--person", "Ada Byron", "--role", "support")
    caller = desk.enter(made["key"])
    assert (caller.person, caller.role, caller.mode.value) == ("Ada Byron", Role.SUPPORT, "live")
    assert Scope.READ_CUSTOMERS in caller.scopes
    assert made["bounds"]["customers_per_hour"] == 200
    assert "Ada Byron, support" in desk.run("list").stdout


def test_a_rotated_key_opens_with_both_and_both_are_listed(desk: Desk) -> None:
    old = desk.ok("create", "--mode", "test")
    new = desk.ok("rotate", old["key_id"], "--grace", "2h")
    assert old["key"] != new["key"]
    assert desk.enter(old["key"]) == desk.enter(new["key"])
    (key,) = desk.listed()
    first, second = key["secrets"]
    left = datetime.fromisoformat(first["expires_at"]) - utc_now()
    assert timedelta(hours=1, minutes=58) < left <= timedelta(hours=2)
    assert second["expires_at"] is None
    lines = desk.run("list").stdout.splitlines()
    assert len(lines) == 3
    assert "ends" in lines[1]
    desk.ok("rotate", old["key_id"], "--grace", "0")
    assert [one["expires_at"] is None for one in desk.listed()[0]["secrets"]] == [False, False, True]


def test_a_key_may_end_and_have_bounds(desk: Desk) -> None:
    made = desk.ok(
        "create", "--mode", "test", "--expires", "90d", "--rate", "5", "--customers-per-hour", "1000"
    )
    assert datetime.fromisoformat(made["expires_at"]) - utc_now() > timedelta(days=89)
    store = open_keys(desk.home)
    assert store.all()[0].bounds == Bounds(5, 10, 1000)
    store.close()
    assert "open until" in desk.run("list").stdout


def test_a_new_secret_goes_to_a_file_of_its_own(desk: Desk) -> None:
    made = desk.ok("create", "--mode", "test", "--out-file")
    rotated = desk.ok("rotate", made["key_id"], "--out-file", "second.key")
    paths = [Path(made["file"]), Path(rotated["file"])]
    assert [path.name for path in paths] == ["test.key", "second.key"]
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in paths)
    assert desk.enter(paths[0].read_text().strip()) == desk.enter(paths[1].read_text().strip())
    again = desk.run("rotate", made["key_id"], "--out-file", "second.key")
    assert again.exit_code == 1
    assert "is there already" in again.output
    assert len(desk.listed()[0]["secrets"]) == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "say --mode"),
        (["--person", "Ada"], "needs both --person NAME and --role"),
        (["--role", "operator"], "needs both --person NAME and --role"),
        (["--person", " ", "--role", "operator"], "needs both --person NAME and --role"),
        (["--person", "Ada", "--role", "operator", "--scope", "all"], "what their role says"),
        (["--person", "Ada", "--role", "operator", "--channel", "web"], "what their role says"),
        (["--mode", "test", "--burst", "3"], "--burst needs --rate"),
        (["--mode", "test", "--rate", "0"], "--rate"),
        (["--mode", "test", "--expires", "soon"], "write e.g. 90d"),
        (["--person", "Ada", "--role", "boss"], "--role"),
    ],
)
def test_what_makes_no_sense_is_said_and_makes_no_key(desk: Desk, arguments: list[str], words: str) -> None:
    done = desk.run("create", *arguments)
    assert done.exit_code == 2
    assert words in done.output
    assert desk.listed() == []
