"""A policy's bundle is made again of its own text; one that was changed says so."""

from __future__ import annotations

from pathlib import Path

import pytest

from moment.home import Home
from serving.bundles import read_manifest
from tests.unit.serving.bundle_kit import policy
from training.reproduce import reproduce


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home", tmp_path / "mlruns")


def test_a_policy_made_again_of_its_catalogue_is_the_same(home: Home) -> None:
    folder = policy(home.bundles)
    found = reproduce(home, folder)
    assert found.same
    assert found.digest == found.expected == read_manifest(folder).digest
    assert found.differences == ()


def test_a_changed_catalogue_is_named_and_nothing_is_made_of_it(home: Home) -> None:
    folder = policy(home.bundles)
    file = folder / "catalogue.yaml"
    file.write_text(file.read_text() + "# one more line\n")
    found = reproduce(home, folder)
    assert (found.same, found.digest) == (False, "")
    assert found.differences == (
        "catalogue.yaml of the bundle is damaged: it is not the file its manifest states",
    )
