"""The steps of the propensity pipeline, each a pure function of frames and values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.rows import ActionFacts, RowLayout, training_frame
from moment.errors import ConfigurationError, InvariantViolation
from serving.bundles import GoldenRows

GOLDEN_ROWS = 64
_OBSERVED = "observed"


@dataclass(frozen=True, slots=True)
class Record:
    """The span of time the data speaks of.

    Parameters
    ----------
    begins, ends
        First and last thing on record, UTC.
    """

    begins: datetime
    ends: datetime


def label(
    presentations: pd.DataFrame, outcomes: pd.DataFrame, *, positive: Mapping[str, str], record: Record
) -> pd.DataFrame:
    """Say of every presentation whether it was answered in its window, and when that could be known.

    Parameters
    ----------
    presentations
        Canonical rows: ``presentation_id, customer_id, action_id, campaign_id, campaign_kind, exposure,
        occurred_at, window_ends_at, offers_together``; instants in UTC. ``decided``, where it is there: rows
        from recorded decisions, whose window is given only once it has closed.
    outcomes
        Canonical rows: ``presentation_id, kind, occurred_at``.
    positive
        Each action's positive outcome: the kind of outcome that counts. An action without one has no answer.
    record
        A presentation before the record begins is left out: neither its features nor all of its window are
        in the data.

    Returns
    -------
    DataFrame
        One row per presentation left, ordered by time, customer and action, with ``at``, ``answered`` (0, 1),
        ``window_days`` and ``closed`` (bool): whether the window closed within the record. Only then is
        ``answered == 0`` a negative; before that it is unknown.
    """
    rows = presentations.loc[presentations["occurred_at"] >= record.begins].copy()
    wanted = rows.set_index("presentation_id")["action_id"].map(positive)
    counts = outcomes["kind"].astype(object) == outcomes["presentation_id"].map(wanted).astype(object)
    first = outcomes.loc[counts].groupby("presentation_id")["occurred_at"].min()
    answered_at = rows["presentation_id"].map(first)
    in_window = (answered_at >= rows["occurred_at"]) & (answered_at <= rows["window_ends_at"])
    rows["answered"] = in_window.astype(np.int8)
    rows["closed"] = rows["window_ends_at"] <= record.ends
    if "decided" in rows:
        rows["closed"] |= rows["decided"]
    length = rows["window_ends_at"] - rows["occurred_at"]
    rows["window_days"] = (length.dt.total_seconds() / 86_400).round(3)
    rows = rows.rename(columns={"occurred_at": "at"}).sort_values(
        ["at", "customer_id", "action_id", "presentation_id"], kind="stable"
    )
    return rows.reset_index(drop=True)


@dataclass(frozen=True, slots=True)
class Split:
    """Which rows train and which test, as masks (n_rows,).

    Parameters
    ----------
    train
        Windows closed before the split, and within the record.
    test
        Campaigns that began at the split or later.
    """

    train: NDArray[np.bool_]
    test: NDArray[np.bool_]

    @property
    def used(self) -> NDArray[np.bool_]:
        """Rows in either."""
        return self.train | self.test


def newest_period(rows: pd.DataFrame, share: float) -> datetime:
    """Return the day at which the newest period begins: the last one that leaves it a share of the answers.

    Parameters
    ----------
    rows
        Labelled rows; only those whose window has closed count.
    share
        Of all answers, the part the newest period must hold, between 0 and 1.

    Raises
    ------
    ConfigurationError
        Nothing was answered, or all of it on one day.
    """
    answered = rows.loc[(rows["answered"] == 1) & rows["closed"], "at"].dt.floor("D")
    counts = answered.value_counts().sort_index()
    if len(counts) < 2:
        raise ConfigurationError(
            f"{len(answered)} presentations on {len(counts)} days were answered: they cannot be divided into "
            "a time to learn from and one to test on; wait for more outcomes, or give --split-on"
        )
    after = counts[::-1].cumsum()[::-1]
    # The first day of all leaves nothing to learn from
    days = after.index[1:]
    enough = [day for day in days if after[day] >= share * len(answered)]
    begins: pd.Timestamp = enough[-1] if enough else days[0]
    return begins.to_pydatetime()


def split(rows: pd.DataFrame, at: datetime) -> Split:
    """Divide labelled rows in time; what spans the split is in neither part.

    Raises
    ------
    ConfigurationError
        One part would be without a positive.
    """
    train = ((rows["window_ends_at"] < at) & rows["closed"]).to_numpy()
    test = (rows["at"] >= at).to_numpy()
    answered = rows["answered"].to_numpy()
    for name, mask in (("training", train), ("test", test)):
        if not answered[mask].any():
            message = f"a split on {at:%Y-%m-%d} leaves no answered presentation for {name}; move `split_on`"
            raise ConfigurationError(message)
    return Split(train, test)


@dataclass(frozen=True, slots=True)
class RowsUsed:
    """How many rows a part of the data had.

    Parameters
    ----------
    rows, positives, customers, observed
        Counts; ``observed`` is of rows whose exposure is on record.
    first, last
        When the first and the last presentation were, UTC.
    """

    rows: int
    positives: int
    customers: int
    observed: int
    first: datetime
    last: datetime


def rows_used(rows: pd.DataFrame) -> RowsUsed:
    """Count labelled rows."""
    return RowsUsed(
        rows=len(rows),
        positives=int(rows["answered"].sum()),
        customers=int(rows["customer_id"].nunique()),
        observed=int((rows["exposure"] == _OBSERVED).sum()),
        first=rows["at"].min().to_pydatetime(),
        last=rows["at"].max().to_pydatetime(),
    )


def questions(rows: pd.DataFrame) -> tuple[pd.DataFrame, NDArray[np.intp]]:
    """Return the distinct ``(customer_id, at)`` to ask the feature store, and each row's position in them.

    A customer gets many offers at one time; its features are asked once.
    """
    key = ["customer_id", "at"]
    position = rows.groupby(key, sort=False, observed=True).ngroup().to_numpy().astype(np.intp)
    return rows[key].drop_duplicates().reset_index(drop=True), position


def check_no_leak(
    asked: pd.DataFrame, found: pd.DataFrame, served: pd.DataFrame, *, names: Sequence[str]
) -> None:
    """Refuse features other than those of the newest snapshot served at or before the presentation.

    Parameters
    ----------
    asked
        Distinct questions, ``customer_id`` and ``at``.
    found
        What the feature store answered, aligned to ``asked``.
    served
        The same features read from that snapshot itself, aligned; missing where there was none.
    names
        Numeric features to compare.

    Raises
    ------
    InvariantViolation
        A value differs: the store answered with what was not known, or not yet known.
    """
    for name in names:
        answer = found[name].to_numpy(dtype=np.float64, na_value=np.nan)
        truth = served[name].to_numpy(dtype=np.float64, na_value=np.nan)
        differs = ~((answer == truth) | (np.isnan(answer) & np.isnan(truth)))
        if differs.any():
            first = int(differs.argmax())
            raise InvariantViolation(
                f"{int(differs.sum())} of {len(asked)} questions were answered with a {name} that was not "
                f"what was known then, the first of customer {asked['customer_id'].iloc[first]} at "
                f"{asked['at'].iloc[first]}; build the features again with `moment features build`"
            )


def facts_of(rows: pd.DataFrame, actions: Mapping[str, ActionFacts]) -> list[ActionFacts]:
    """Return the facts of each row's action, aligned to ``rows``.

    Raises
    ------
    ConfigurationError
        The catalogue does not know actions that were presented.
    """
    unknown = sorted(set(rows["action_id"]) - actions.keys())
    if unknown:
        raise ConfigurationError(
            f"the catalogue lacks {len(unknown)} actions that were presented, e.g. {unknown[0]}; "
            "add them, or name the catalogue they are in with --catalogue"
        )
    return [actions[action_id] for action_id in rows["action_id"]]


def narrowed(layout: RowLayout, leave_out: Sequence[str]) -> RowLayout:
    """Return a layout without some of its columns.

    Raises
    ------
    ConfigurationError
        A name is no column of it.
    """
    unknown = sorted(set(leave_out) - set(layout.names))
    if unknown:
        raise ConfigurationError(
            f"`leave_out` names {unknown[0]}, which is no column of the model's row; drop it"
        )
    return RowLayout(tuple(column for column in layout.columns if column.name not in leave_out))


def assemble(
    rows: pd.DataFrame,
    customers: pd.DataFrame,
    position: NDArray[np.intp],
    actions: Mapping[str, ActionFacts],
    layout: RowLayout,
) -> pd.DataFrame:
    """Return the model's rows.

    Parameters
    ----------
    rows
        ``n`` labelled rows.
    customers
        Features of the distinct questions.
    position
        Row of ``customers`` of each labelled row, shape (n,).
    actions
        The catalogue's actions by id.
    layout
        Columns of the result.

    Returns
    -------
    DataFrame
        ``n`` rows with the layout's columns; see `features.rows.training_frame`.
    """
    context = rows[["window_days", "offers_together", "exposure"]]
    answers = customers.take(position).set_axis(rows.index)
    return training_frame(answers, facts_of(rows, actions), context, layout)


def slices(rows: pd.DataFrame) -> dict[str, NDArray[np.bool_]]:
    """Return the parts of the test that are reported, as masks (n_rows,) over the test's rows.

    ``closed`` and ``observed`` rest on true negatives. The ``record`` slices also count what was not answered
    *yet* as not answered, as the data stands at its end: they understate, and serve comparison only.
    """
    closed = rows["closed"].to_numpy()
    observed = (rows["exposure"] == _OBSERVED).to_numpy()
    return {
        "closed": closed,
        "observed": closed & observed,
        "record": np.ones(len(rows), dtype=bool),
        "record_observed": observed,
    }


def golden_rows(
    matrix: NDArray[np.float32], groups: Sequence[str], actions: Sequence[str], *, seed: int
) -> GoldenRows:
    """Pick rows whose scores a bundle keeps: real ones, a quarter of them with values taken away.

    Parameters
    ----------
    matrix
        Encoded rows, shape (n, columns).
    groups, actions
        Of each row.
    """
    rng = np.random.default_rng(seed)
    picked = np.sort(rng.choice(len(matrix), size=min(GOLDEN_ROWS, len(matrix)), replace=False))
    rows = matrix[picked].copy()
    thinned = slice(3 * len(rows) // 4, None)
    rows[thinned][rng.random(rows[thinned].shape) < 0.5] = np.nan
    rows[-1] = np.nan
    return GoldenRows(rows, tuple(groups[i] for i in picked), tuple(actions[i] for i in picked))
