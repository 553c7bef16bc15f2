"""The commands on the life of models, on a real home with real keys."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from moment.errors import InvalidRequest, StepMissing
from moment.home import Home
from serving.adapters.database import connect
from serving.bundles import About, Axis, Persona, Personas, write_segmentation
from serving.cli import cli as serving_cli
from serving.commands.findings import SEVERITIES
from serving.commands.life import MODELS
from serving.commands.models import models
from serving.life_room import open_life
from serving.lifecycle import GateVerdict, Model, Severity, State, Version
from tests.service.kit import CONTRACT
from tests.unit.serving.life_kit import FAILED, PASSED, UNSURE, bundle

SEGMENTS = Model.SEGMENTATION


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv("MOMENT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MOMENT_MLRUNS", str(tmp_path / "mlruns"))
    monkeypatch.delenv("MOMENT_PERSON_KEY", raising=False)
    return Home.find()


def run(*arguments: str) -> Result:
    """Run a command of `models`, or of those that serving mounts."""
    group = models if arguments[0] == "models" else serving_cli
    return CliRunner().invoke(group, arguments[1:] if group is models else arguments)


def said(*arguments: str) -> str:
    """Run a command that goes well and return what it prints."""
    done = run(*arguments)
    assert done.exit_code == 0, done.output + repr(done.exception)
    return done.output


def refusal(*arguments: str) -> InvalidRequest:
    """Run a command that is refused and return why: one line, with its code."""
    done = run(*arguments)
    assert isinstance(done.exception, InvalidRequest), done.output + repr(done.exception)
    assert "\n" not in str(done.exception)
    return done.exception


def person(home: Home, name: str, role: str) -> str:
    """Make a person's key by the command and return its file."""
    said("keys", "create", "--person", name, "--role", role, "--out-file", f"{name.split(maxsplit=1)[0]}.key")
    return str(home.keys / f"{name.split(maxsplit=1)[0]}.key")


def entered(home: Home, content: str, gates: tuple[GateVerdict, ...] = PASSED, key: str = "") -> Version:
    """Enter a version as training does."""
    with open_life(home) as life:
        return life.enter(
            bundle(home.bundles, content), gates, reason="hand", key_file=Path(key) if key else None
        )


def test_what_is_written_down_for_help_is_what_there_is() -> None:
    assert set(MODELS) == {str(model) for model in Model}
    assert set(SEVERITIES) == {str(severity) for severity in Severity}


def test_before_anything_is_trained_the_list_names_the_command(home: Home) -> None:
    done = run("models", "list")
    assert isinstance(done.exception, StepMissing)
    assert done.exception.run == "moment train all"


def test_a_version_is_accepted_approved_promoted_and_rolled_back_by_commands(home: Home) -> None:
    carl, ada = person(home, "Carl Gauss", "data_scientist"), person(home, "Ada Byron", "risk_officer")
    first, second = entered(home, "1", key=carl), entered(home, "2", UNSURE, key=carl)
    listed = said("models", "list")
    assert f"! propensity {second.version}: gate slope: inconclusive" in listed
    assert listed.count(f"moment models accept propensity {second.version} --gate slope") == 1

    approved = said("models", "approve", "propensity", first.version, "--reason", "read", "--key", ada)
    assert first.digest in approved
    assert f"Next: moment models promote propensity {first.version}" in approved
    said("models", "promote", "propensity", first.version, "--reason", "first", "--key", carl)

    assert refusal("models", "promote", "propensity", "challenger", "--key", carl).code == "not-now"
    accepted = said(
        "models", "accept", "propensity", "challenger", "--gate", "slope", "--reason", "few", "--key", ada
    )
    assert f"moment models approve propensity {second.version}" in accepted
    said("models", "challenge", "propensity", "challenger", "--shadow", "0.2", "--key", carl)
    assert "challenger, shadow 0.2" in said("models", "list")
    said("models", "approve", "propensity", "challenger", "--days", "20", "--reason", "read", "--key", ada)
    said("models", "promote", "propensity", "challenger", "--key", carl)

    lines = {line["version"]: line for line in json.loads(said("models", "list", "--json"))}
    champion = lines[second.version]
    assert (champion["state"], champion["approval"], champion["days_left"]) == ("champion", "approved", 20)
    approve = f"`moment models approve propensity {second.version}`"
    assert [one.rpartition(", on ")[0] for one in champion["warnings"]] == [
        "its approval ends within 20 days"
    ]
    assert champion["warnings"][0].endswith(approve)
    assert lines[first.version]["state"] == "former"

    shown = said("models", "show", "propensity")
    for words in (second.digest, "Carl Gauss (data_scientist)", "approved by Ada Byron (risk_officer)"):
        assert words in shown
    assert "accepted by Ada Byron (risk_officer): few" in shown
    assert "signed by this machine" in shown
    back = said("models", "rollback", "propensity", "--reason", "worse", "--key", carl)
    assert f"propensity {first.version} is the champion again" in back
    assert "11 acts" in said("models", "verify")


def test_a_report_says_who_answers_for_what_and_what_is_found(home: Home) -> None:
    carl, ada = person(home, "Carl Gauss", "data_scientist"), person(home, "Ada Byron", "risk_officer")
    made = entered(home, "1", UNSURE, key=carl)
    (home.reports / "propensity").mkdir(parents=True)
    (home.reports / "propensity" / f"{made.version}.md").write_text("What was measured.\n")
    said("models", "accept", "propensity", made.version, "--gate", "slope", "--reason", "few", "--key", ada)
    report = said("models", "report", "propensity", made.version)
    assert "**Overridden:** gate `slope`, by Ada Byron (risk_officer): few" in report
    assert "inconclusive, overridden" in report
    assert report.rstrip().endswith("What was measured.")


def test_the_maker_does_not_approve_and_a_channels_key_nothing(home: Home) -> None:
    ada = person(home, "Ada Byron", "risk_officer")
    made = entered(home, "1", key=ada)
    asked = ("models", "approve", "propensity", made.version, "--reason", "mine")
    assert refusal(*asked, "--key", ada).code == "four-eyes"
    assert refusal(*asked).code == "role-missing"
    said("keys", "create", "--mode", "live", "--out-file", "web.key")
    assert "web.key" not in (refused := str(refusal(*asked, "--key", str(home.keys / "web.key"))))
    assert (home.keys / "web.key").read_text().strip() not in refused
    assert refusal(*asked, "--key", str(home.root / "none.key")).code == "key-unknown"


def test_a_failed_candidate_is_rejected_and_goes_nowhere(home: Home) -> None:
    carl, ada = person(home, "Carl Gauss", "data_scientist"), person(home, "Ada Byron", "risk_officer")
    made = entered(home, "1", FAILED, key=carl)
    assert "its gates failed" in said("models", "show", "propensity", "candidate")
    refused = refusal("models", "approve", "propensity", made.version, "--reason", "x", "--key", ada)
    assert refused.code == "not-now"
    assert "rejected" in said("models", "reject", "propensity", made.version, "--reason", "no", "--key", ada)
    said("models", "retire", "propensity", made.version, "--key", carl)
    assert refusal("models", "show", "propensity", "ffff").code == "unknown-version"
    assert refusal("models", "show", "propensity", "former").code == "unknown-version"


def test_a_blocking_finding_holds_a_promotion_back_until_it_is_closed(home: Home) -> None:
    carl, ada = person(home, "Carl Gauss", "data_scientist"), person(home, "Ada Byron", "risk_officer")
    made = entered(home, "1", key=carl)
    said("models", "approve", "propensity", made.version, "--reason", "read", "--key", ada)
    parts = ("--severity", "high", "--section", "calibration", "--blocks", "--reason", "too low")
    said("findings", "add", "--model", "propensity", "--version", made.version, *parts, "--key", ada)
    (found,) = json.loads(said("findings", "list", "--json"))
    assert found["finding_id"] in said("findings", "list")
    assert found["finding_id"] in str(refusal("models", "promote", "propensity", made.version, "--key", carl))
    assert "holds it back: too low" in said("models", "show", "propensity", made.version)
    said("findings", "close", found["finding_id"], "--reason", "mended", "--key", ada)
    assert "Nothing is open" in said("findings", "list")
    assert "closed: mended" in said("findings", "list", "--all")
    said("models", "promote", "propensity", made.version, "--key", carl)


def test_one_person_stops_and_two_resume(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    sam, ada = person(home, "Sam Foster", "support"), person(home, "Ada Byron", "risk_officer")
    olga = person(home, "Olga Lada", "operator")
    monkeypatch.setenv("MOMENT_PERSON_KEY", sam)
    assert "Nothing is stopped" in said("stop", "--list")
    stopped = said("stop", "--action", "coupon-cheese", "--reason", "wrong price")
    assert "action coupon-cheese is off" in stopped
    (stop,) = json.loads(said("stop", "--list", "--json"))
    assert refusal("resume", stop["stop_id"], "--reason", "x").code == "role-missing"
    asked = said("resume", stop["stop_id"], "--reason", "mended", "--key", ada)
    assert "missing: another operator or risk_officer than Ada Byron" in asked
    assert refusal("resume", stop["stop_id"], "--reason", "mended", "--key", ada).code == "two-people"
    assert "is lifted" in said("resume", stop["stop_id"], "--reason", "seen", "--key", olga)
    assert "Nothing is stopped" in said("stop", "--list")


@pytest.mark.parametrize(
    ("named", "code", "nearest"),
    [
        (("--action", "coupon-chese"), "unknown-action", "coupon-cheese"),
        (("--channel", "wep"), "unknown-channel", "web"),
        (("--model", "propensty"), "unknown-model", "propensity"),
    ],
)
def test_a_slip_of_the_pen_stops_nothing_and_names_the_nearest(
    home: Home, named: tuple[str, str], code: str, nearest: str
) -> None:
    refused = refusal("stop", *named, "--reason", "x", "--key", person(home, "Sam Foster", "support"))
    assert refused.code == code
    assert f"did you mean `{nearest}`?" in str(refused)


def test_a_stop_is_of_one_thing(home: Home) -> None:
    assert run("stop", "--reason", "x").exit_code == 2
    assert run("stop", "--action", "a", "--channel", "web", "--reason", "x").exit_code == 2


def segments(home: Home, scale: float, notes: tuple[str, ...]) -> Version:
    """Enter two personas along the customer's size."""
    folder = write_segmentation(
        home.bundles,
        model=Personas(
            axes=(Axis("spend", scale=scale),),
            centres=((0.0,), (2.0,)),
            personas=(Persona("Small", 0.5, 4), Persona("Large", 0.5, 4)),
        ),
        contract=CONTRACT,
        golden=[{"spend": 1.0}, {"spend": 90.0}],
        about=About("2026-05-01T00:00:00+00:00", metrics={"stability": scale / 10}, notes=notes),
    )
    with open_life(home) as life:
        return life.enter(folder, PASSED if scale > 5 else UNSURE)


def test_two_versions_stand_side_by_side(home: Home) -> None:
    old, new = segments(home, 4.0, ("few",)), segments(home, 8.0, ("many",))
    (home.reports / "segmentation").mkdir(parents=True)
    for version, pairs in ((old, 10), (new, 40)):
        told = json.dumps({"parameters": {"pairs": pairs, "seed": 7}})
        (home.reports / "segmentation" / f"{version.version}.json").write_text(told)
    lines = said("models", "diff", "segmentation", old.version, new.version)
    for words in ("stability  0.4", "0.8", "slope", "pairs      10", "- note: few", "+ note: many"):
        assert words in lines, lines
    assert "seed" not in lines
    assert (
        json.loads(said("models", "diff", "segmentation", old.version, new.version, "--json"))["inputs"] == []
    )
    assert "nothing differs" in said("models", "diff", "segmentation", new.version, new.version)


def test_a_bundle_nobody_signed_is_proved_and_signed_by_command(home: Home) -> None:
    made = segments(home, 8.0, ())
    signature = home.bundles / SEGMENTS / made.version / "signature.json"
    signature.unlink()
    assert "unsigned" in said("models", "show", "segmentation", made.version)
    assert "proved and signed" in said("models", "sign", "segmentation", made.version)
    assert "signed by this machine" in said("models", "show", "segmentation", made.version)
    assert "Every bundle of segmentation is signed" in said("models", "sign", "segmentation")


def test_a_bundle_the_ledger_does_not_know_is_listed_as_such(home: Home) -> None:
    folder = bundle(home.bundles, "1")
    assert "not in the ledger" in said("models", "list")
    (folder / "manifest.json").write_text("{}")
    assert "refused: format" in said("models", "list")


def test_a_ledger_somebody_wrote_into_is_found_out(home: Home) -> None:
    entered(home, "1")
    with closing(connect(home.database)) as connection:
        connection.execute("DROP TRIGGER life_entries_no_update")
        connection.execute("UPDATE life_entries SET content = replace(content, 'hand', 'hans')")
        connection.commit()
    assert run("models", "verify").exit_code == 1


def test_the_states_are_told_as_the_ledger_has_them(home: Home) -> None:
    made = entered(home, "1")
    told = json.loads(said("models", "show", "propensity", made.version, "--json"))
    assert told["version"]["state"] == State.CHALLENGER
    assert (told["approved"], told["verdict"]) == ("none", "pass")
