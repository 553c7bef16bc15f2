"""How segmentation behaves where the segments are known."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import adjusted_rand_score

from serving.bundles.personas import Personas
from training.models.segmentation import Phrase, SegmentationModel

TRUE = {
    "regulars": (500, 25.0, 45.0, 0.25, 0.7),
    "small": (300, 16.0, 9.0, 0.75, 0.1),
    "lapsed": (200, 1.5, 12.0, 0.25, 0.1),
}
PHRASES = (
    Phrase("baskets", "frequent", "lapsed", topic="how often"),
    Phrase("basket_value", "big-basket", "small-basket", topic="size"),
    Phrase("discount_share", "deal-seeking", "full-price", topic="price"),
    Phrase("kids", "families", levels=("1", "2", "3+"), noun=True),
)


def households(seed: int = 0) -> tuple[pd.DataFrame, np.ndarray]:
    """Three kinds of households; money is skewed, a few spend absurdly, some demography is missing."""
    rng = np.random.default_rng(seed)
    parts = []
    for name, (size, baskets, value, discount, with_kids) in TRUE.items():
        kids = np.where(rng.random(size) < with_kids, rng.choice(["1", "2", "3+"], size), "none")
        parts.append(
            pd.DataFrame(
                {
                    "baskets": rng.poisson(baskets, size),
                    "basket_value": value * rng.lognormal(0.0, 0.2, size),
                    "discount_share": rng.beta(20 * discount, 20 * (1 - discount), size),
                    "kids": pd.Series(kids).where(rng.random(size) < 0.8),
                    "true": name,
                }
            )
        )
    frame = pd.concat(parts, ignore_index=True)
    frame.loc[:4, "basket_value"] = 1e6
    frame.loc[5:30, "basket_value"] = np.nan
    return frame.drop(columns="true"), frame["true"].to_numpy()


@pytest.fixture(scope="module")
def model() -> SegmentationModel:
    estimator = SegmentationModel(clusters=(2, 3, 4, 5), pairs=16, phrases=PHRASES, noun="households")
    return estimator.fit(households()[0])


def test_the_true_segments_are_found_and_their_number(model: SegmentationModel) -> None:
    _, truth = households()
    assert model.n_clusters_ == 3
    assert adjusted_rand_score(truth, model.labels_) > 0.9
    assert "as stable as any number" in model.chosen_because_
    assert [persona.customers for persona in model.personas_] == sorted(
        np.bincount(model.labels_), reverse=True
    )
    assert sum(persona.share for persona in model.personas_) == pytest.approx(1.0)


def test_new_households_go_where_they_belong(model: SegmentationModel) -> None:
    frame, truth = households(seed=1)
    assert adjusted_rand_score(truth, model.predict(frame)) > 0.9


def test_personas_are_called_by_what_sets_them_apart(model: SegmentationModel) -> None:
    names = [persona.name for persona in model.personas_]
    assert names[0].endswith("families")
    assert "ig-basket" in names[0]
    assert names[1] == "Deal-seeking small-basket households"
    assert names[2] in {"Lapsed small-basket households", "Lapsed full-price households"}
    assert any(trait.startswith("families (1/2/3+: ") for trait in model.personas_[0].traits)


def test_serving_places_every_household_where_training_did(model: SegmentationModel) -> None:
    frame, _ = households(seed=2)
    state = Personas.from_json(json.loads(json.dumps(model.to_state().to_json())))
    assert state == model.to_state()
    values = frame.astype(object).where(frame.notna(), None).to_dict("records")
    placed = [state.place({str(name): value for name, value in row.items()}) for row in values]
    assert placed == model.predict(frame).tolist()
    points = np.array([state.point({str(k): v for k, v in row.items()}) for row in values[:100]])
    assert np.allclose(points, model._points(frame)[:100], rtol=0.0, atol=1e-12)


def test_an_extreme_household_draws_no_persona_to_itself(model: SegmentationModel) -> None:
    assert min(persona.share for persona in model.personas_) > 0.1


def test_columns_that_say_the_same_weigh_as_one() -> None:
    frame, _ = households()
    repeated = frame.assign(**{f"discount_{i}": frame["discount_share"] for i in range(8)})
    model = SegmentationModel(clusters=(3,), pairs=2).fit(repeated)
    assert adjusted_rand_score(households()[1], model.labels_) > 0.85


def test_the_size_floor_holds() -> None:
    frame, _ = households()
    model = SegmentationModel(clusters=(3, 12), pairs=2, min_share=0.15, min_stability=-1.0).fit(frame)
    assert model.n_clusters_ == 3
    none_fits = SegmentationModel(clusters=(8, 12), pairs=2, min_share=0.4).fit(frame)
    assert "though under 40%" in none_fits.chosen_because_


def test_without_phrases_names_are_plain_facts() -> None:
    model = SegmentationModel(clusters=(3,), pairs=2).fit(households()[0])
    assert all(name.startswith(("High ", "Low ", "Kids ")) for name in (p.name for p in model.personas_))


def test_many_rows_are_sampled_for_fitting_and_all_assigned() -> None:
    frame, truth = households()
    many = pd.concat([frame] * 40, ignore_index=True)
    model = SegmentationModel(clusters=(3,), pairs=2, max_rows=2000).fit(many)
    assert len(model.labels_) == len(many)
    assert adjusted_rand_score(np.tile(truth, 40), model.labels_) > 0.9
