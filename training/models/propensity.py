"""PropensityModel: calibrated P(positive outcome | customer, action, context) by gradient boosting."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serving.bundles.linear import LinearModel
from training.models.base import CalibratedContender, FitRows, FloatArray
from training.models.boosting import Booster, BoostingPlan, Parameters, boost, margins, refit


class PropensityModel(CalibratedContender):
    """Calibrated gradient boosting for rare outcomes, good without tuning by hand.

    Parameters
    ----------
    trials
        Parameter sets to try on the folds, the first two given; 1 tries only the first.
    budget_seconds
        Wall-clock guard of the search: no trial is begun that would probably end after it. It can only end
        the search early, and ``stopped_early_`` then says so; the budget to reproduce is ``trials``.
    folds
        Most folds, ordered in time when ``fit`` is given ``time``, else stratified.
    max_rounds
        Most trees; early stopping finds how many.
    max_rows
        From larger data the search uses all positives and a weighted draw of negatives; the last fit does
        so from four times as many rows on.
    min_positives
        With fewer positive (or negative) rows, or none before and after any point in time, the model answers
        the prior rate, warns `FewPositivesWarning` and says why in ``fallback_reason_``.
    min_offset_positives
        A group or action with fewer judged positives is pooled to the level above.
    monotone
        1 or -1 by numeric column: the score may only rise, or fall, with it.
    parameters
        Parameters of the trees found before, as ``best_params_``: then nothing is searched, ``trials`` and
        ``budget_seconds`` mean nothing, and the fit comes out as the one that found them.
    n_jobs
        Folds boosted at a time. Results do not depend on it.
    random_state
        Seed. Equal data, parameters and seed give equal models.

    Attributes
    ----------
    columns_ : tuple of ModelColumn
        Name, kind and categories (in the order of their codes) of each column.
    classes_ : ndarray (2,)
        The negative and the positive label.
    booster_ : xgboost.Booster or None
        Trained on the matrix of `encode`, on which its margins are those of `margin`; None after a fall-back.
    linear_ : LinearModel or None
        The prior rate after a fall-back, else None.
    calibration_ : Calibration
        ``p = sigmoid(slope * margin + intercept + group_offset + action_offset)``, fitted on out-of-fold
        margins.
    calibrated_on_ : str
        ``masked rows``, ``all rows`` or ``nothing``.
    pooled_groups_, pooled_actions_ : tuple of str
        Those with too few judged positives for an offset of their own.
    group_spread_, action_spread_ : float
        Standard deviation of the offsets in log-odds, as estimated.
    out_of_fold_, held_out_probability_ : ndarray (n_rows,)
        Margin and calibrated probability of each training row from a model that had not seen it, NaN where
        there was none.
    best_params_, best_rounds_ : dict, int
        What the search found.
    trial_losses_ : tuple of float
        Log-loss of each trial on the judged rows.
    stopped_early_ : bool
        Whether the budget ended the search.
    fallback_reason_ : str
        Empty when the model learned.

    Notes
    -----
    Unseen categories become missing, for which every split has a learned direction. Columns missing, unknown
    or in another order are an error that names them.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> rng = np.random.default_rng(0)
    >>> X = pd.DataFrame({"spend": rng.gamma(2, 20, 4000), "town": rng.choice(["A", "B"], 4000)})
    >>> y = rng.random(4000) < 0.002 * X["spend"]
    >>> model = PropensityModel(trials=1, random_state=0).fit(X, y)
    >>> rich, poor = model.predict_proba(pd.DataFrame({"spend": [90.0, 10.0], "town": ["A", "C"]}))[:, 1]
    >>> bool(rich > 3 * poor)
    True
    """

    booster_: Booster
    linear_: LinearModel | None

    def __init__(
        self,
        *,
        trials: int = 8,
        budget_seconds: float = 40.0,
        folds: int = 3,
        max_rounds: int = 500,
        max_rows: int = 60_000,
        min_positives: int = 20,
        min_offset_positives: int = 50,
        monotone: Mapping[str, int] | None = None,
        parameters: Mapping[str, float | int] | None = None,
        n_jobs: int = 2,
        random_state: Any = 0,  # noqa: ANN401
    ) -> None:
        self.trials = trials
        self.budget_seconds = budget_seconds
        self.folds = folds
        self.max_rounds = max_rounds
        self.max_rows = max_rows
        self.min_positives = min_positives
        self.min_offset_positives = min_offset_positives
        self.monotone = monotone
        self.parameters = parameters
        self.n_jobs = n_jobs
        self.random_state = random_state

    @property
    def kind_(self) -> str:
        """``xgboost``, or ``linear`` after a fall-back."""
        return "linear" if self.booster_ is None else "xgboost"

    def _learn(self, rows: FitRows) -> FloatArray:
        found = boost(rows, self.columns_, self._plan())
        self.booster_, self.linear_ = found.booster, None
        self.best_params_: Parameters = found.parameters
        self.best_rounds_ = found.rounds
        self.trial_losses_ = found.losses
        self.stopped_early_ = found.stopped_early
        return found.out_of_fold

    def _learn_again(self, rows: FitRows) -> None:
        if self.booster_ is not None:
            found = refit(rows, self.columns_, self._plan(), self.best_params_, self.best_rounds_)
            self.booster_ = found

    def _plan(self) -> BoostingPlan:
        return BoostingPlan(
            self.trials,
            self.budget_seconds,
            self.max_rounds,
            self.max_rows,
            self.monotone or {},
            self.n_jobs,
            self.parameters,
        )

    def _fall_back(self, prior: LinearModel) -> None:
        self.booster_, self.linear_ = None, prior
        self.best_params_, self.best_rounds_, self.trial_losses_, self.stopped_early_ = {}, 0, (), False

    def _margin(self, matrix: NDArray[np.float32]) -> FloatArray:
        if self.linear_ is not None:
            return self.linear_.margins(matrix)
        return margins(self.booster_, matrix)
