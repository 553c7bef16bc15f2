"""Assembling the propensity training set: lake, catalogue and feature store, read once each."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd

from features import lake
from features.contract import DType, FeatureContract, FeatureSpec
from features.rows import ActionFacts, RowLayout, propensity_layout
from features.snapshots import newest_served, snapshot_file
from features.sources.decision_records import NAME as DECISION_RECORDS
from features.store import FeatureStore
from moment.errors import StepMissing
from moment.home import Home
from moment.private import replacing
from moment.progress import step
from serving import catalogue as catalogues
from serving.bundles import action_facts
from training.pipelines.propensity import consents, nodes
from training.pipelines.propensity.settings import PropensitySettings

GROCERIES = Path(catalogues.__file__).parent / "examples" / "groceries.yaml"
"""The catalogue that comes with Moment."""

_PRESENTATIONS = """
    SELECT presentation_id, customer_id, action_id, channel, campaign_id, campaign_kind, exposure,
           occurred_at, window_ends_at, offers_together, purposes,
           presentation_id IN (SELECT presentation_id FROM decided) AS decided
    FROM presentations
    WHERE window_ends_at IS NOT NULL
"""
_OUTCOMES = "SELECT presentation_id, kind, occurred_at FROM outcomes"
_RECORD = """
    SELECT min(occurred_at), max(occurred_at)
    FROM (
        SELECT occurred_at FROM transactions
        UNION ALL SELECT occurred_at FROM outcomes
            WHERE presentation_id NOT IN (SELECT presentation_id FROM decided)
    )
"""
_DECIDED_RECORD = "SELECT min(occurred_at), max(window_ends_at) FROM presentations"


@dataclass(frozen=True, slots=True)
class TrainingSet:
    """Labelled rows with what was known of each customer at the time.

    Parameters
    ----------
    rows
        Identity, time and label of each row; see `nodes.label`. Only rows that train or test.
    frame
        The model's columns, aligned to ``rows``.
    split, split_at
        Which rows train and which test, and the instant that divides them, UTC.
    layout, contract
        Columns of ``frame``, and the customer features behind them.
    actions
        The catalogue's actions by id.
    positive
        The kind of outcome that answers each action, by its id.
    record
        The span of time the data speaks of.
    left_out
        How many presentations are in neither part, by reason.
    snapshots
        Times of the feature snapshots the rows were answered from, oldest first.
    consents
        In a line: what was masked for want of consent, or what was assumed.
    digest
        SHA-256 of what the set was made from: lake, features and catalogue.
    """

    rows: pd.DataFrame
    frame: pd.DataFrame
    split: nodes.Split
    split_at: datetime
    layout: RowLayout
    contract: FeatureContract
    actions: Mapping[str, ActionFacts]
    positive: Mapping[str, str]
    record: nodes.Record
    left_out: Mapping[str, int]
    snapshots: tuple[datetime, ...]
    consents: str
    digest: str

    def describe(self) -> Described:
        """Return its counts."""
        return Described(
            parts={
                "training": nodes.rows_used(self.rows.loc[self.split.train]),
                "test": nodes.rows_used(self.rows.loc[self.split.test]),
            },
            left_out=self.left_out,
            columns=self.layout.names,
            consents=self.consents,
            digest=self.digest,
        )


@dataclass(frozen=True, slots=True)
class Described:
    """A training set in numbers.

    Parameters
    ----------
    parts
        ``training`` and ``test``.
    left_out
        Presentations in neither, by reason.
    columns
        Names of the model's columns, in order.
    consents
        What was masked for want of consent, or what was assumed.
    digest
        SHA-256 of what the set was made from.
    """

    parts: Mapping[str, nodes.RowsUsed]
    left_out: Mapping[str, int]
    columns: tuple[str, ...]
    consents: str
    digest: str


def training_set(home: Home, settings: PropensitySettings, *, catalogue: Path | None = None) -> TrainingSet:
    """Assemble the training set.

    Raises
    ------
    StepMissing
        Nothing is ingested, or no features are built.
    ConfigurationError
        The catalogue is wrong, or lacks actions that were presented.
    """
    path = catalogue or GROCERIES
    catalogued = catalogues.load(path).actions
    actions = {str(action.action_id): action_facts(action) for action in catalogued}
    positive = {str(action.action_id): action.positive_outcome for action in catalogued}
    with step("Read what was presented and what was answered"):
        presentations, outcomes, record = _read(home)
        labelled = nodes.label(presentations, outcomes, positive=positive, record=record)
        split_at = settings.split_at or nodes.newest_period(labelled, settings.test_share)
        split = nodes.split(labelled, split_at)
        rows = labelled.loc[split.used].reset_index(drop=True)
    with step(f"Look up {rows['customer_id'].nunique():,} customers as they were at each campaign"):
        store = FeatureStore(home)
        asked, position = nodes.questions(rows)
        customers = store.historical(asked)
        snapshots = _check_no_leak(home, store, asked, customers)
        channels = rows["channel"].groupby(position).agg(frozenset).tolist()
        recorded = consents.recorded_purposes(rows["purposes"], position, len(asked))
        told = consents.read_consents(home)
        seen = consents.mask(customers, asked, channels, store.contract, told, recorded=recorded)
    with step(f"Build {len(rows):,} rows of customer, action and context"):
        whole = propensity_layout(store.contract, actions.values())
        layout = nodes.narrowed(whole, settings.leave_out)
        frame = nodes.assemble(rows, seen.features, position, actions, layout)
    return TrainingSet(
        rows=rows,
        frame=frame,
        split=nodes.Split(split.train[split.used], split.test[split.used]),
        split_at=split_at,
        layout=layout,
        contract=store.contract,
        actions=actions,
        positive=positive,
        record=record,
        left_out={
            "before the record begins": len(presentations) - len(labelled),
            "window spans the split": int((~split.used).sum()),
        },
        snapshots=snapshots,
        consents=seen.statement,
        digest=data_digest(home, store.contract, path),
    )


def data_digest(home: Home, contract: FeatureContract, catalogue: Path | None = None) -> str:
    """Return the SHA-256 of what a training set is made from: lake, features and catalogue."""
    text = (catalogue or GROCERIES).read_bytes()
    parts = (lake.digest(home), contract.digest(), hashlib.sha256(text).hexdigest())
    return hashlib.sha256("".join(parts).encode()).hexdigest()


def write_parquet(data: TrainingSet, path: Path) -> None:
    """Write identity, label, part and the model's columns of every row to one parquet file, at once."""
    part = pd.Series("training", index=data.rows.index).mask(pd.Series(data.split.test), "test")
    identity = data.rows.drop(columns=[name for name in data.frame if name in data.rows])
    whole = pd.concat([identity.assign(part=part), data.frame], axis=1)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as beside:
        whole.to_parquet(beside, index=False, compression="zstd", coerce_timestamps="us")


def _check_no_leak(
    home: Home, store: FeatureStore, asked: pd.DataFrame, found: pd.DataFrame
) -> tuple[datetime, ...]:
    """Compare Feast's answers with the snapshots that were the newest served then; return their times."""
    numeric = [spec for spec in store.contract.scalars if spec.dtype in (DType.INT64, DType.FLOAT64)]
    times = store.snapshot_times()
    answered = {at: newest_served(times, at.to_pydatetime()) for at in asked["at"].unique()}
    served = pd.concat([_served(home, numeric, asked, at, time) for at, time in answered.items()])
    nodes.check_no_leak(asked, found, served.loc[asked.index], names=[spec.name for spec in numeric])
    return tuple(sorted({time for time in answered.values() if time is not None}))


def _served(
    home: Home, specs: Sequence[FeatureSpec], asked: pd.DataFrame, at: pd.Timestamp, time: datetime | None
) -> pd.DataFrame:
    """Return one time's questions answered from one snapshot's files, without Feast."""
    questions = asked.loc[asked["at"] == at, "customer_id"]
    answers = pd.DataFrame(index=questions.index)
    for view in dict.fromkeys(spec.view for spec in specs):
        wanted = [spec for spec in specs if spec.view == view]
        names = [spec.name for spec in wanted]
        if time is None:
            answers[names] = np.nan
            continue
        file = snapshot_file(home, view, time)
        snapshot = pd.read_parquet(file, columns=["customer_id", *names]).set_index("customer_id")
        fresh = [spec.name for spec in wanted if at - time <= spec.max_age]
        values = snapshot[fresh].astype(np.float64).reindex(questions).reindex(columns=names)
        answers[names] = values.to_numpy()
    return answers


def _read(home: Home) -> tuple[pd.DataFrame, pd.DataFrame, nodes.Record]:
    """Return what was presented and answered, and the time that sources other than our records speak of."""
    with lake.connect(home) as connection:
        connection.execute(_decided_view(home))
        presentations = _in_utc(connection.execute(_PRESENTATIONS).df())
        outcomes = _in_utc(connection.execute(_OUTCOMES).df())
        begins, ends = connection.execute(_RECORD).fetchone()
        if begins is None:
            begins, ends = connection.execute(_DECIDED_RECORD).fetchone()
    if begins is None or presentations.empty:
        raise StepMissing("nothing that was presented has a window that closed", run="moment ingest")
    return presentations, outcomes, nodes.Record(_utc(begins), _utc(ends))


def _decided_view(home: Home) -> str:
    """Return the SQL of a view with the ids of what was presented by our own recorded decisions."""
    file = lake.table_file(home, "presentations", DECISION_RECORDS)
    if not file.is_file():
        return "CREATE VIEW decided AS SELECT NULL::VARCHAR AS presentation_id WHERE FALSE"
    path = str(file).replace("'", "''")
    return f"CREATE VIEW decided AS SELECT presentation_id FROM read_parquet('{path}')"  # noqa: S608


def _in_utc(rows: pd.DataFrame) -> pd.DataFrame:
    instants = rows.select_dtypes("datetime").columns
    return rows.assign(**{name: rows[name].dt.tz_localize(UTC) for name in instants})


def _utc(instant: datetime) -> datetime:
    return instant.replace(tzinfo=UTC)
