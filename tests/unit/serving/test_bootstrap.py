from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from moment.errors import ConfigurationError, DependencyError, StepMissing
from moment.home import Home
from serving.adapters.catalogue_files import CatalogueFiles
from serving.bootstrap import LateOffice, load_catalogue
from serving.settings import Settings
from tests.service.kit import CATALOGUE, CONTRACT, catalogue


def test_an_office_that_cannot_open_yet_says_why_and_knows_its_keys(tmp_path: Path) -> None:
    office = LateOffice(Home(tmp_path / "home", tmp_path / "mlruns"), Settings())
    with pytest.raises(DependencyError, match="still opening"):
        office.desk()
    office.open()
    with pytest.raises(StepMissing, match="moment train segmentation"):
        office.desk()
    assert office.keys.all() == ()
    office.close()


def test_without_a_database_there_are_no_keys(tmp_path: Path) -> None:
    home = Home(tmp_path / "home", tmp_path / "mlruns")
    home.root.mkdir()
    home.database.write_bytes(b"not a database" * 100)
    with pytest.raises(DependencyError, match="cannot be opened"):
        LateOffice(home, Settings()).keys.all()
    with pytest.raises(sqlite3.DatabaseError):
        sqlite3.connect(home.database).execute("SELECT 1 FROM sqlite_master")


def test_a_catalogue_that_reads_what_no_feature_computes_is_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "shop.yaml"
    declared = "\ncustomer:\n  credit_ok: {type: bool, meaning: The credit check passed}\n"
    path.write_text(CATALOGUE.replace("spend >= 10", "credit_ok") + declared, encoding="utf-8")
    with pytest.raises(ConfigurationError) as refused:
        load_catalogue(Settings(catalogue=path), CONTRACT)
    assert str(refused.value) == (
        "shop.yaml reads credit_ok of the customer, which the features do not have: define them as features, "
        "or name another catalogue with MOMENT_CATALOGUE"
    )
    path.write_text(CATALOGUE + declared, encoding="utf-8")
    assert load_catalogue(Settings(catalogue=path), CONTRACT).name == "corner shop"


def test_a_catalogue_is_kept_and_found_by_its_digest(tmp_path: Path) -> None:
    source = tmp_path / "shop.yaml"
    source.write_text(CATALOGUE, encoding="utf-8")
    CatalogueFiles(tmp_path / "kept").keep(source, catalogue())
    source.unlink()
    found = CatalogueFiles(tmp_path / "kept").find(catalogue().digest)
    assert found is not None
    assert found.digest == catalogue().digest
    assert found.candidates == catalogue().candidates
    assert CatalogueFiles(tmp_path / "kept").find("0" * 64) is None
    assert CatalogueFiles(tmp_path / "kept").find("../shop") is None


def test_a_kept_catalogue_that_was_changed_is_refused(tmp_path: Path) -> None:
    source = tmp_path / "shop.yaml"
    source.write_text(CATALOGUE, encoding="utf-8")
    CatalogueFiles(tmp_path / "kept").keep(source, catalogue())
    (kept,) = (tmp_path / "kept").iterdir()
    kept.write_text(kept.read_text().replace("value: 5.0", "value: 6.0"))
    with pytest.raises(DependencyError, match="was changed"):
        CatalogueFiles(tmp_path / "kept").find(catalogue().digest)
