"""SegmentationModel: customers to personas by KMeans on robust axes, their number chosen by stability."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClusterMixin, TransformerMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data
from threadpoolctl import threadpool_limits

from serving.bundles.personas import Axis, Persona, Personas
from training.evaluation.intervals import MetricInterval
from training.models.axes import learn_axes, points
from training.models.columns import (
    FrameError,
    ModelColumn,
    Table,
    as_frame,
    check_columns,
    encode,
    learn_columns,
)
from training.models.personas import Phrase, Trait, defining_traits, name_personas
from training.models.stability import ClusterTrial, fit_means, try_clusters

__all__ = ["Phrase", "SegmentationModel", "Trait"]

FloatArray = NDArray[np.float64]

_CHUNK = 10_000


class SegmentationModel(ClusterMixin, TransformerMixin, BaseEstimator):
    """Personas on any DataFrame: robust axes, KMeans, as many as other samples would find again, named.

    Parameters
    ----------
    clusters
        Numbers of personas to try.
    pairs
        Pairs of samples per number; see `training.models.stability.try_clusters`.
    min_share
        A number of personas whose smallest is under this share of customers is not chosen.
    min_stability
        Chosen are the most personas whose mean adjusted Rand index is at least this and whose interval
        reaches that of the most stable number: more personas say more, as long as other samples would find
        them too. If none reaches it, the most stable number.
    categorical_weight
        Weight of word columns beside numbers. Small, because with a large one they split customers by
        words alone.
    weights
        Multiplies the weight of the columns it names.
    phrases
        Words for columns, from which personas get their names; see `Phrase`.
    noun
        Ends a name where no phrase gives a noun.
    max_rows
        More rows than this are sampled for fitting; all are assigned.
    random_state
        Seed. Equal data, parameters and seed give equal personas.

    Attributes
    ----------
    n_clusters_ : int
        Chosen number.
    labels_ : ndarray (n_rows,)
        Persona of each training row.
    cluster_centers_ : ndarray (n_clusters_, n_coordinates)
        Largest persona first.
    stability_ : dict of int to MetricInterval
        Mean adjusted Rand index by number of personas.
    trials_ : tuple of ClusterTrial
        The same with the share of the smallest persona.
    chosen_because_ : str
        One sentence.
    personas_ : tuple of Persona
        Name, share, customers and traits in words, largest first.
    traits_ : tuple of tuple of Trait
        Aligned to ``personas_``.
    columns_ : tuple of ModelColumn
    axes_ : tuple of Axis

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> visits = np.concatenate([rng.poisson(3, 300), rng.poisson(30, 200)])
    >>> X = pd.DataFrame({"visits": visits, "spend": visits * rng.gamma(20, 1, 500)})
    >>> words = [Phrase("visits", "frequent", "occasional", topic="how often"), Phrase("spend", "", "")]
    >>> model = SegmentationModel(clusters=(2, 3), phrases=words, noun="shoppers").fit(X)
    >>> [persona.name for persona in model.personas_]
    ['Occasional shoppers', 'Frequent shoppers']
    """

    columns_: tuple[ModelColumn, ...]
    axes_: tuple[Axis, ...]
    n_clusters_: int
    labels_: NDArray[np.int64]
    cluster_centers_: FloatArray
    stability_: dict[int, MetricInterval]
    trials_: tuple[ClusterTrial, ...]
    chosen_because_: str
    personas_: tuple[Persona, ...]
    traits_: tuple[tuple[Trait, ...], ...]

    def __init__(
        self,
        *,
        clusters: Sequence[int] = (3, 4, 5, 6, 7, 8),
        pairs: int = 12,
        min_share: float = 0.04,
        min_stability: float = 0.75,
        categorical_weight: float = 0.3,
        weights: Mapping[str, float] | None = None,
        phrases: Sequence[Phrase] = (),
        noun: str = "customers",
        max_rows: int = 20_000,
        random_state: Any = 0,  # noqa: ANN401
    ) -> None:
        self.clusters = clusters
        self.pairs = pairs
        self.min_share = min_share
        self.min_stability = min_stability
        self.categorical_weight = categorical_weight
        self.weights = weights
        self.phrases = phrases
        self.noun = noun
        self.max_rows = max_rows
        self.random_state = random_state

    def fit(self, X: Table, y: object = None) -> Self:  # noqa: ARG002, N803
        """Choose the number of personas, fit and name them.

        Raises
        ------
        FrameError
            Too few rows for the fewest personas to try, no column that varies, or one that cannot be used.
        """
        frame = as_frame(X)
        validate_data(self, X, skip_check_array=True)
        tried = sorted(k for k in set(self.clusters) if 1 <= k <= len(frame))
        if not tried:
            raise FrameError(
                f"n_samples={len(frame)} is less than the fewest clusters to try; pass more rows"
            )
        self.columns_ = learn_columns(frame)
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        self.axes_ = learn_axes(
            self.columns_,
            encode(frame, self.columns_),
            categorical_weight=self.categorical_weight,
            weights=self.weights or {},
        )
        placed = points(self.axes_, frame)
        learned = self._sample(placed, seed)
        # Threads of KMeans wait for each other; on so few rows that costs more than it gains
        with threadpool_limits(1):
            self.trials_ = tuple(try_clusters(learned, k, pairs=self.pairs, seed=seed) for k in tried)
            self._choose()
            centres = fit_means(learned, self.n_clusters_, seed).cluster_centers_
        self.stability_ = {trial.clusters: trial.stability for trial in self.trials_}
        self._order(centres, placed)
        self._describe(frame)
        return self

    def reseeded(self, X: Table, *, seed: int) -> Self:  # noqa: N803
        """Return this model with as many personas found again with another seed; axes and names stay.

        Parameters
        ----------
        X
            What it was fitted on.
        """
        again = copy(self)
        placed = self._points(X)
        with threadpool_limits(1):
            centres = fit_means(self._sample(placed, seed), self.n_clusters_, seed).cluster_centers_
        again._order(centres, placed)  # noqa: SLF001 - of its own class
        return again

    def predict(self, X: Table) -> NDArray[np.int64]:  # noqa: N803
        """Return the persona's index of each row (n_rows,)."""
        return _nearest(self._points(X), self.cluster_centers_)

    def transform(self, X: Table) -> FloatArray:  # noqa: N803
        """Return the distance to each persona's centre (n_rows, n_clusters_)."""
        return np.sqrt(_squared(self._points(X), self.cluster_centers_))

    def to_state(self) -> Personas:
        """Return what a bundle holds: all that is needed to place a customer, without this package."""
        check_is_fitted(self)
        centres = tuple(tuple(map(float, centre)) for centre in self.cluster_centers_)
        return Personas(self.axes_, centres, self.personas_)

    def __sklearn_tags__(self) -> Any:  # noqa: ANN401
        """Tell scikit-learn: missing, words and categoricals welcome."""
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.string = True
        tags.input_tags.categorical = True
        return tags

    def _points(self, X: Table) -> FloatArray:  # noqa: N803
        check_is_fitted(self)
        frame = as_frame(X)
        if not isinstance(X, pd.DataFrame):
            validate_data(self, X, reset=False, skip_check_array=True)
        if not len(frame):
            raise FrameError(f"0 sample(s) (shape=(0, {frame.shape[1]})) while a minimum of 1 is required.")
        check_columns(frame, self.columns_)
        return points(self.axes_, frame)

    def _sample(self, placed: FloatArray, seed: int) -> FloatArray:
        if len(placed) <= self.max_rows:
            return placed
        rows = np.random.default_rng(seed).choice(len(placed), self.max_rows, replace=False)
        return placed[np.sort(rows)]

    def _choose(self) -> None:
        large = [trial for trial in self.trials_ if trial.smallest_share >= self.min_share]
        stable = [trial for trial in large if trial.stability.value >= self.min_stability]
        if stable:
            best = max(stable, key=lambda trial: trial.stability.value)
            equals = [trial for trial in stable if not trial.stability.high < best.stability.low]
            chosen = max(equals, key=lambda trial: trial.clusters)
            why = "the most that are as stable as any number"
        elif large:
            chosen = max(large, key=lambda trial: trial.stability.value)
            why = f"the most stable, though under {self.min_stability:g}"
        else:
            chosen = max(self.trials_, key=lambda trial: trial.smallest_share)
            why = f"the largest smallest persona, though under {self.min_share:.0%} of customers"
        self.n_clusters_ = chosen.clusters
        figures = f"ARI {chosen.stability}, smallest {chosen.smallest_share:.1%}"
        self.chosen_because_ = f"{chosen.clusters} personas: {why} ({figures})"

    def _order(self, centres: FloatArray, placed: FloatArray) -> None:
        sizes = np.bincount(_nearest(placed, centres), minlength=len(centres))
        self.cluster_centers_ = np.ascontiguousarray(centres[np.argsort(-sizes, kind="stable")])
        self.labels_ = _nearest(placed, self.cluster_centers_)

    def _describe(self, frame: pd.DataFrame) -> None:
        members = [self.labels_ == index for index in range(self.n_clusters_)]
        self.traits_ = tuple(
            defining_traits(self.axes_, frame, member, self.phrases) if member.any() else ()
            for member in members
        )
        names = name_personas(self.traits_, self.noun)
        self.personas_ = tuple(
            Persona(name, float(member.mean()), int(member.sum()), tuple(map(str, traits)))
            for name, member, traits in zip(names, members, self.traits_, strict=True)
        )


def _nearest(placed: FloatArray, centres: FloatArray) -> NDArray[np.int64]:
    nearest: NDArray[np.int64] = _squared(placed, centres).argmin(axis=1).astype(np.int64)
    return nearest


def _squared(placed: FloatArray, centres: FloatArray) -> FloatArray:
    """Return squared distances (n_rows, n_centres), summed as `Personas.place` sums them."""
    parts = [
        ((placed[start : start + _CHUNK, None, :] - centres[None]) ** 2).sum(axis=2)
        for start in range(0, len(placed), _CHUNK)
    ]
    return np.concatenate(parts)
