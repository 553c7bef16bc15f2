"""Synthetic customers whose true propensities and segments are known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from serving.bundles.calibration import sigmoid
from training.models.propensity import PropensityModel


@dataclass(frozen=True)
class Campaigns:
    """Rows customer x action x time with their true log-odds.

    ``exposed`` rows were surely shown; of the others only a quarter were, which nobody knows.
    """

    X: pd.DataFrame
    y: NDArray[np.int8]
    truth: NDArray[np.float64]
    day: NDArray[np.int64]
    group: NDArray[np.str_]
    action: NDArray[np.str_]
    exposed: NDArray[np.bool_]

    def at(self, rows: NDArray[np.bool_]) -> Campaigns:
        """The rows under a mask."""
        return Campaigns(
            self.X[rows],
            self.y[rows],
            self.truth[rows],
            self.day[rows],
            self.group[rows],
            self.action[rows],
            self.exposed[rows],
        )


ACTIONS = 8


def campaigns(rows: int = 40_000, seed: int = 0) -> Campaigns:
    """Outcomes depend on spend (up), days since (down), an interaction with kind, exposure and action."""
    rng = np.random.default_rng(seed)
    spend, since = rng.gamma(2.0, 30.0, rows), rng.exponential(30.0, rows)
    kind, noise = rng.choice(["new", "old"], rows), rng.normal(size=(rows, 6))
    number = rng.choice(ACTIONS, rows, p=np.r_[np.full(ACTIONS - 1, 0.999 / (ACTIONS - 1)), 0.001])
    exposed = rng.random(rows) < 0.5
    truth = (
        -4.0
        + 1.1 * np.log1p(spend / 30.0)
        - 0.03 * np.minimum(since, 60.0)
        + 0.7 * np.where((kind == "new") == (spend > 50.0), 1.0, -1.0)
        + np.linspace(-0.6, 0.6, ACTIONS)[number]
    )
    chance = sigmoid(truth) * np.where(exposed, 1.0, 0.25)
    X = pd.DataFrame(  # noqa: N806
        {
            "spend": spend,
            "days_since": np.where(rng.random(rows) < 0.1, np.nan, since),
            "kind": kind,
            "exposure": np.where(exposed, "observed", "imputed"),
            **{f"noise_{i}": column for i, column in enumerate(noise.T)},
        }
    )
    return Campaigns(
        X,
        (rng.random(rows) < chance).astype(np.int8),
        np.log(chance / (1.0 - chance)),
        rng.integers(0, 200, rows),
        np.where(number < ACTIONS // 2, "low", "high"),
        np.char.add("action-", number.astype(str)),
        exposed,
    )


@pytest.fixture(scope="session")
def train() -> Campaigns:
    """What happened."""
    return campaigns()


@pytest.fixture(scope="session")
def test() -> Campaigns:
    """What happens later."""
    return campaigns(30_000, seed=1)


@pytest.fixture(scope="session")
def model(train: Campaigns) -> PropensityModel:
    """A model fitted as the pipeline does, calibrated on exposed rows."""
    return fit_on(train, PropensityModel(trials=3, max_rounds=300, random_state=7))


def fit_on(data: Campaigns, model: PropensityModel) -> PropensityModel:
    """Fit with times, label times, groups, actions and the mask."""
    model.fit(
        data.X,
        data.y,
        time=data.day,
        label_time=data.day + 14,
        group=data.group,
        action=data.action,
        calibration_mask=data.exposed,
    )
    return model
