"""The parts of the benchmarks run and compare what they say; how long they take is not asked here."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks import decision
from benchmarks.core import Setting, beside_zen, report
from benchmarks.timing import LEAST_CALLS, timed
from benchmarks.workload import COLUMNS, NOW, REQUEST, make_customers, make_workload
from benchmarks.zen_peer import forms
from moment.errors import ConfigurationError, InvariantViolation
from moment.home import Home
from serving.adapters.vault import SECRET_VARIABLE, Vault
from serving.bundles.signing import TRUST_FILE
from serving.decision.reasons import Reason
from serving.decision.shortlist import shortlist
from serving.decision.values import Stage


def test_a_workload_uses_every_rule_it_was_asked_for() -> None:
    catalogue = make_workload(60, 40).catalogue

    assert len(COLUMNS) == 50
    assert len(catalogue.candidates) == 60
    assert len({rule.text for rule in catalogue.rules}) == 40
    assert {use.rule_id for action in catalogue.actions for use in action.rules} == set(range(40))
    assert all(any(name in rule.text for rule in catalogue.rules) for name in ("action.floor", "action.band"))
    assert make_workload(60, 40).catalogue.digest == catalogue.digest


def test_policies_and_history_stop_some_candidates_and_leave_some() -> None:
    setting = Setting.of(200, 40, True)
    asked = [
        shortlist(REQUEST, setting.catalogue, customer, setting.history, NOW)
        for customer in setting.customers[:20]
    ]

    reasons = {Reason(code) for one in asked for code in one.considered.reason.tolist()}
    assert {reason.stage for reason in reasons} >= {Stage.ELIGIBLE, Stage.APPLICABLE, Stage.SUITABLE}
    assert {reason.stage for reason in reasons} >= {Stage.CONTACT_POLICY}
    assert all(one.contenders for one in asked)


def test_zen_agrees_in_every_form() -> None:
    own, peers = beside_zen(make_workload(60, 40), seconds=0.0)

    assert own.calls == LEAST_CALLS
    assert [peer.planned for peer in peers] == [False, False, False, True, True, True]


def test_a_rule_that_says_another_thing_to_zen_is_found() -> None:
    workload = make_workload(60, 40)
    wrong = replace(workload, zen=("true", *workload.zen[1:]))

    with pytest.raises(InvariantViolation, match="differ in a verdict"):
        beside_zen(wrong, seconds=0.0)


def test_a_candidate_takes_its_own_attributes_to_zen() -> None:
    workload = make_workload(60, 40)
    rule_id = next(rule.rule_id for rule in workload.catalogue.rules if "action.floor" in rule.text)
    first = workload.catalogue.actions[0]

    assert f">= {first.attributes['floor']}" in workload.zen_of(rule_id, first)
    assert len(list(forms(workload))) == 6


def test_the_report_has_every_section() -> None:
    lines = list(report(0.0, sizes=((30, 25), (60, 40)), growth=(30, 60)))
    text = "\n".join(lines)

    for part in (
        "whole decision, greedy",
        "growth",
        "exploration: 60",
        "thompson",
        "zen, on the plan",
        "agree",
    ):
        assert part in text
    assert "nan" not in text.replace("candidate", "")


def test_customers_miss_as_many_values_as_asked() -> None:
    whole = make_customers(20, missing=0.0)
    missing = [value is None for one in make_customers(200, missing=0.2) for value in one.features.values()]

    assert not any(value is None for one in whole for value in one.features.values())
    assert abs(np.mean(missing) - 0.2) < 0.02


def test_percentiles_are_in_order() -> None:
    times = timed(lambda size: sum(range(size)), [10, 1000], seconds=0.0)

    assert 0.0 < times.p50 <= times.p99


def test_a_benchmark_that_was_killed_leaves_nothing_that_can_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(SECRET_VARIABLE, raising=False)
    monkeypatch.setattr(decision, "customers_of", lambda *_: ("customer-4711",))
    made = Home(tmp_path / "home", tmp_path / "mlruns")
    for part in (made.bundles, made.feast, made.snapshots, made.lake, made.keys):
        part.mkdir(parents=True)
    (made.keys / TRUST_FILE).write_text("[]")
    (made.lake / "kept").touch()
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    killed = [made.root / f"benchmark-{name}" for name in ("abcd", f"{ended.pid}-abcd")]
    for folder in killed:
        folder.mkdir()
        (folder / "lake").symlink_to(made.lake)
    beside = made.root / f"benchmark-{os.getppid()}-abcd"
    beside.mkdir()

    with decision.fresh_home(made) as home:
        files = [path for path in home.root.iterdir() if path.is_file()]
        assert not any(b"customer-4711" in path.read_bytes() for path in files)
        secret = os.environ.pop(SECRET_VARIABLE)
        with pytest.raises(ConfigurationError):
            Vault.open(home)
        os.environ[SECRET_VARIABLE] = secret

    assert SECRET_VARIABLE not in os.environ
    assert not any(folder.exists() for folder in killed)
    assert beside.exists()
    assert (made.lake / "kept").exists()
