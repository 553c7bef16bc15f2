"""What records cite is found by its digest, and opened only when it is still what it was."""

from __future__ import annotations

from pathlib import Path

import pytest

from serving.adapters.model_archive import BundleArchive
from serving.bundles import BundleKey, BundleRefused, Kind, Refusal, Trust, read_manifest, sign_bundle
from serving.bundles import write_propensity as write
from tests.unit.serving.bundle_kit import ABOUT, CONTRACT, content, policy, segmentation

KEY = BundleKey.new()
TRUST = Trust({KEY.public_key: "trainer"})


@pytest.fixture
def folders(tmp_path: Path) -> dict[str, Path]:
    made = {
        "propensity": write(tmp_path, content(Kind.LOGISTIC), ABOUT),
        "segmentation": segmentation(tmp_path),
        "next-best-action": policy(tmp_path),
    }
    for folder in made.values():
        sign_bundle(folder, KEY)
    return made


def digest(folder: Path) -> str:
    return read_manifest(folder).digest


def test_models_of_all_three_kinds_are_found(folders: dict[str, Path], tmp_path: Path) -> None:
    archive = BundleArchive(tmp_path, TRUST)
    assert archive.contract(digest(folders["propensity"])) == CONTRACT
    scorer = archive.scorer(digest(folders["propensity"]), ())
    segmenter = archive.segmenter(digest(folders["segmentation"]))
    found = archive.policy(digest(folders["next-best-action"]))
    assert scorer is not None
    assert scorer.version == digest(folders["propensity"])
    assert segmenter is not None
    assert segmenter.version == digest(folders["segmentation"])
    assert found is not None
    assert found.folder == folders["next-best-action"]


@pytest.mark.parametrize("digest", ["", "../../elsewhere", "0" * 64, "0" * 12])
def test_what_is_not_kept_is_not_found(tmp_path: Path, digest: str) -> None:
    archive = BundleArchive(tmp_path, TRUST)
    assert (archive.policy(digest), archive.contract(digest), archive.segmenter(digest)) == (None,) * 3


def test_another_digest_with_the_same_beginning_is_refused(folders: dict[str, Path], tmp_path: Path) -> None:
    other = digest(folders["next-best-action"])[:12] + "0" * 52
    with pytest.raises(BundleRefused) as caught:
        BundleArchive(tmp_path, TRUST).policy(other)
    assert caught.value.reason is Refusal.DIGEST


def test_a_home_from_before_asks_for_no_signature_and_any_other_does(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    folder = folders["next-best-action"]
    (folder / "signature.json").unlink()
    assert BundleArchive(tmp_path).policy(digest(folder)) is not None
    with pytest.raises(BundleRefused, match=f"moment models sign next-best-action {folder.name}"):
        BundleArchive(tmp_path, TRUST).policy(digest(folder))
