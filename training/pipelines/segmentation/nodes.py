"""The steps of the segmentation pipeline, each a pure function of frames and values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.contract import DType, FeatureContract, FeatureValue
from moment.errors import ConfigurationError, Fault
from training.evaluation.intervals import MetricInterval, wilson_interval

GOLDEN_CUSTOMERS = 64


def check_features(names: Sequence[str], contract: FeatureContract) -> None:
    """Refuse features the contract has not, or that are no single number or word.

    Raises
    ------
    ConfigurationError
        With one fault per name.
    """
    known = {spec.name: spec for spec in contract.scalars}
    faults = [
        Fault(f"features: {name}", f"is no scalar feature of {contract.name}")
        for name in names
        if name not in known
    ]
    if faults:
        raise ConfigurationError("the segmentation's settings are wrong", faults=faults)


def model_frame(customers: pd.DataFrame, names: Sequence[str], contract: FeatureContract) -> pd.DataFrame:
    """Return the columns a segmentation reads.

    Parameters
    ----------
    customers
        ``n`` rows with the contract's columns, as `features.store.FeatureStore.historical` returns them.
    names
        Columns wanted, in order.

    Returns
    -------
    DataFrame
        ``n`` rows: float64, or Categorical with the contract's categories; missing is NaN.
    """
    specs = {spec.name: spec for spec in contract}
    columns = {}
    for name in names:
        if specs[name].dtype is DType.STRING:
            values = customers[name].astype(object)
            columns[name] = pd.Series(
                pd.Categorical(values, categories=list(specs[name].categories)), index=customers.index
            )
        else:
            columns[name] = pd.Series(
                customers[name].to_numpy(dtype=np.float64, na_value=np.nan), index=customers.index
            )
    return pd.DataFrame(columns)


def known(frame: pd.DataFrame) -> NDArray[np.bool_]:
    """Return which customers have any numeric feature at all, shape (n,): the others have no persona."""
    return frame.select_dtypes("number").notna().any(axis=1).to_numpy()


def as_values(frame: pd.DataFrame) -> list[Mapping[str, FeatureValue]]:
    """Return the rows as serving sees them: plain values by name, missing as None."""
    plain = frame.astype(object).where(frame.notna(), None)
    return [dict(zip(plain.columns, row, strict=True)) for row in plain.itertuples(index=False, name=None)]


def golden_customers(frame: pd.DataFrame, *, seed: int) -> list[Mapping[str, FeatureValue]]:
    """Pick customers whose persona a bundle keeps: real ones, a quarter of them with values taken away."""
    rng = np.random.default_rng(seed)
    picked = np.sort(rng.choice(len(frame), size=min(GOLDEN_CUSTOMERS, len(frame)), replace=False))
    customers = [dict(values) for values in as_values(frame.iloc[picked])]
    for customer in customers[3 * len(customers) // 4 :]:
        for name in frame.columns[rng.random(frame.shape[1]) < 0.5]:
            customer[name] = None
    return list(customers)


def stayed(now: NDArray[np.int64], before: NDArray[np.int64]) -> MetricInterval:
    """Return the share of customers whose persona is the same, with its 95 % Wilson interval.

    Parameters
    ----------
    now, before
        Index of each customer's persona at two times, aligned, shape (n,).
    """
    return wilson_interval(float((now == before).mean()) if len(now) else float("nan"), len(now))
