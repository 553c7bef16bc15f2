"""300 bundles that are not what they say: each is refused by name, or answers as the one it was made of.

None ends the process that opens it, none is waited for beyond its limit, none scores differently unseen.
``MOMENT_RELIABILITY=full`` makes it 3,000, and 1,000 more files of trees alone.
"""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from serving.bundles import (
    BundleKey,
    BundleRefused,
    Kind,
    PolicyBundle,
    PropensityBundle,
    PropensityContent,
    Refusal,
    SegmentationBundle,
    Trust,
    read_manifest,
    sign_bundle,
    write_propensity,
)
from serving.bundles.manifest import BundleFiles
from serving.bundles.policy import policy_of, read_policy
from serving.bundles.policy_answers import Answer, Answers, answer, questions_for
from serving.bundles.propensity import propensity_of, read_propensity
from serving.bundles.proving import Prover
from serving.bundles.segmentation import read_segmentation, segmentation_of
from serving.catalogue.loader import load
from tests.reliability.mutations import Care, Mutant, Specimen, mutants
from tests.unit.serving.bundle_kit import (
    ABOUT,
    CALIBRATION,
    CONTRACT,
    LAYOUT,
    LEVELS,
    LIBRARIES,
    boosted,
    content,
    golden,
    policy,
    rows,
    segmentation,
)

FULL = os.environ.get("MOMENT_RELIABILITY") == "full"
COUNT = 3_000 if FULL else 300
TREES = 1_000 if FULL else 60
SECONDS = 10.0
ROWS = 200

KEY = BundleKey.new()
TRUST = Trust({KEY.public_key: "trainer"})

READ: Mapping[str, Callable[..., BundleFiles]] = {
    "propensity": read_propensity,
    "segmentation": read_segmentation,
    "next-best-action": read_policy,
}


@pytest.fixture(scope="module")
def specimens(tmp_path_factory: pytest.TempPathFactory) -> list[Specimen]:
    """Two bundles of trees, two of weights, a base rate, two segmentations and two policies, all signed."""
    one, two = (tmp_path_factory.mktemp(name) for name in ("one", "two"))
    made = [
        Specimen("trees", "propensity", trees(one, seed=0)),
        Specimen("weights", "propensity", write_propensity(one, content(Kind.LOGISTIC), ABOUT)),
        Specimen("personas", "segmentation", segmentation(one)),
        Specimen("trees", "propensity", trees(two, seed=5)),
        Specimen("policy", "next-best-action", policy(one)),
        Specimen("base rate", "propensity", write_propensity(one, content(Kind.PRIOR), ABOUT)),
    ]
    for specimen in made:
        sign_bundle(specimen.folder, KEY)
    return made


def trees(bundles: Path, *, seed: int) -> Path:
    """Write more trees than 64 golden rows could tell every leaf of."""
    model = bytes(boosted(seed, rounds=60).save_raw("ubj"))
    kept = PropensityContent(Kind.XGBOOST, model, LAYOUT, CONTRACT, CALIBRATION, golden(), LIBRARIES)
    return write_propensity(bundles, kept, ABOUT)


@dataclass
class Told:
    """What became of the mutants."""

    refused: Counter[str] = field(default_factory=Counter)
    messages: list[str] = field(default_factory=list)
    alike: int = 0

    @property
    def total(self) -> int:
        return self.refused.total() + self.alike


def offer(mutant: Mutant, prover: Prover, told: Told) -> None:
    """Open a mutant as serving does; what opens must answer as its specimen."""
    began = time.monotonic()
    try:
        files = READ[mutant.of.model](mutant.folder, trusted=TRUST)
        opened = parsed(prover.prove(files).files, proved=True)
    except BundleRefused as refusal:
        told.refused[refusal.reason] += 1
        told.messages.append(str(refusal))
    else:
        assert mutant.care is Care.TRUSTED or mutant.how == "broken manifest", mutant
        assert_alike(mutant, opened)
        told.alike += 1
    assert time.monotonic() - began < SECONDS + 5.0, mutant


def parsed(
    files: BundleFiles, *, proved: bool = False
) -> PropensityBundle | SegmentationBundle | PolicyBundle:
    match files.manifest.model:
        case "propensity":
            return propensity_of(files, proved=proved)
        case "segmentation":
            return segmentation_of(files)
        case _:
            return policy_of(files)


def assert_alike(mutant: Mutant, opened: PropensityBundle | SegmentationBundle | PolicyBundle) -> None:
    original = parsed(READ[mutant.of.model](mutant.of.folder))
    match original, opened:
        case PropensityBundle(), PropensityBundle():
            assert np.array_equal(scores(original), scores(opened)), mutant
            assert (original.layout, original.contract) == (opened.layout, opened.contract), mutant
        case SegmentationBundle(), SegmentationBundle():
            assert places(original) == places(opened), mutant
            assert (original.personas, original.contract) == (opened.personas, opened.contract), mutant
        case PolicyBundle(), PolicyBundle():
            assert answers(original) == answers(opened), mutant
        case _:
            raise AssertionError(mutant)


def scores(bundle: PropensityBundle) -> NDArray[np.float64]:
    """Score the golden rows and 200 more, of known and of new groups and actions."""
    matrix = np.concatenate([golden().matrix, rows(ROWS, seed=99)])
    groups = [("GROCERY", "DELI", "NEW")[place % 3] for place in range(len(matrix))]
    actions = [("coupon-tea", "coupon-ham", "coupon-new", "x")[place % 4] for place in range(len(matrix))]
    scored = bundle.score(matrix, groups, actions)
    return np.stack([scored.raw, scored.calibrated])


def places(bundle: SegmentationBundle) -> list[object]:
    """Assign 200 customers, some of whom little is known."""
    rng = np.random.default_rng(99)
    spends = [None if rng.random() < 0.2 else float(rng.gamma(2.0, 40.0)) for _ in range(ROWS)]
    sizes = [None if rng.random() < 0.2 else str(rng.choice(LEVELS)) for _ in range(ROWS)]
    return [bundle.assign({"spend": spend, "size": size}) for spend, size in zip(spends, sizes, strict=True)]


def answers(bundle: PolicyBundle) -> list[Answer]:
    """Ask some 200 requests that are not in the bundle."""
    asked = [
        question
        for seed in range(13)
        for question in questions_for(bundle.catalogue, bundle.columns, seed=seed)
    ]
    return [answer(bundle.catalogue, question) for question in asked[:ROWS]]


@pytest.mark.timeout(1800 if FULL else 300)
def test_no_mutated_bundle_ends_the_parent_or_scores_differently_unseen(
    specimens: list[Specimen], tmp_path: Path
) -> None:
    told = Told()
    with Prover(seconds=SECONDS) as prover:
        for mutant in mutants(specimens, tmp_path, count=COUNT, seed=2026, trusted=KEY):
            offer(mutant, prover, told)

    assert told.total == COUNT
    # Whatever a forger leaves undone has its own name; what the parser finds, too
    assert set(told.refused) >= {
        Refusal.DIGEST,
        Refusal.UNSIGNED,
        Refusal.SIGNATURE,
        Refusal.UNTRUSTED,
        Refusal.FORMAT,
        Refusal.GOLDEN,
    }
    assert not [message for message in told.messages if "\n" in message]


@pytest.mark.timeout(1800 if FULL else 300)
def test_files_of_trees_that_reach_the_parser_end_a_child_at_most(
    specimens: list[Specimen], tmp_path: Path
) -> None:
    """A trusted key signed what a bad disk made of the trees: what stands between is the child."""
    boosters = [one for one in specimens if one.name == "trees"]
    told = Told()
    with Prover(seconds=SECONDS) as prover:
        made = mutants(boosters, tmp_path, count=8 * TREES, seed=7, trusted=KEY, model_file_share=1.0)
        reaching = (one for one in made if one.care is Care.TRUSTED and one.how.endswith("model.ubj"))
        for _, mutant in zip(range(TREES), reaching, strict=False):
            offer(mutant, prover, told)

    assert told.total == TREES
    assert told.refused[Refusal.CRASHED] > 0
    assert told.refused[Refusal.GOLDEN] > 0


def test_every_specimen_passes_unchanged(specimens: list[Specimen]) -> None:
    with Prover(seconds=SECONDS) as prover:
        for specimen in specimens:
            files = READ[specimen.model](specimen.folder, trusted=TRUST)
            assert prover.prove(files).digest == read_manifest(specimen.folder).digest


def test_the_answers_compared_tell_policies_apart(tmp_path: Path) -> None:
    """Another value of one action is seen by the requests that are compared: they could tell."""
    from tests.unit.serving.bundle_kit import CATALOGUE, COLUMNS

    changed = tmp_path / "catalogue.yaml"
    changed.write_text(CATALOGUE.read_text().replace("value: ", "value: 1"))
    one, two = load(CATALOGUE, COLUMNS), load(changed, COLUMNS)
    asked = questions_for(one, COLUMNS, seed=3)
    assert [answer(one, question) for question in asked] != [answer(two, question) for question in asked]
    folder = policy(tmp_path)
    kept = json.loads((folder / "answers.json").read_text())
    assert len(kept["questions"]) == len(Answers(**kept).answers)
