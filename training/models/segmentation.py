"""SegmentationModel: customers to personas by KMeans on robust axes, their number chosen by stability."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClusterMixin, TransformerMixin

from serving.bundles.personas import Personas
from training.evaluation.intervals import MetricInterval


@dataclass(frozen=True, slots=True)
class Phrase:
    """How people say that a column (or one level of a categorical) is high or low in a persona.

    Parameters
    ----------
    column
        Column it speaks of.
    high, low
        Words for above and below the others; empty for nothing to say.
    topic
        At most one phrase per topic enters a name; the column itself by default.
    levels
        For a categorical: the levels that count as ``high`` together.
    noun
        True when the words are a noun (``families``) that ends the name.
    """

    column: str
    high: str
    low: str = ""
    topic: str = ""
    levels: tuple[str, ...] = ()
    noun: bool = False


@dataclass(frozen=True, slots=True)
class Trait:
    """One trait of a persona: column, level if categorical, standardized difference to all customers."""

    column: str
    level: str | None
    difference: float
    words: str


class SegmentationModel(ClusterMixin, TransformerMixin, BaseEstimator):
    """Personas on any DataFrame.

    Attributes
    ----------
    n_clusters_ : int
    labels_ : ndarray (n_rows,)
    stability_ : dict of k to MetricInterval
        Mean ARI over pairs of resamples.
    personas_ : tuple of Persona
        Names, shares, sizes, traits in words, largest first.
    traits_ : tuple of tuple of Trait
        Aligned to ``personas_``.
    """

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
        random_state: int = 0,
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

    stability_: dict[int, MetricInterval]

    def fit(self, X: pd.DataFrame, y: object = None) -> Self:  # noqa: N803
        """Choose the number of personas, fit and name them."""
        raise NotImplementedError

    def predict(self, X: pd.DataFrame) -> NDArray[np.int64]:  # noqa: N803
        """Return the persona's index of each row (n_rows,)."""
        raise NotImplementedError

    def transform(self, X: pd.DataFrame) -> NDArray[np.float64]:  # noqa: N803
        """Return the distance to each centre (n_rows, n_clusters)."""
        raise NotImplementedError

    def to_state(self) -> Personas:
        """Return what a bundle holds."""
        raise NotImplementedError
