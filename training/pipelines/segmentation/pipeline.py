"""The segmentation pipeline's wiring: customers as they are now, personas, bundle, MLflow, report."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd

from features import lake
from features.contract import FeatureContract
from features.snapshots import SERVING_LAG, snapshot_times
from features.store import FeatureStore
from moment.errors import InvariantViolation, StepMissing
from moment.home import Home
from moment.progress import step
from serving.bundles import About, SegmentationBundle, make_current, open_segmentation, write_segmentation
from training import reports
from training.gates import gate_metrics, gate_tags
from training.models.segmentation import SegmentationModel
from training.pipelines.segmentation import nodes, reproducing
from training.pipelines.segmentation.judging import Case, judge
from training.pipelines.segmentation.result import SegmentationResult
from training.pipelines.segmentation.settings import SegmentationSettings
from training.plots import gates_plot, intervals_plot, personas_plot
from training.registry import Registered, describe, register
from training.tracking import Data, Run, run

MODEL = "segmentation"

_SAMPLE_ROWS = 1000


@dataclass(frozen=True, slots=True)
class _Customers:
    """Customers as they were at a time and some weeks before it, aligned: the segmentation's columns.

    ``asked`` counts those of whom nothing is known as well; ``identities`` says who they are.
    """

    as_of: datetime
    identities: tuple[str, ...]
    now: pd.DataFrame
    before: pd.DataFrame
    asked: int
    digest: str


def train(
    home: Home,
    settings: SegmentationSettings,
    *,
    champion: Path | None = None,
    adopt: bool = True,
    reason: str = "",
) -> SegmentationResult:
    """Find personas, bundle, judge, record and report them.

    What the gates find is told; whether the personas may serve is decided by the ledger, not here.

    Parameters
    ----------
    home
        Where data, features and bundles are.
    settings
        Of the pipeline.
    champion
        Bundle of the segmentation that serves, to compare with; None: there is none.
    adopt
        Make the bundle the current one at once: for use without a ledger.
    reason
        Why it is trained, e.g. ``schedule``: a tag of the run.

    Raises
    ------
    StepMissing
        Nothing is ingested, or no features are built.
    ConfigurationError
        The settings name a feature the contract has not.
    InvariantViolation
        The bundle does not place customers as the estimator does.
    """
    started = time.monotonic()
    store = FeatureStore(home)
    nodes.check_features(settings.features, store.contract)
    with step("Look up the customers as they are now"):
        customers = _customers(home, store, settings)
    with run(home, MODEL, name=f"seed {settings.seed}, data {customers.digest[:12]}") as record:
        record.tags({"moment.reason": reason or "hand"})
        with step(f"Find personas among {len(customers.now):,} customers"):
            model = _model(settings).fit(customers.now)
        draft = _summarize(customers, model, settings, store)
        bundle, registered = _published(
            home, customers, model, settings, store=store, draft=draft, run_id=record.run_id
        )
        gates = judge(Case(model, customers.now, customers.asked, draft.stayed, bundle, champion), settings)
        with step("Write the report"):
            result = replace(
                draft,
                gates=gates,
                champion=champion.name if champion else "",
                version=bundle.version,
                digest=bundle.digest,
                run_id=record.run_id,
                registered=registered.number,
                seconds=round(time.monotonic() - started, 1),
            )
            _report(home, record, customers, result, settings)
        if adopt:
            make_current(bundle.folder)
    return result


def _customers(home: Home, store: FeatureStore, settings: SegmentationSettings) -> _Customers:
    at = _newest_served(home, store.contract)
    identities = _identities(home)
    weeks = timedelta(weeks=settings.compare_weeks)
    asked = pd.concat(
        [pd.DataFrame({"customer_id": identities, "at": time}) for time in (at, at - weeks)],
        ignore_index=True,
    )
    frame = nodes.model_frame(store.historical(asked), settings.features, store.contract)
    now, before = (
        part.reset_index(drop=True) for part in (frame[: len(identities)], frame[len(identities) :])
    )
    known = nodes.known(now)
    if not known.any():
        raise StepMissing("no customer has a feature to tell personas by", run="moment features build")
    return _Customers(
        as_of=at,
        identities=tuple(name for name, there in zip(identities, known, strict=True) if there),
        now=now.loc[known].reset_index(drop=True),
        before=before.loc[known].reset_index(drop=True),
        asked=len(identities),
        digest=newest_digest(home, store.contract),
    )


def newest_digest(home: Home, contract: FeatureContract) -> str:
    """Return the SHA-256 of what a segmentation would be made from now: lake, features and their time.

    Raises
    ------
    StepMissing
        Nothing is ingested, or no features are built.
    """
    at = _newest_served(home, contract)
    return hashlib.sha256(f"{lake.digest(home)}{contract.digest()}{at.isoformat()}".encode()).hexdigest()


def _newest_served(home: Home, contract: FeatureContract) -> datetime:
    """Return when the newest snapshot of every view was served."""
    times = [snapshot_times(home, view) for view in sorted({spec.view for spec in contract})]
    if not all(times):
        raise StepMissing("no features are built", run="moment features build")
    return min(view[-1] for view in times) + SERVING_LAG


def _identities(home: Home) -> list[str]:
    with lake.connect(home) as connection:
        rows = connection.execute("SELECT DISTINCT customer_id FROM customers ORDER BY 1").fetchall()
    return [str(row[0]) for row in rows]


def _model(settings: SegmentationSettings) -> SegmentationModel:
    return SegmentationModel(
        clusters=settings.clusters,
        pairs=settings.pairs,
        min_share=settings.min_share,
        min_stability=settings.min_stability,
        categorical_weight=settings.categorical_weight,
        weights=dict(settings.weights) or None,
        phrases=reproducing.phrases(settings.phrases),
        noun=settings.noun,
        random_state=settings.seed,
    )


def _summarize(
    customers: _Customers, model: SegmentationModel, settings: SegmentationSettings, store: FeatureStore
) -> SegmentationResult:
    """Return the result as far as it is known before the bundle is written."""
    leaking = tuple(
        spec.name for spec in store.contract if spec.from_snapshot and spec.name in settings.features
    )
    there = nodes.known(customers.before)
    return SegmentationResult(
        version="",
        digest="",
        run_id="",
        registered="",
        as_of=customers.as_of,
        seed=settings.seed,
        customers=len(customers.now),
        personas=tuple(model.personas_),
        stability=dict(model.stability_),
        compare_weeks=settings.compare_weeks,
        stayed=nodes.stayed(
            model.predict(customers.now.loc[there]), model.predict(customers.before.loc[there])
        ),
        gates=(),
        champion="",
        leaking=leaking,
        notes=_notes(model, leaking),
        data_digest=customers.digest,
        seconds=0.0,
    )


def _notes(model: SegmentationModel, leaking: tuple[str, ...]) -> tuple[str, ...]:
    chosen = model.stability_[model.n_clusters_]
    agree = f"two resamples of the customers agree on them with an adjusted Rand index of {chosen}"
    said = [f"{model.n_clusters_} personas; {agree}."]
    if leaking:
        told = "come from a table without history and may hold what was learned later"
        said.append(f"Leak warning: {', '.join(leaking)} {told}.")
    said.append("A persona describes; it is no forecast and no ground for unequal treatment.")
    return tuple(said)


def _published(
    home: Home,
    customers: _Customers,
    model: SegmentationModel,
    settings: SegmentationSettings,
    *,
    store: FeatureStore,
    draft: SegmentationResult,
    run_id: str,
) -> tuple[SegmentationBundle, Registered]:
    """Bundle and register the personas, and keep what it takes to make them again."""
    with step("Write, verify and register the bundle"):
        about = About(
            created_at=datetime.now(UTC).isoformat(timespec="seconds"),
            run_id=run_id,
            metrics=_metrics(draft),
            notes=draft.notes,
            data_digest=customers.digest,
        )
        bundle = _bundle(home, customers, model, store, about)
        registered = register(home, bundle.folder)
        reproducing.keep(
            home,
            customers.identities,
            customers.now,
            model=model,
            settings=settings,
            bundle=bundle,
            data_digest=customers.digest,
        )
    return bundle, registered


def _bundle(
    home: Home,
    customers: _Customers,
    model: SegmentationModel,
    store: FeatureStore,
    about: About,
) -> SegmentationBundle:
    """Write the bundle, open it as serving does, and check that it places customers as the estimator does."""
    folder = write_segmentation(
        home.bundles,
        model=model.to_state(),
        contract=store.contract,
        golden=nodes.golden_customers(customers.now, seed=int(model.random_state)),
        about=about,
    )
    bundle = open_segmentation(folder)
    expected = model.predict(customers.now)
    placed = [bundle.model.place(values) for values in nodes.as_values(customers.now)]
    moved = sum(int(left != right) for left, right in zip(expected, placed, strict=True))
    if moved:
        raise InvariantViolation(
            f"bundle {bundle.version} places {moved} of {len(placed)} customers elsewhere than the estimator "
            "it was made of; it was not made current"
        )
    return bundle


def _metrics(result: SegmentationResult) -> dict[str, float]:
    chosen = result.stability[len(result.personas)]
    flat: dict[str, float] = {"personas": len(result.personas), "customers": result.customers}
    for name, value in (("stability", chosen), ("stayed", result.stayed)):
        flat |= {name: value.value, f"{name}_low": value.low, f"{name}_high": value.high}
    for count, value in result.stability.items():
        flat |= {
            f"personas {count}/stability": value.value,
            f"personas {count}/stability_low": value.low,
            f"personas {count}/stability_high": value.high,
        }
    return flat | {f"persona {item.name}/share": item.share for item in result.personas}


def _report(
    home: Home,
    record: Run,
    customers: _Customers,
    result: SegmentationResult,
    settings: SegmentationSettings,
) -> None:
    """Write the card to where people look: the registry, the run, and the home's reports."""
    card = reports.segmentation_card(result)
    describe(home, Registered(MODEL, result.registered), card)
    _record(record, customers, settings, result, card)
    reports.write_report(home.reports, MODEL, card, result)


def _record(
    record: Run, customers: _Customers, settings: SegmentationSettings, result: SegmentationResult, card: str
) -> None:
    """Record everything about the run in MLflow."""
    record.parameters(
        {
            "features": ", ".join(settings.features),
            "clusters": ", ".join(map(str, settings.clusters)),
            "pairs": settings.pairs,
            "min_share": settings.min_share,
            "min_stability": settings.min_stability,
            "categorical_weight": settings.categorical_weight,
            "seed": settings.seed,
        }
    )
    record.tags(
        {
            "moment.bundle": result.version,
            "moment.data": result.data_digest,
            "moment.as_of": result.as_of.isoformat(),
            "moment.champion": result.champion or "none",
            **gate_tags(result.gates),
        }
    )
    record.metrics(_metrics(result) | gate_metrics(result.gates))
    sample = customers.now.head(_SAMPLE_ROWS)
    record.data(Data("customers", "training", result.data_digest, sample, "features of the newest snapshot"))
    record.text("model_card.md", card)
    record.text("report.json", reports.to_json(result).decode())
    record.figure("plots/personas.png", personas_plot(result.personas, title="Personas"))
    by_count = {f"{count} personas": value for count, value in sorted(result.stability.items())}
    record.figure(
        "plots/stability.png",
        intervals_plot(by_count, title="How many personas?", label="adjusted Rand index of resamples"),
    )
    record.figure("plots/gates.png", gates_plot(result.gates, title="Gates"))
