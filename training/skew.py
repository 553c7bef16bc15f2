"""Skew: whether training sees of a customer what the decision saw. Pure functions of records and features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from features.contract import FeatureContract, FeatureValue
from features.sources.decision_records import DecidedFeatures

_TOLERANCE = 1e-9


@dataclass(frozen=True, slots=True)
class Skew:
    """How far recorded features are from those training has for the same customer and time.

    Parameters
    ----------
    rows
        Decisions compared.
    values
        Feature values compared; what was masked or had expired was not.
    differing
        How many of them are not equal.
    by_feature
        Share that differs, of the features of which any does, most first.
    """

    rows: int
    values: int
    differing: int
    by_feature: Mapping[str, float]

    @property
    def share(self) -> float:
        """Share of values that differ; 0 where there was nothing to compare."""
        return self.differing / self.values if self.values else 0.0


def compare(recorded: Sequence[DecidedFeatures], offline: pd.DataFrame, contract: FeatureContract) -> Skew:
    """Compare what decisions saw with what training has.

    Parameters
    ----------
    recorded
        What n decisions saw of their customers.
    offline
        n rows of the contract's columns, as of the decisions, aligned; unmasked.
    contract
        Names the features compared; what is computed in real time is none of them.
    """
    compared: dict[str, int] = {}
    differing: dict[str, int] = {}
    for spec in contract:
        column = offline[spec.name].astype(object).tolist()
        for one, value in zip(recorded, column, strict=True):
            if spec.name in one.hidden or spec.name not in one.values:
                continue
            compared[spec.name] = compared.get(spec.name, 0) + 1
            if not _equal(one.values[spec.name], value):
                differing[spec.name] = differing.get(spec.name, 0) + 1
    shares = {name: count / compared[name] for name, count in differing.items()}
    return Skew(
        rows=len(recorded),
        values=sum(compared.values()),
        differing=sum(differing.values()),
        by_feature=dict(sorted(shares.items(), key=lambda item: (-item[1], item[0]))),
    )


def questions(recorded: Sequence[DecidedFeatures]) -> pd.DataFrame:
    """Return what to ask the feature store: ``customer_id`` and ``at`` of each decision."""
    return pd.DataFrame(
        {
            "customer_id": [one.customer_id for one in recorded],
            "at": pd.to_datetime([one.decided_at for one in recorded], utc=True),
        }
    )


def _equal(recorded: FeatureValue, offline: object) -> bool:
    if recorded is None or _missing(offline):
        return recorded is None and _missing(offline)
    if isinstance(recorded, (tuple, list)):
        return tuple(recorded) == tuple(np.asarray(offline, dtype=object).tolist())
    if isinstance(recorded, float) and isinstance(offline, (int, float)):
        return abs(recorded - offline) <= _TOLERANCE * max(1.0, abs(recorded))
    return bool(recorded == offline)


def _missing(value: object) -> bool:
    return value is None or value is pd.NA or (isinstance(value, float) and np.isnan(value))
