"""A child dies of what would have ended the service; what it found sound is opened from the same bytes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import xgboost

from serving.bundles import (
    BundleKey,
    BundleRefused,
    Kind,
    Refusal,
    Trust,
    open_proved_policy,
    open_proved_propensity,
    open_proved_segmentation,
    prove,
    read_manifest,
    sign_bundle,
    verify_signature,
    write_propensity,
)
from serving.bundles.propensity import propensity_of, read_propensity
from serving.bundles.proving import Prover, vouch
from serving.bundles.trees import TreeModel
from tests.unit.serving.bundle_kit import ABOUT, boosted, content, golden, policy, restate, rows, segmentation

KEY = BundleKey.new()
TRUST = Trust({KEY.public_key: "trainer"})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    written = write_propensity(tmp_path, content(), ABOUT)
    sign_bundle(written, KEY)
    return written


def restated(folder: Path) -> Path:
    """Let manifest, signature and name of a folder agree with what is in it now."""
    restate(folder)
    folder = folder.rename(folder.parent / read_manifest(folder).version)
    sign_bundle(folder, KEY)
    return folder


def with_trees(folder: Path, trees: dict[str, Any]) -> Path:
    """Put other trees into a bundle, and let all else agree with them but its golden predictions."""
    booster = xgboost.Booster()
    booster.load_model(bytearray(json.dumps(trees).encode()))
    (folder / "model.ubj").write_bytes(bytes(booster.save_raw("ubj")))
    kept = json.loads((folder / "golden.json").read_text())
    kept["read_as"]["model"] = TreeModel((folder / "model.ubj").read_bytes()).read_as()
    (folder / "golden.json").write_text(json.dumps(kept))
    return restated(folder)


def first_tree(trees: dict[str, Any]) -> dict[str, Any]:
    tree: dict[str, Any] = trees["learner"]["gradient_booster"]["model"]["trees"][0]
    return tree


def refusal(folder: Path, **limits: float) -> BundleRefused:
    with pytest.raises(BundleRefused) as caught:
        prove(folder, model="propensity", trusted=TRUST, **limits)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
    return caught.value


@pytest.mark.parametrize("kind", list(Kind))
def test_a_sound_bundle_is_proved_and_opened(tmp_path: Path, kind: Kind) -> None:
    folder = write_propensity(tmp_path, content(kind), ABOUT)
    sign_bundle(folder, KEY)
    opened = open_proved_propensity(folder, TRUST, digest=read_manifest(folder).digest)
    assert (opened.kind, opened.version) == (kind, folder.name)
    matrix = golden().matrix
    assert opened.model.margins(matrix).shape == (len(matrix),)


def test_segmentations_and_policies_are_proved_too(tmp_path: Path) -> None:
    personas, decisions = segmentation(tmp_path), policy(tmp_path)
    for folder in (personas, decisions):
        sign_bundle(folder, KEY)
    assert open_proved_segmentation(personas, TRUST).version == personas.name
    assert open_proved_policy(decisions, TRUST).version == decisions.name


def test_what_is_opened_is_what_was_proved_and_not_what_lies_there_later(folder: Path) -> None:
    proved = prove(folder, model="propensity", trusted=TRUST)
    (folder / "model.ubj").write_bytes(b"exchanged meanwhile")
    assert propensity_of(proved.files).digest == proved.digest


def test_a_tree_without_an_end_does_not_hold_up_the_parent(folder: Path) -> None:
    trees = json.loads(bytes(boosted().save_raw("json")))
    tree = first_tree(trees)
    # The root is its own child on both sides: whoever walks down arrives there again
    tree["left_children"][0] = tree["right_children"][0] = 0
    began = time.monotonic()
    caught = refusal(with_trees(folder, trees), seconds=3.0)
    # The library recurses until its stack is full, or walks until it is stopped
    assert caught.reason in {Refusal.CRASHED, Refusal.TIMEOUT, Refusal.FORMAT}
    assert time.monotonic() - began < 15.0


def test_a_tree_that_leads_out_of_memory_ends_the_child_alone(folder: Path) -> None:
    trees = json.loads(bytes(boosted().save_raw("json")))
    tree = first_tree(trees)
    tree["left_children"][0] = tree["right_children"][0] = 1_900_000_000
    assert refusal(with_trees(folder, trees)).reason in {Refusal.CRASHED, Refusal.FORMAT}


def test_a_child_has_no_more_memory_than_it_is_given(folder: Path) -> None:
    assert refusal(folder, memory_mib=64).reason in {Refusal.MEMORY, Refusal.CRASHED, Refusal.FORMAT}


def test_a_proof_that_takes_too_long_is_given_up(folder: Path) -> None:
    assert refusal(folder, seconds=0.01).reason is Refusal.TIMEOUT


def test_a_child_that_stands_still_is_ended_in_time(folder: Path) -> None:
    files = read_propensity(folder, trusted=TRUST)
    with Prover(seconds=60.0) as prover:
        prover.prove(files)
        child = prover._child
        assert child is not None
        os.kill(child.pid, signal.SIGSTOP)
        began, prover._seconds = time.monotonic(), 1.0
        with pytest.raises(BundleRefused) as caught:
            prover.prove(files)
        assert caught.value.reason is Refusal.TIMEOUT
        assert time.monotonic() - began < 10.0
        assert child.returncode == -signal.SIGKILL
        prover._seconds = 60.0
        assert prover.prove(files).digest == files.manifest.digest


def test_a_folder_under_another_name_is_refused(folder: Path) -> None:
    assert refusal(folder.rename(folder.parent / "0123456789ab")).reason is Refusal.DIGEST


def test_another_version_than_asked_for_is_refused(folder: Path) -> None:
    with pytest.raises(BundleRefused) as caught:
        open_proved_propensity(folder, TRUST, digest="0" * 64)
    assert caught.value.reason is Refusal.DIGEST


def test_no_child_is_started_for_what_nobody_signed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "signature.json").unlink()
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    assert refusal(folder).reason is Refusal.UNSIGNED


def test_a_prover_goes_on_after_a_child_that_died(folder: Path) -> None:
    sound = read_propensity(folder, trusted=TRUST)
    trees = json.loads(bytes(boosted().save_raw("json")))
    first_tree(trees)["left_children"][0] = 1_900_000_000
    harmful = read_propensity(with_trees(folder, trees), trusted=TRUST)
    with Prover() as prover:
        for _ in range(2):
            assert prover.prove(sound).digest == sound.manifest.digest
            with pytest.raises(BundleRefused):
                prover.prove(harmful)


def test_a_child_knows_no_secret_of_its_parents(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOMENT_VAULT_KEY", "s3cret")
    with Prover() as prover:
        prover.prove(read_propensity(folder, trusted=TRUST))
        child = prover._child
        assert child is not None
        told = Path(f"/proc/{child.pid}/environ")
        if told.exists():
            assert b"s3cret" not in told.read_bytes()
            assert os.getsid(child.pid) == child.pid


def test_a_child_ends_with_its_parent(tmp_path: Path, folder: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from serving.bundles.proving import Prover;"
        "from serving.bundles.propensity import read_propensity;"
        f"p = Prover(); p.prove(read_propensity(Path({str(folder)!r})));"
        "print(p._child.pid, flush=True); import os; os._exit(0)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    until = time.monotonic() + 10.0
    while _lives(int(said.stdout)):
        assert time.monotonic() < until
        time.sleep(0.05)


def _lives(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_what_is_known_can_be_vouched_for_and_what_is_damaged_cannot(tmp_path: Path) -> None:
    """A home from before bundles were signed: `moment models sign` does this."""
    folder = write_propensity(tmp_path, content(Kind.LOGISTIC), ABOUT)
    vouch(folder, KEY)
    assert verify_signature(folder, read_manifest(folder), TRUST) == "trainer"
    (folder / "signature.json").unlink()
    (folder / "model.json").write_bytes(b"{}")
    with pytest.raises(BundleRefused):
        vouch(folder, KEY)
    assert not (folder / "signature.json").exists()


def test_trees_are_read_without_scikit_learn_alike(folder: Path) -> None:
    """The child leaves scikit-learn out to start sooner; here it is there."""
    assert "sklearn" in sys.modules
    opened = open_proved_propensity(folder, TRUST)
    matrix = rows(50, seed=9)
    again = boosted().inplace_predict(matrix, predict_type="margin", validate_features=False)
    assert (opened.model.margins(matrix) == again).all()
