"""The gates of real pipelines: what good data give, what damaged data give, and where it is told."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest

from moment.home import Home
from serving.bundles import Kind, PropensityBundle, current, open_current_segmentation, open_segmentation
from serving.lifecycle import GateVerdict, Verdict
from tests.integration.training.conftest import Again, Trained
from tests.integration.training.test_pipelines import client
from training.pipelines.propensity import fitting, judging, pipeline
from training.pipelines.propensity.fitting import Part
from training.pipelines.propensity.settings import PropensitySettings
from training.pipelines.propensity.training_set import TrainingSet
from training.pipelines.segmentation import pipeline as segmentation

ASKED = {
    "auc.closed",
    "auc.observed",
    "calibration_slope.observed",
    "brier.observed",
    "against_champion.auc",
    "against_champion.log_loss",
    "against_champion.brier",
    "score_stability",
    "feature_stability",
    "seed_variance.propensity",
    "seed_variance.auc",
    "segments.calibration",
    "segments.covered",
    "monotone",
    "scoring_time",
    "bundle_size",
}


def by_name(gates: tuple[GateVerdict, ...]) -> Mapping[str, GateVerdict]:
    return {one.gate: one for one in gates}


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A home for bundles of experiments."""
    root = tmp_path_factory.mktemp("judged")
    return Home(root=root, mlruns=root / "mlruns")


def judged(
    home: Home,
    data: TrainingSet,
    settings: PropensitySettings,
    parts: tuple[Part, Part],
    champion: Path | None = None,
) -> Mapping[str, GateVerdict]:
    """Fit the logistic contender alone and ask every gate."""
    train, test = parts
    contender = fitting._contenders(settings)[Kind.LOGISTIC]
    fitted = {Kind.LOGISTIC: fitting.fitted_on(contender, train)}
    measured = fitting.measure(fitted, fitting.choose(train, fitted, settings), test, settings)
    bundle: PropensityBundle = pipeline._bundle(home, data, measured, settings, run_id="")
    return by_name(judging.judge(judging.Case(data, train, measured, bundle, champion), settings).gates)


def relabelled(part: Part, seed: int) -> Part:
    rng = np.random.default_rng(seed)
    shuffled = part.rows.assign(answered=rng.permutation(part.rows["answered"].to_numpy()))
    return replace(part, rows=shuffled)


def scaled(part: Part, column: str) -> Part:
    return replace(
        part, frame=part.frame.assign(**{column: part.frame[column].mul(1000.0).astype("float32")})
    )


def test_every_gate_is_asked_and_has_its_number(trained: Trained) -> None:
    found = by_name(trained.propensity.gates)
    assert set(found) >= ASKED
    excused = {name for name in ASKED if name.startswith("against_champion")}
    assert {found[name].note for name in excused} == {"no champion to compare with"}
    for name, one in found.items():
        assert (one.value is None) == (name in excused), name
    assert trained.propensity.champion == ""
    assert found["monotone"].verdict is found["bundle_size"].verdict is Verdict.PASS
    assert "there is no current segmentation" in found["segments.covered"].note
    assert not any(name.startswith("persona") for name in trained.propensity.by_segment)


def test_personas_have_gates_of_their_own(trained: Trained) -> None:
    found = by_name(trained.segmentation.gates)
    assert set(found) == {
        "stability",
        "stayed",
        "smallest_persona",
        "coverage",
        "seed_variance",
        "against_champion.agreement",
        "scoring_time",
        "bundle_size",
    }
    assert all(one.value is not None for name, one in found.items() if name != "against_champion.agreement")
    assert found["coverage"].verdict is Verdict.PASS


def test_a_second_run_is_compared_with_the_champion_and_leaves_what_serves_alone(trained: Trained) -> None:
    champion = current(trained.home.bundles, "segmentation")
    fewer = msgspec.structs.replace(trained.segments, clusters=(3,), seed=5)
    result = segmentation.train(trained.home, fewer, champion=champion, adopt=False)
    found = by_name(result.gates)["against_champion.agreement"]
    assert found.value is not None
    assert found.low is not None
    assert found.note == f"champion {champion.name} has {len(open_segmentation(champion).personas)} personas"
    assert result.champion == champion.name
    assert current(trained.home.bundles, "segmentation") == champion


@pytest.mark.long_form
def test_segments_are_the_current_personas_where_there_are_any(
    data: TrainingSet, trained: Trained, again: Again, elsewhere: Home
) -> None:
    measured = again.measured(trained.settings, Kind.LOGISTIC)
    bundle = pipeline._bundle(elsewhere, data, measured, trained.settings, run_id="")
    personas = open_current_segmentation(trained.home.bundles)
    case = judging.Case(data, again.train, measured, bundle, None, personas)
    found, note = judging._segments(case, trained.settings)
    named = {name.removeprefix("persona: ") for name in found if name.startswith("persona: ")}
    assert named <= {persona.name for persona in personas.personas} | {"(nothing known)"}
    assert len(named) > 1
    assert personas.version in note


@pytest.mark.long_form
def test_a_model_with_shuffled_answers_fails_against_the_champion_and_by_itself(
    data: TrainingSet, trained: Trained, again: Again, elsewhere: Home
) -> None:
    champion = current(trained.home.bundles, "propensity")
    damaged = (relabelled(again.train, 1), again.test)
    found = judged(elsewhere, data, trained.settings, damaged, champion)
    for name in ("auc.closed", "top_decile_lift.closed", "against_champion.auc"):
        assert found[name].verdict is Verdict.FAIL, found[name]
    assert found["against_champion.auc"].high is not None
    assert found["against_champion.auc"].high < -0.05
    assert champion.name in found["against_champion.auc"].title


@pytest.mark.long_form
def test_a_feature_in_another_unit_fails_and_is_named(
    data: TrainingSet, trained: Trained, again: Again, elsewhere: Home
) -> None:
    damaged = (again.train, scaled(again.test, "spend_90d"))
    found = judged(elsewhere, data, trained.settings, damaged)["feature_stability"]
    assert found.verdict is Verdict.FAIL
    assert found.note.startswith("worst: spend_90d")
    assert found.low is not None
    assert found.low > 1.0


def test_a_champion_of_other_columns_cannot_be_compared_with(
    data: TrainingSet, trained: Trained, again: Again, elsewhere: Home
) -> None:
    champion = current(trained.home.bundles, "propensity")
    narrower = replace(again.test, frame=again.test.frame.drop(columns="spend_90d"))
    measured = again.measured(trained.settings, Kind.LOGISTIC)
    bundle = pipeline._bundle(elsewhere, data, measured, trained.settings, run_id="")
    case = judging.Case(data, again.train, replace(measured, test=narrower), bundle, champion)
    found = judging._against_champion(case, judging._champion(case), trained.settings)
    assert {one.verdict for one in found} == {Verdict.FAIL}
    assert {one.note for one in found} == {
        f"the champion {champion.name} reads spend_90d, which these rows lack"
    }


def test_gates_are_told_in_reports_cards_and_mlflow(trained: Trained) -> None:
    for name, result in (("propensity", trained.propensity), ("segmentation", trained.segmentation)):
        card = (trained.home.reports / f"{name}.md").read_text()
        assert "## Gates" in card
        report = json.loads((trained.home.reports / f"{name}.json").read_text())
        assert {one["gate"] for one in report["gates"]} == {one.gate for one in result.gates}
        for one in result.gates:
            assert f"| `{one.gate}` |" in card
        run = client(trained.home).get_run(result.run_id)
        assert run.data.tags["moment.champion"] == "none"
        assert run.data.tags["moment.gates"] in ("pass", "fail", "inconclusive")
        assert "gate bundle_size" in run.data.metrics
        plots = {item.path for item in client(trained.home).list_artifacts(result.run_id, "plots")}
        assert "plots/gates.png" in plots
    assert "## Most moved features" in (trained.home.reports / "propensity.md").read_text()
