"""Every gate against a truth that is known: what passes, what fails, and what it says."""

from __future__ import annotations

import time
from pathlib import Path

import msgspec
import numpy as np
import pandas as pd
import pytest
import yaml
from numpy.typing import NDArray

from moment.errors import ConfigurationError
from serving.lifecycle import Actor, GateVerdict, Verdict, overall
from training.evaluation.intervals import MetricInterval
from training.evaluation.ratios import SegmentRatio
from training.evaluation.report import Evaluation, Metric
from training.gates import Bounds, check_names, excused, gate_metrics, gate_tags, missing, verdict
from training.gates.cost import TimeGate, bundle_size, scoring_time
from training.gates.figures import (
    Champion,
    ChampionGates,
    FigureGate,
    Margin,
    Scored,
    against_champion,
    of_figures,
    score_champion,
)
from training.gates.monotone import MonotoneGate, monotone
from training.gates.seeds import SeedAgreement, SeedVariance, seed_agreement, seed_variance
from training.gates.segments import SegmentGates, by_segment, judge_segments
from training.gates.stability import (
    Expected,
    FeatureStability,
    ScoreStability,
    feature_drift,
    feature_stability,
    score_stability,
)
from training.models.linear import RegularizedLogistic
from training.pipelines.configuration import read_config
from training.pipelines.propensity import settings as propensity
from training.pipelines.propensity.settings import PropensitySettings
from training.plots import drift_plot, gates_plot
from training.reports import gates_table

NAN = float("nan")
FloatArray = NDArray[np.float64]


def scored(rows: int = 4000, *, seed: int = 0, times: float = 1.0) -> Scored:
    """Rows whose propensities are right; ``times`` more answers than they say."""
    rng = np.random.default_rng(seed)
    p = 1.0 / (1.0 + np.exp(3.0 - 1.5 * rng.normal(size=rows)))
    y = (rng.random(rows) < np.clip(times * p, 0, 1)).astype(np.int8)
    customers = np.array([f"customer {row // 4}" for row in range(rows)], dtype=object)
    return Scored(y, p, customers)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0.82, 0.86, Verdict.PASS), (0.70, 0.78, Verdict.FAIL), (0.78, 0.84, Verdict.INCONCLUSIVE)],
)
def test_a_gate_looks_at_the_whole_interval(low: float, high: float, expected: Verdict) -> None:
    gate = FigureGate(metric=Metric.AUC, slice="closed", at_least=0.80)
    figures = {"closed": Evaluation(100, 10, 50, {Metric.AUC: MetricInterval(0.8, low, high)})}
    (found,) = of_figures([gate], figures, {"closed": "closed windows"})
    assert found.verdict is expected
    assert (found.gate, found.title) == ("auc.closed", "AUC, closed windows, at least 0.8")
    assert (found.low, found.high, found.at_least) == (low, high, 0.80)


def test_a_missing_number_fails_and_says_why() -> None:
    figures = {"closed": Evaluation(100, 10, 50, {Metric.AUC: MetricInterval(0.9, NAN, NAN)})}
    asked = [
        FigureGate(metric=Metric.BRIER, slice="closed", at_most=1.0),
        FigureGate(metric=Metric.AUC, slice="nowhere", at_least=0.0),
        FigureGate(metric=Metric.AUC, slice="closed", at_least=0.0),
    ]
    found = of_figures(asked, figures, {})
    assert {one.verdict for one in found} == {Verdict.FAIL}
    assert "no such figure on a slice 'nowhere'" in found[1].note
    assert "too few rows of one kind for an interval" in found[2].note
    assert missing("a", "A", Bounds(), "it is gone").note == "it is gone"
    assert verdict("a", "A", NAN, Bounds()).value is None


def test_a_number_without_bounds_is_told_and_a_name_is_one_gates() -> None:
    told = verdict("agreement", "Agreement", 0.2, Bounds())
    assert (told.verdict, told.title) == (Verdict.PASS, "Agreement, told, not judged")
    with pytest.raises(ConfigurationError, match="gates: agreement"):
        check_names([told, told])


CHAMPION_GATES = ChampionGates(
    slice="closed",
    margins=(Margin(metric=Metric.AUC, at_least=-0.02), Margin(metric=Metric.LOG_LOSS, at_most=0.001)),
)


def compared(champion: Champion | None, mask: bool = True) -> list[GateVerdict]:
    ours = scored()
    rows = np.ones(len(ours.answered), dtype=bool) if mask else None
    return against_champion(CHAMPION_GATES, ours, champion, mask=rows, replicates=200, seed=0)


def test_a_first_model_cannot_be_worse_than_none() -> None:
    found = compared(None)
    assert [one.gate for one in found] == ["against_champion.auc", "against_champion.log_loss"]
    assert {(one.verdict, one.note) for one in found} == {(Verdict.PASS, "no champion to compare with")}


def test_a_champion_that_cannot_be_asked_fails_with_its_reason() -> None:
    found = compared(Champion("0123", None, "the champion 0123 reads spend, which these rows lack"))
    assert {(one.verdict, one.note) for one in found} == {
        (Verdict.FAIL, "the champion 0123 reads spend, which these rows lack")
    }
    assert {one.note for one in compared(Champion("0123", scored().probability), mask=False)} == {
        "the test has no slice 'closed'"
    }


def test_a_champion_whose_bundle_is_damaged_is_missing(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text("{}")
    nobody = np.empty(0, dtype=object)
    found = score_champion(tmp_path, pd.DataFrame(), nobody, nobody)
    assert found is not None
    assert found.probability is None
    assert "cannot be opened" in found.why
    assert score_champion(None, pd.DataFrame(), nobody, nobody) is None


def test_a_model_like_the_champion_passes_and_one_surely_worse_fails() -> None:
    ours = scored()
    alike = compared(Champion("0123", ours.probability))
    assert [one.verdict for one in alike] == [Verdict.PASS, Verdict.PASS]
    assert (alike[0].value, alike[0].low, alike[0].high) == (0.0, 0.0, 0.0)
    assert "DeLong's test by customers: p = 1" in alike[0].note

    rng = np.random.default_rng(1)
    noisy = Scored(ours.answered, rng.permutation(ours.probability), ours.customers)
    rows = np.ones(len(ours.answered), dtype=bool)
    worse = against_champion(
        CHAMPION_GATES, noisy, Champion("0123", ours.probability), mask=rows, replicates=200, seed=0
    )
    assert [one.verdict for one in worse] == [Verdict.FAIL, Verdict.FAIL]


def customers(values: FloatArray) -> NDArray[np.object_]:
    return np.array([f"customer {row // 4}" for row in range(len(values))], dtype=object)


def test_scores_that_stay_pass_and_scores_that_move_fail() -> None:
    gate = ScoreStability(bins=10, at_most=0.25)
    before, same, moved = scored().probability, scored(seed=1).probability, scored(seed=2).probability ** 0.5
    who = (customers(before), customers(before))
    assert score_stability(gate, before, same, who, seed=0).verdict is Verdict.PASS
    shifted = score_stability(gate, before, moved, who, seed=0)
    assert shifted.verdict is Verdict.FAIL
    assert "median propensity" in shifted.note
    assert score_stability(gate, before[:0], same, (who[0][:0], who[1]), seed=0).verdict is Verdict.FAIL


FEATURES = FeatureStability(
    bins=10,
    rows=3000,
    at_most=0.25,
    expected=(Expected(columns=("*_total",), at_most=6.0, because="counts grow"),),
)


def features(rows: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "spend_90d": rng.gamma(2.0, 30.0, rows),
            "visits_total": rng.poisson(3, rows),
            "band": pd.Categorical(rng.choice(["S", "M", "L"], rows), categories=["S", "M", "L"]),
        }
    )


def judged_features(after: pd.DataFrame) -> GateVerdict:
    before = features(4000, 0)
    who = (customers(before["spend_90d"].to_numpy()), customers(after["spend_90d"].to_numpy()))
    return feature_stability(FEATURES, feature_drift(FEATURES, before, after, who, seed=0))


def test_features_that_stay_pass() -> None:
    found = judged_features(features(4000, 1))
    assert found.verdict is Verdict.PASS
    assert "1 held to 6 (most: visits_total" in found.note
    assert "because counts grow" in found.note


def test_the_feature_that_moved_is_named() -> None:
    scaled = features(4000, 1)
    scaled["spend_90d"] *= 1000
    found = judged_features(scaled)
    assert found.verdict is Verdict.FAIL
    assert found.note.startswith("worst: spend_90d")
    swapped = features(4000, 1).assign(band=lambda rows: rows["band"].map(lambda _: "L").astype("category"))
    swapped["band"] = swapped["band"].cat.set_categories(["S", "M", "L"])
    assert judged_features(swapped).note.startswith("worst: band")


def test_what_may_grow_may_not_change_its_unit() -> None:
    grown = features(4000, 1)
    grown["visits_total"] += 2
    assert judged_features(grown).verdict is Verdict.PASS
    grown["visits_total"] = features(4000, 1)["visits_total"] * 1000 + 1000
    found = judged_features(grown)
    assert found.verdict is Verdict.FAIL
    assert (found.note.split(";")[0], found.at_most) == ("worst: visits_total", 6.0)


SEEDS = SeedVariance(seeds=2, propensity=Bounds(at_most=0.25), auc=Bounds(at_most=0.02))


def test_seeds_that_hardly_matter_pass_and_seeds_that_decide_fail() -> None:
    ours = scored()
    near = [ours.probability * 1.05, ours.probability * 0.9]
    calm = seed_variance(SEEDS, ours, near, replicates=200, seed=0)
    assert [one.verdict for one in calm] == [Verdict.PASS, Verdict.PASS]
    assert calm[0].value == pytest.approx(0.075)
    assert calm[1].value == pytest.approx(0.0)
    wild = [np.random.default_rng(3).permutation(ours.probability), ours.probability]
    assert [one.verdict for one in seed_variance(SEEDS, ours, wild, replicates=200, seed=0)] == [
        Verdict.FAIL,
        Verdict.FAIL,
    ]
    assert {one.verdict for one in seed_variance(SEEDS, ours, [], replicates=9, seed=0)} == {Verdict.FAIL}


def test_personas_of_other_seeds_must_agree_and_the_worst_counts() -> None:
    gate = SeedAgreement(seeds=2, at_least=0.8)
    rng = np.random.default_rng(4)
    ours = rng.integers(0, 4, size=1000)
    renamed = (ours + 1) % 4
    assert seed_agreement(gate, ours, [renamed], seed=0).verdict is Verdict.PASS
    found = seed_agreement(gate, ours, [renamed, rng.permutation(ours)], seed=0)
    assert found.verdict is Verdict.FAIL
    assert found.value == pytest.approx(0.0, abs=0.02)
    assert seed_agreement(gate, ours, [], seed=0).verdict is Verdict.FAIL


SEGMENTS = SegmentGates(
    slice="closed",
    min_expected=20,
    calibration=Bounds(at_least=0.5, at_most=2.0),
    covered=Bounds(at_least=0.5),
)


def test_a_segment_whose_propensities_are_far_too_low_is_named() -> None:
    right, wrong = scored(4000), scored(4000, seed=1, times=4.0)
    both = Scored(
        np.concatenate([right.answered, wrong.answered]),
        np.concatenate([right.probability, wrong.probability]),
        np.concatenate([right.customers, [f"other {name}" for name in wrong.customers]]),
    )
    segment = np.repeat(np.array(["Families", "Seniors"], dtype=object), 4000)
    whole = np.repeat(np.array(["GROCERY"], dtype=object), 8000)
    kinds = {"persona": segment, "group": whole}
    calibration, covered = judge_segments(SEGMENTS, by_segment(both, kinds, replicates=200, seed=0))
    assert calibration.verdict is Verdict.FAIL
    assert calibration.note.startswith("worst: persona: Seniors")
    assert (covered.verdict, covered.value) == (Verdict.PASS, 1.0)
    alone = by_segment(right, {"group": whole[:4000]}, replicates=200, seed=0)
    assert judge_segments(SEGMENTS, alone, "by group only")[0].verdict is Verdict.PASS
    assert "by group only" in judge_segments(SEGMENTS, alone, "by group only")[0].note


def test_segments_too_small_to_judge_are_not_judged_but_counted() -> None:
    small = SegmentRatio(900, 2, 3.0, MetricInterval(0.67, 0.0, 9.0))
    large = SegmentRatio(100, 30, 28.0, MetricInterval(1.07, 0.8, 1.3))
    calibration, covered = judge_segments(SEGMENTS, {"group: A": small, "group: B": large})
    assert calibration.verdict is Verdict.PASS
    assert (covered.verdict, covered.value) == (Verdict.FAIL, 0.1)
    nothing = judge_segments(SEGMENTS, {"group: A": small})[0]
    assert (nothing.verdict, nothing.note) == (Verdict.FAIL, "no segment has enough answers to be judged")


def rising_until_half(matrix: NDArray[np.float32]) -> FloatArray:
    """A hand-made score: up with its first column until 0.5 and then down; down with the second."""
    first, second = matrix[:, 0].astype(np.float64), matrix[:, 1].astype(np.float64)
    return np.where(first < 0.5, first, 1.0 - first) - second


def test_steps_in_the_wrong_direction_are_counted_and_the_column_named() -> None:
    gate = MonotoneGate(rows=50, points=11, at_most=0)
    matrix = np.random.default_rng(5).random((400, 2)).astype(np.float32)

    def asked(declared: dict[str, int]) -> GateVerdict:
        return monotone(gate, declared, ("up", "down"), matrix, rising_until_half, seed=0)

    assert asked({"down": -1}).verdict is Verdict.PASS
    found = asked({"up": 1, "down": -1})
    # Ten steps for each of 50 rows, about half of them beyond 0.5
    assert found.verdict is Verdict.FAIL
    assert found.value is not None
    assert 200 <= found.value <= 300
    assert found.note.startswith("worst: up")
    assert asked({"nothing": 1}).note == "nothing is declared and is no column of the model's row"
    assert asked({}).value == 0.0


def test_the_logistic_contender_keeps_to_declared_directions() -> None:
    rng = np.random.default_rng(6)
    frame = pd.DataFrame(rng.normal(size=(3000, 3)), columns=["a", "b", "c"])
    y = rng.random(3000) < 1.0 / (1.0 + np.exp(2.0 - frame["a"] + frame["b"]))
    gate = MonotoneGate(rows=50, points=11, at_most=0)
    # The data say that the score falls with b; it is declared that it may only rise
    declared = {"a": 1, "b": 1}
    for model, expected in (
        (RegularizedLogistic(), Verdict.FAIL),
        (RegularizedLogistic(monotone=declared), Verdict.PASS),
    ):
        model.fit(frame, y)
        found = monotone(gate, declared, ("a", "b", "c"), model.encode(frame), model.linear_.margins, seed=0)
        assert found.verdict is expected
    weights = {column.name: column.weight for column in model.linear_.columns}
    assert weights["b"] == 0.0 < weights["a"]


def test_another_seed_changes_the_model_by_chance_alone() -> None:
    rng = np.random.default_rng(7)
    frame = pd.DataFrame({"a": rng.normal(size=4000)})
    y = rng.random(4000) < 1.0 / (1.0 + np.exp(3.0 - frame["a"]))
    model = RegularizedLogistic(max_rows=600).fit(frame, y)
    before = model.predict_proba(frame)[:, 1]
    other, same = (model.reseeded(frame, y, seed=seed).predict_proba(frame)[:, 1] for seed in (1, 1))
    assert np.array_equal(other, same)
    assert not np.array_equal(other, before)
    assert np.abs(other - before).sum() < 0.3 * before.sum()
    assert np.array_equal(model.predict_proba(frame)[:, 1], before)


def test_a_slow_call_fails_and_a_quick_one_passes() -> None:
    gate = TimeGate(rows=200, repetitions=12, at_most=4.0)
    quick = scoring_time(gate, lambda: None, what="do nothing")
    slow = scoring_time(gate, lambda: time.sleep(0.006), what="sleep")
    assert (quick.verdict, slow.verdict) == (Verdict.PASS, Verdict.FAIL)
    assert slow.low is not None
    assert slow.low >= 6.0
    assert slow.title == "Milliseconds to sleep, one thread, at most 4"


def test_the_size_of_a_bundle_is_that_of_its_files(tmp_path: Path) -> None:
    (tmp_path / "model.json").write_bytes(b"0" * 1024 * 1024)
    (tmp_path / "manifest.json").write_bytes(b"0" * 512 * 1024)
    assert bundle_size(Bounds(at_most=2), tmp_path).value == 1.5
    assert bundle_size(Bounds(at_most=1), tmp_path).verdict is Verdict.FAIL
    assert bundle_size(Bounds(at_most=1), tmp_path / "gone").verdict is Verdict.FAIL


def test_a_gate_left_out_of_the_settings_is_an_error_and_no_silence(tmp_path: Path) -> None:
    whole = yaml.safe_load(propensity.CONFIG.read_text())
    del whole["gates"]["monotone"]
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(whole))
    with pytest.raises(ConfigurationError, match="monotone"):
        read_config(path, PropensitySettings)


GATES = (
    verdict("auc.closed", "AUC", MetricInterval(0.81, 0.79, 0.83), Bounds(at_least=0.8), "774 answers"),
    missing("against_champion.auc", "AUC minus the champion's", Bounds(at_least=-0.02), "it is | gone"),
    excused("against_champion.brier", "Brier", Bounds(at_most=0.1), "no champion to compare with"),
)


def test_reports_show_gates_and_who_took_what_upon_themselves() -> None:
    officer = Actor("key-1", "Ada Byron", "risk_officer")
    told = gates_table(
        GATES, [("auc.closed", officer, "the season"), ("against_champion.auc", Actor("machine"), "x")]
    )
    lines = told.splitlines()
    assert len({line.count("|") for line in lines}) == 1
    assert "0.81 [0.79, 0.83] | **inconclusive**" in lines[2]
    assert lines[2].endswith("774 answers; accepted by Ada Byron (risk_officer) because the season |")
    assert "| - | **fail** | it is / gone; accepted by the machine because x |" in lines[3]
    assert "| - | pass | no champion to compare with |" in lines[4]
    assert overall(GATES) is Verdict.FAIL


def test_gates_go_to_mlflow_as_numbers_tags_and_plots() -> None:
    assert gate_metrics(GATES) == {
        "gate auc.closed": 0.81,
        "gate auc.closed_low": 0.79,
        "gate auc.closed_high": 0.83,
    }
    assert gate_tags(GATES) == {
        "moment.gates": "fail",
        "moment.gates_open": "auc.closed (inconclusive), against_champion.auc (fail)",
    }
    gates_plot(GATES, title="Gates").canvas.draw()
    moved = {"spend": MetricInterval(0.3, 0.2, 0.4), "visits": MetricInterval(0.1, 0.0, 0.2)}
    figure = drift_plot(moved, at_most=0.25, title="Drift")
    figure.canvas.draw()
    assert [text.get_text() for text in figure.axes[0].texts] == ["visits", "spend"]
    assert msgspec.json.decode(msgspec.json.encode(GATES), type=tuple[GateVerdict, ...]) == GATES
