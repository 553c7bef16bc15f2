"""Retraining goes on where it was killed, repeats nothing that is finished, and runs one at a time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from moment.home import Home
from tests.conftest import PROJECT
from tests.unit.training.retraining_process import STEPS
from training.retrain import Asked, Journal, Reason, Status, journals

COMMAND = [sys.executable, "-m", "tests.unit.training.retraining_process"]


def begun(root: Path, manner: str = "") -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*COMMAND, str(root), manner],
        cwd=PROJECT,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(PROJECT)},
    )


def finished(root: Path, manner: str = "") -> tuple[int, str, str]:
    process = begun(root, manner)
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


def killed_while(root: Path, manner: str) -> None:
    """Begin, wait until it stands where it was told to, and kill it as nothing else kills."""
    process = begun(root, manner)
    deadline = time.monotonic() + 60
    while not (root / "waiting").exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=10)
    (root / "waiting").unlink()


def ran(root: Path) -> list[str]:
    return (root / "ran").read_text().splitlines()


def kept(root: Path) -> tuple[Journal, ...]:
    return journals(Home(root / "home", root / "mlruns"))


@pytest.mark.parametrize("step", STEPS)
def test_killed_between_two_steps_it_goes_on_with_the_next(tmp_path: Path, step: str) -> None:
    killed_while(tmp_path, f"waits after {step}")
    before = STEPS[: STEPS.index(step) + 1]
    assert ran(tmp_path) == list(before)

    code, out, err = finished(tmp_path)

    assert (code, out.strip()) == (0, "done"), err
    last = step == STEPS[-1]
    # After the last step nothing is left to go on with: asked again, it begins anew
    assert ran(tmp_path) == [*before, *STEPS] if last else ran(tmp_path) == list(STEPS)
    found = kept(tmp_path)
    assert [one.status for one in found] == [Status.DONE] * (2 if last else 1)
    assert [done.name for done in found[-1].steps] == list(STEPS)


def test_what_changed_meanwhile_is_done_again(tmp_path: Path) -> None:
    killed_while(tmp_path, "waits after features")
    (tmp_path / "world").write_text("another lake")

    assert finished(tmp_path)[0] == 0

    assert ran(tmp_path) == ["decisions", "features", *STEPS]


def test_a_step_that_fails_is_named_and_asked_again_goes_on_there(tmp_path: Path) -> None:
    code, _, err = finished(tmp_path, "fails in train propensity")
    assert code == 1
    assert "the lake is on fire" in err
    failed = kept(tmp_path)[0]
    assert (failed.status, failed.message) == (Status.FAILED, "the lake is on fire; put it out")

    assert finished(tmp_path)[1].strip() == "done"

    assert ran(tmp_path) == [*STEPS[:3], *STEPS[2:]]
    assert [(one.status, one.why) for one in kept(tmp_path)] == [(Status.DONE, "schedule: nightly")]


def test_nothing_new_ends_it_and_is_no_unfinished_one(tmp_path: Path) -> None:
    code, out, _ = finished(tmp_path, "nothing new in features")
    assert (code, out.strip()) == (0, "stopped")
    assert kept(tmp_path)[0].message == "it was all learned before"

    assert finished(tmp_path)[1].strip() == "done"

    assert ran(tmp_path) == ["decisions", "features", *STEPS]
    assert [one.status for one in kept(tmp_path)] == [Status.STOPPED, Status.DONE]


def test_a_second_one_says_who_runs_and_since_when(tmp_path: Path) -> None:
    first = begun(tmp_path, "waits after decisions")
    while not (tmp_path / "waiting").exists():
        assert first.poll() is None
        time.sleep(0.02)
    try:
        code, _, err = finished(tmp_path)
    finally:
        first.kill()
        first.communicate(timeout=10)

    assert code != 0
    assert f"models are being retrained by process {first.pid} (reason: schedule) since 20" in err
    assert ran(tmp_path) == ["decisions"]


def test_another_question_is_another_retraining(tmp_path: Path) -> None:
    killed_while(tmp_path, "waits after features")
    from training.retrain import retrain

    home = Home(tmp_path / "home", tmp_path / "mlruns")
    asked = Asked(models=("segmentation",))
    other = retrain(home, asked, lambda _: [], reason=Reason.DRIFT, tell=lambda _: None)

    assert (other.asked, other.reason, other.status) == (asked, Reason.DRIFT, Status.DONE)
    assert [one.status for one in kept(tmp_path)] == [Status.RUNNING, Status.DONE]
