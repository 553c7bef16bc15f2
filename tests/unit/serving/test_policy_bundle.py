"""A decision policy as a bundle: the whole catalogue, its golden decisions, and how it answers."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

import serving.catalogue
from moment.errors import ConfigurationError, StepMissing
from serving.bundles import (
    BundleRefused,
    Refusal,
    make_current,
    open_current_policy,
    open_policy,
    write_policy,
)
from serving.bundles.policy_answers import Answers, answer, questions_for
from serving.catalogue import load
from tests.unit.serving.bundle_kit import ABOUT, CATALOGUE, COLUMNS, GOLDEN_DECISIONS, policy, restate

EXAMPLES = Path(serving.catalogue.__file__).parent / "examples"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return policy(tmp_path)


def refusal(folder: Path) -> Refusal:
    restate(folder)
    with pytest.raises(BundleRefused) as caught:
        open_policy(folder)
    assert "\n" not in str(caught.value)
    assert "moment catalogue submit" in str(caught.value) or caught.value.reason is Refusal.GOLDEN
    return caught.value.reason


def test_a_policy_opens_as_the_catalogue_it_was_written_from(folder: Path) -> None:
    opened, loaded = open_policy(folder), load(CATALOGUE, COLUMNS)
    assert opened.catalogue.digest == loaded.digest
    assert opened.source == CATALOGUE.read_bytes()
    assert opened.golden == GOLDEN_DECISIONS
    assert opened.version == folder.name
    assert (opened.manifest.model, opened.manifest.about) == ("next-best-action", ABOUT)
    assert set(opened.columns) <= set(COLUMNS)


def test_the_current_policy_is_the_one_the_pointer_names(folder: Path) -> None:
    bundles = folder.parent.parent
    with pytest.raises(StepMissing):
        open_current_policy(bundles)
    make_current(folder)
    assert open_current_policy(bundles).version == folder.name


def test_the_same_catalogue_is_the_same_version_and_a_lever_makes_another(tmp_path: Path) -> None:
    first = policy(tmp_path)
    assert policy(tmp_path) == first
    changed = tmp_path / "catalogue.yaml"
    changed.write_text(CATALOGUE.read_text().replace("value: 1.69", "value: 1.7", 1))
    assert changed.read_bytes() != CATALOGUE.read_bytes()
    assert policy(tmp_path, changed) != first


def test_a_feature_no_rule_reads_makes_no_other_version(tmp_path: Path, folder: Path) -> None:
    columns = {**COLUMNS, "shoe_size": COLUMNS["household_size"]}
    again = write_policy(
        folder.parents[1], CATALOGUE, load(CATALOGUE, columns), columns, golden=GOLDEN_DECISIONS, about=ABOUT
    )
    assert again == folder


@pytest.mark.parametrize("name", ["groceries", "bank"])
def test_the_packaged_catalogues_answer_every_channel_and_open_again(tmp_path: Path, name: str) -> None:
    source = EXAMPLES / f"{name}.yaml"
    columns = COLUMNS if name == "groceries" else {}
    catalogue = load(source, columns)
    folder = write_policy(tmp_path, source, catalogue, columns, about=ABOUT)
    assert open_policy(folder).catalogue.digest == catalogue.digest
    kept = msgspec.json.decode((folder / "answers.json").read_bytes(), type=Answers)
    assert {question.channel for question in kept.questions} == set(catalogue.channels)
    kinds = {one.kind for given in kept.answers for offers in given.offers.values() for one in offers}
    assert "arbitrated" in kinds


def test_the_bank_declares_its_own_columns_and_the_bundle_keeps_them(tmp_path: Path) -> None:
    source = EXAMPLES / "bank.yaml"
    opened = open_policy(write_policy(tmp_path, source, load(source, {}), {}, about=ABOUT))
    assert "vulnerable" in opened.columns
    offered = [answer(opened.catalogue, one) for one in questions_for(opened.catalogue, opened.columns)]
    assert len({str(one) for one in offered}) > len(opened.catalogue.channels)


def test_an_answer_that_comes_out_otherwise_is_refused(folder: Path) -> None:
    kept = json.loads((folder / "answers.json").read_text())
    first = next(one for given in kept["answers"] for offers in given["offers"].values() for one in offers)
    first["probability"] -= 1e-6
    (folder / "answers.json").write_text(json.dumps(kept))
    assert refusal(folder) is Refusal.GOLDEN


def test_another_value_in_the_text_is_refused_though_no_fixed_request_shows_it(folder: Path) -> None:
    text = (folder / "catalogue.yaml").read_text()
    assert "currency: USD" in text
    (folder / "catalogue.yaml").write_text(text.replace("currency: USD", "currency: EUR"))
    assert refusal(folder) is Refusal.GOLDEN


def test_another_type_of_a_column_is_refused(folder: Path) -> None:
    columns = json.loads((folder / "columns.json").read_text())
    name = next(name for name, column in columns.items() if column["type"] == "float64")
    columns[name]["type"] = "int64"
    (folder / "columns.json").write_text(json.dumps(columns))
    assert refusal(folder) in {Refusal.GOLDEN, Refusal.FORMAT}


@pytest.mark.parametrize(
    "text", ["", "a: [", "actions: 3\n", "\x00\x01", "a: 2026-99-99\n", "x: &a [*a]\n", "\u2028"]
)
def test_what_is_no_catalogue_is_refused(folder: Path, text: str) -> None:
    (folder / "catalogue.yaml").write_text(text)
    assert refusal(folder) is Refusal.FORMAT


def test_a_comment_changes_the_version_and_no_answer(folder: Path) -> None:
    with (folder / "catalogue.yaml").open("a") as file:
        file.write("# a comment\n")
    restate(folder)
    assert open_policy(folder).version != folder.name


def test_a_file_that_changed_while_it_was_submitted_is_not_bundled(tmp_path: Path) -> None:
    loaded = load(CATALOGUE, COLUMNS)
    changed = tmp_path / "catalogue.yaml"
    changed.write_text(CATALOGUE.read_text().replace("currency: USD", "currency: EUR"))
    with pytest.raises(ConfigurationError, match="submit it again"):
        write_policy(tmp_path / "bundles", changed, loaded, COLUMNS, about=ABOUT)


def test_no_answers_at_all_are_refused(folder: Path) -> None:
    kept = json.loads((folder / "answers.json").read_text())
    kept["questions"] = kept["answers"] = []
    (folder / "answers.json").write_text(json.dumps(kept))
    assert refusal(folder) is Refusal.GOLDEN
