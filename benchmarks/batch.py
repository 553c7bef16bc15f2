"""A batch over a simulated population: ``python -m benchmarks.batch [--customers 1000000]``.

Everybody gets the five slots of a bank's app inbox: the example catalogue with its rules, limits, exclusions,
formula, experiments and control, gradient-boosted propensities, and histories of a tenth of the customers.
Then, in the same run, single decisions one after another for a sample: the peer, extrapolated. All data is
simulated.
"""

from __future__ import annotations

import argparse
import resource
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click
import numpy as np
import yaml

from benchmarks import machine
from features.contract import DType, FeatureContract, FeatureSpec, Purpose
from features.layout import (
    ColumnSource,
    RowLayout,
)
from features.population import LoadedView, Population
from features.rows import propensity_layout
from moment.home import Home
from moment.progress import step
from serving.adapters.bundles import BundleScorer
from serving.adapters.database import migrate
from serving.adapters.instants import to_microseconds
from serving.adapters.vault import Vault
from serving.batch.ask import BatchAsk
from serving.batch.models import Models
from serving.batch.opening import Setup, caller_of, decision_id, open_duckdb, open_histories
from serving.batch.people import People
from serving.batch.rows import Form
from serving.batch.running import Bounds, run
from serving.bootstrap import load_catalogue
from serving.bundles import (
    About,
    Axis,
    BundleKey,
    Calibration,
    GoldenRows,
    Kind,
    Persona,
    Personas,
    PropensityContent,
    action_facts,
    make_current,
    sign_bundle,
    write_propensity,
    write_segmentation,
)
from serving.decision.catalogue import Catalogue
from serving.decision.choose import choose
from serving.decision.shortlist import shortlist
from serving.records import Mode
from serving.settings import Settings
from serving.use_cases.asking import Ask
from serving.use_cases.decide import seed_of
from serving.use_cases.question import customer_of, request_of

BANK = Path(__file__).parents[1] / "serving" / "catalogue" / "examples" / "bank.yaml"
AS_OF = datetime(2026, 3, 2, tzinfo=UTC)
AT = datetime(2026, 3, 3, 11, tzinfo=UTC)
CHANNEL, PLACEMENT = "app", "inbox"
ABOUT = About(created_at="2026-03-02T00:00:00+00:00")
VIEW = "customer"
_SAMPLE = 2000


@dataclass(frozen=True, slots=True)
class World:
    """A home with a population, a catalogue and models, all simulated."""

    setup: Setup
    catalogue: Catalogue


def main(argv: Sequence[str]) -> None:
    """Make the population, run the batch, then the peer, and print the figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--customers", type=int, default=1_000_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--chunk", type=int, default=10_000)
    arguments = parser.parse_args(argv)
    click.echo(machine.facts())
    with tempfile.TemporaryDirectory() as folder:
        with step(f"Simulate {arguments.customers:,} customers"):
            world = simulate(Path(folder), arguments.customers)
        seconds = batch(world, Path(folder) / "offers.parquet", arguments.workers, arguments.chunk)
        peer(world, arguments.customers, arguments.workers, seconds)


def batch(world: World, out: Path, workers: int, chunk: int) -> float:
    """Run the batch and print what it took; return the seconds."""
    setup, plan = world.setup, world.catalogue.plan
    placement = plan.slates[CHANNEL, PLACEMENT].placement
    form = Form.of(world.catalogue, placement, content=False)
    with closing(open_duckdb(setup.home)) as connection:
        spans = setup.population.spans(connection, chunk)
    customers = sum(span.customers for span in spans)
    started, before = time.perf_counter(), _processor_seconds()
    with step(f"Decide for {customers:,} customers", total=customers) as bar:
        tally = run(setup, spans, form, Bounds(plan.budgets, {}), out, workers, bar)
    seconds, worked = time.perf_counter() - started, _processor_seconds() - before
    child, own = (
        resource.getrusage(who).ru_maxrss / 1024 for who in (resource.RUSAGE_CHILDREN, resource.RUSAGE_SELF)
    )
    click.echo(
        f"\nbatch: {customers:,} customers x {len(world.catalogue.actions)} actions, "
        f"{len(plan.rules.predicates) - 1} distinct predicates, "
        f"{len(world.catalogue.contact_policies)} contact policies, "
        f"{len(setup.population.contract.features)} features\n"
        f"  {seconds:,.0f} s with {workers} processes: {customers / seconds:,.0f} customers/s "
        f"({1000 * worked / customers:.2f} ms of processor each)\n"
        f"  peak memory {child:,.0f} MiB in the largest process, {own:,.0f} MiB in the one that writes\n"
        f"  {sum(tally.reach.values()):,} offers to {tally.offered:,} customers, "
        f"{out.stat().st_size / 2**20:,.0f} MiB of parquet; {tally.rejected:,} left out\n"
        f"  stopped some action for: {dict(tally.stopped)}"
    )
    return seconds


def _processor_seconds() -> float:
    """Return what this process and those that have ended under it have worked."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_CHILDREN, resource.RUSAGE_SELF)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def peer(world: World, customers: int, workers: int, seconds: float) -> None:
    """Decide for a sample one by one, features in memory already, and compare, extrapolated."""
    setup, catalogue = world.setup, world.catalogue
    ask, caller = setup.ask, caller_of(setup.ask)
    vault = Vault.open(setup.home)
    scorer = BundleScorer(Models.open(setup.home, setup.population.contract).propensity, catalogue.actions)
    with closing(open_duckdb(setup.home)) as connection:
        span = setup.population.spans(connection, min(_SAMPLE, customers))[0]
        people = People(setup.population, setup.population.read(connection, span), whole=False)
    histories, close = open_histories(setup.home)
    back = catalogue.plan.contacts.lookback(AT)
    newcomer, known = histories.standings(people.ids, mode=ask.mode, now=AT, back=back)
    close()
    scalars = [spec.name for spec in setup.population.contract.scalars]
    started, worked = time.perf_counter(), time.process_time()
    for place, customer_id in enumerate(people.ids):
        facts = people.facts(place)
        single = Ask(customer_id, CHANNEL, ((PLACEMENT, ask.slots),), time=AT)
        customer = customer_of(caller, single, facts, None, scalars)
        history = known.get(customer_id, newcomer).history
        left = shortlist(request_of(caller, single, catalogue), catalogue, customer, history, AT)
        scores = scorer.score(facts, left.contenders, left.context, ask.slots) if left.contenders else None
        seed = seed_of(decision_id(vault, AT, setup.batch_id, customer_id))
        choose(left, scores, history, np.random.default_rng(seed))
    each = (time.perf_counter() - started) / len(people.ids)
    worked = (time.process_time() - worked) / len(people.ids)
    alone = each * customers / workers
    click.echo(
        f"peer: {len(people.ids):,} single decisions one by one, features in memory, nothing written: "
        f"{each * 1000:.2f} ms each ({worked * 1000:.2f} of processor)\n"
        f"  extrapolated to {customers:,} customers on {workers} cores: {alone:,.0f} s, "
        f"{alone / seconds:.1f} times the batch"
    )


def simulate(root: Path, customers: int) -> World:
    """Write everything a batch needs, simulated."""
    home = Home(root / "home", root / "mlruns")
    (home.root / "tmp").mkdir(parents=True)
    catalogue_file = root / "bank.yaml"
    columns = write_catalogue(catalogue_file)
    contract = FeatureContract("customer_v1", tuple(_specs(columns)))
    file = root / "customers.parquet"
    write_customers(home, file, contract, customers)
    population = Population(contract, (LoadedView(VIEW, file, AS_OF),), AT)
    settings = Settings(catalogue=catalogue_file)
    catalogue = load_catalogue(settings, contract)
    write_models(home, contract, catalogue)
    write_histories(home, catalogue, customers)
    models = Models.open(home, contract)
    versions = models.versions(catalogue)
    placement = catalogue.placement(CHANNEL, PLACEMENT)
    ask = BatchAsk(
        channel=CHANNEL,
        placement=PLACEMENT,
        slots=1 if placement is None else placement.slots,
        where="",
        condition="",
        at=AT,
        mode=Mode.LIVE,
        reserve=None,
        content=False,
    )
    setup = Setup(home, settings, ask, ask.batch_id(versions, population.as_of), population, versions)
    return World(setup, catalogue)


def write_catalogue(file: Path) -> dict[str, Any]:
    """Write the bank's catalogue without the consents it asks for, which nobody here has given.

    Returns
    -------
    dict
        What it reads of the customer.
    """

    def stripped(node: Any) -> Any:  # noqa: ANN401 - YAML
        if isinstance(node, dict):
            return {name: stripped(value) for name, value in node.items() if name != "purposes"}
        return [stripped(value) for value in node] if isinstance(node, list) else node

    content = stripped(yaml.safe_load(BANK.read_text(encoding="utf-8")))
    content["defaults"] = {**(content.get("defaults") or {}), "purposes": []}
    file.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    columns: dict[str, Any] = content["customer"]
    return columns


def _specs(columns: dict[str, Any]) -> Iterator[FeatureSpec]:
    for name, column in columns.items():
        words = tuple(column.get("values", ()))
        yield FeatureSpec(
            name, DType(column["type"]), "", Purpose.SERVICE, column["meaning"], "simulated", VIEW,
            timedelta(days=8), words,
        )  # fmt: skip


def write_customers(home: Home, file: Path, contract: FeatureContract, customers: int) -> None:
    """Write as many customers, sorted by id; a tenth of the values is missing."""
    drawn = ", ".join(
        f'CASE WHEN random() > 0.1 THEN {_drawn(spec)} END AS "{spec.name}"' for spec in contract
    )
    with closing(open_duckdb(home)) as connection:
        connection.execute("SELECT setseed(0.5)")
        connection.execute(
            f"COPY (SELECT format('c{{:07d}}', i) AS customer_id, {drawn}, "  # noqa: S608 - our own names
            f'{int(AS_OF.timestamp())}::BIGINT AS "{VIEW}_as_of" FROM range({customers}) AS r(i)) '
            f"TO '{file}' (FORMAT parquet, ROW_GROUP_SIZE 20480)"
        )


def _drawn(spec: FeatureSpec) -> str:
    match spec.dtype:
        case DType.BOOL:
            # What a bank holds against customers is rare, what they hold is not
            return f"random() < {0.1 if spec.name in RARE else 0.4}"
        case DType.INT64:
            return "CAST(floor(90 * random() * random()) AS BIGINT)"
        case DType.FLOAT64:
            return "random() * 4000 * random()"
    words = spec.categories or ("Alex", "Kim", "Robin")
    listed = ", ".join(f"'{word}'" for word in words)
    return f"list_extract([{listed}], 1 + CAST(floor(random() * {len(words)}) AS INTEGER))"


RARE = frozenset({"vulnerable", "has_open_complaint", "fraud_alert_open", "salary_stopped", "hit_by_outage",
                  "terms_change_due", "rate_change_due"})  # fmt: skip


def write_models(home: Home, contract: FeatureContract, catalogue: Catalogue) -> None:
    """Write boosted trees over every column, and one persona."""
    import xgboost

    facts = [action_facts(action) for action in catalogue.actions]
    wide = propensity_layout(contract, facts)
    layout = RowLayout(tuple(column for column in wide.columns if column.source is not ColumnSource.CROSS))
    rng = np.random.default_rng(11)
    matrix = rng.uniform(0, 90, (5000, len(layout.columns))).astype(np.float32)
    for place, column in enumerate(layout.columns):
        if column.categories:
            matrix[:, place] = rng.integers(0, len(column.categories), len(matrix))
    label = (rng.random(len(matrix)) < 0.1 + 0.2 * (matrix[:, 2] > 60)).astype(np.float32)
    kinds = ["c" if column.categories else "q" for column in layout.columns]
    data = xgboost.DMatrix(matrix, label, feature_types=kinds, enable_categorical=True)
    booster = xgboost.train({"objective": "binary:logistic", "max_depth": 4, "nthread": 1}, data, 100)
    content = PropensityContent(
        kind=Kind.XGBOOST,
        model=bytes(booster.save_raw("ubj")),
        layout=layout,
        contract=contract,
        calibration=Calibration(1.0, -1.0),
        golden=GoldenRows(
            matrix[:4],
            tuple(action.group for action in catalogue.actions[:4]),
            tuple(str(action.action_id) for action in catalogue.actions[:4]),
        ),
        libraries={"xgboost": xgboost.__version__},
    )
    sign_and_serve(home, write_propensity(home.bundles, content, ABOUT))
    personas = Personas((Axis("age"),), ((0.0,),), (Persona("Everybody", 1.0, 1),))
    segmentation = write_segmentation(
        home.bundles, model=personas, contract=contract, golden=[{"age": 40}], about=ABOUT
    )
    sign_and_serve(home, segmentation)


def sign_and_serve(home: Home, bundle: Path) -> None:
    """Sign a bundle with the home's key, and make it the one to serve."""
    sign_bundle(bundle, BundleKey.of_home(home.keys))
    make_current(bundle)


def write_histories(home: Home, catalogue: Catalogue, customers: int) -> None:
    """Let every tenth customer have been shown up to eight offers in two days, and said no to one."""
    vault = Vault.open(home)
    migrate(home.database)
    rng = np.random.default_rng(3)
    actions = catalogue.actions
    rows: list[tuple[object, ...]] = []
    versions, refusals = [], []
    for number in range(0, customers, 10):
        name = f"c{number:07d}"
        customer = vault.ref(name)
        versions.append((customer, "live", 1, 0))
        for place in range(int(rng.integers(1, 9))):
            action = actions[int(rng.integers(len(actions)))]
            shown = to_microseconds(AT - timedelta(hours=float(rng.uniform(1, 48))))
            named = (action.action_id, action.group, action.issue, CHANNEL, int(action.mandatory is not None))
            rows.append((f"{name}.{place}", "live", customer, *named, *(shown,) * 4))
        refusals.append((f"{name}.0", "no", "live", customer, "rejected", rows[-1][-1], rows[-1][-1]))
    with closing(sqlite3.connect(home.database)) as connection, connection:
        connection.executemany("INSERT INTO outcomes VALUES (?, ?, ?, ?, ?, ?, ?)", refusals)
        connection.executemany(
            "INSERT INTO contacts (tracking_id, mode, customer_ref, action_id, group_name, issue, channel, "
            "mandatory, decided_at, reserved_until, presented_at, matters_until) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            rows,
        )
        connection.executemany("INSERT INTO contact_versions VALUES (?, ?, ?, ?)", versions)


if __name__ == "__main__":
    main(sys.argv[1:])
