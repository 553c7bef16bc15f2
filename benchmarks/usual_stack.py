"""What a capable team writes in a week, a peer for `benchmarks.load`: FastAPI, Feast's SDK, XGBoost, SQLite.

One call decides like Moment's: it reads the customer with Feast's SDK (every number that Moment reads, none
of the words and lists), asks a loop of rules about each candidate, scores the rest as one pandas frame with
an ``XGBClassifier``, sorts by probability times value, and commits one row before it answers. It promises
nothing else: no limits, no reasons, no action probability, no idempotency, no keys, no replay.

The model is fitted at start on simulated rows; what it says is of no meaning, what it costs is.
"""

from __future__ import annotations

import json
import os
import sqlite3
import sys
import threading
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import pandas as pd

CANDIDATES = 200
TREES = 300
SLOTS = 3

Row = Mapping[str, Any]
Rule = Callable[[Row, Row], bool]

RULES: tuple[Rule, ...] = (
    lambda customer, action: (customer["days_since_purchase"] or 0) <= action["patience"],
    lambda customer, action: (customer["shopping_days_90d"] or 0) >= action["floor"],
    lambda customer, action: not action["luxury"] or (customer["spend_90d"] or 0) > 100,
    lambda _, action: action["starts"] <= 20260101,
)


_ONE_AT_A_TIME = threading.Lock()
"""One connection a worker, which threads of FastAPI take in turn."""


@dataclass(frozen=True, slots=True)
class Stack:
    """What a worker holds open."""

    store: Any
    references: list[str]
    columns: list[str]
    model: Any
    actions: list[dict[str, Any]]
    database: sqlite3.Connection

    def decide(self, customer_id: str) -> dict[str, Any]:
        """Return the best offers for a customer, committed before they are returned."""
        read = self.store.get_online_features(
            features=self.references, entity_rows=[{"customer_id": customer_id}]
        ).to_dict()
        customer = {name: values[0] for name, values in read.items()}
        left = [action for action in self.actions if all(rule(customer, action) for rule in RULES)]
        offers = self._best(customer, left) if left else []
        decision = {"decision_id": str(uuid.uuid4()), "customer_id": customer_id, "offers": offers}
        # As long as the customer's id: a benchmark that is killed leaves nobody's decisions behind
        nobody = "0" * len(customer_id)
        kept = json.dumps({**decision, "customer_id": nobody})
        with _ONE_AT_A_TIME, self.database:
            self.database.execute(
                "INSERT INTO decisions VALUES (?, ?, ?)",
                (decision["decision_id"], nobody, kept),
            )
        return decision

    def _best(self, customer: Row, left: list[dict[str, Any]]) -> list[dict[str, Any]]:
        numbers = {name: customer[name] for name in self.columns}
        frame = pd.DataFrame([{**numbers, **_facts(action)} for action in left], dtype=np.float32)
        chance = self.model.predict_proba(frame)[:, 1]
        worth = chance * np.array([action["value"] for action in left])
        best = np.argsort(-worth)[:SLOTS]
        return [{"action": left[place]["name"], "priority": float(worth[place])} for place in best]


def open_stack(home: Path, database: Path) -> Stack:
    """Open Feast on Moment's own store, fit the model, and make the table."""
    from feast import FeatureStore
    from xgboost import XGBClassifier

    import feature_repo
    from features.contract import DType
    from features.definitions import all_views

    os.environ["MOMENT_HOME"] = str(home)
    chosen = [
        (view.name, spec.name)
        for view in all_views()
        for spec in view.specs
        if spec.dtype in (DType.INT64, DType.FLOAT64)
    ]
    columns = [name for _, name in chosen]
    rng = np.random.default_rng(7)
    actions = [_action(number, rng) for number in range(CANDIDATES)]
    names = [*columns, *_facts(actions[0])]
    rows = pd.DataFrame(rng.normal(size=(4000, len(names))), columns=names, dtype=np.float32)
    model = XGBClassifier(n_estimators=TREES, max_depth=6, n_jobs=1)
    model.fit(rows, rng.random(4000) < 0.1)
    connection = sqlite3.connect(database, check_same_thread=False, timeout=30)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute(
        "CREATE TABLE IF NOT EXISTS decisions (id TEXT PRIMARY KEY, customer TEXT, record TEXT)"
    )
    store = FeatureStore(repo_path=str(Path(feature_repo.__file__).parent))
    return Stack(store, [f"{view}:{name}" for view, name in chosen], columns, model, actions, connection)


def _action(number: int, rng: np.random.Generator) -> dict[str, Any]:
    return {
        "name": f"action-{number}",
        "value": float(rng.uniform(1, 10)),
        "patience": 10_000,
        "floor": 0,
        "luxury": bool(rng.random() < 0.05),
        "starts": 20250101,
        **{f"fact_{fact}": float(rng.normal()) for fact in range(5)},
    }


def _facts(action: Row) -> dict[str, float]:
    return {name: value for name, value in action.items() if name.startswith("fact_")}


def app() -> Any:  # noqa: ANN401 - FastAPI's application
    """Return the application of one worker; what it opens is named by the environment."""
    from fastapi import FastAPI
    from pydantic import BaseModel

    class Ask(BaseModel):
        customer_id: str
        channel: str

    stack = open_stack(Path(os.environ["USUAL_HOME"]), Path(os.environ["USUAL_DATABASE"]))
    application = FastAPI()

    def decide(ask: Ask) -> dict[str, Any]:
        return stack.decide(ask.customer_id)

    def ready() -> dict[str, str]:
        return {"status": "ready"}

    decide.__annotations__["ask"] = Ask
    application.post("/v1/decisions")(decide)
    application.get("/readyz")(ready)
    return application


@click.command()
@click.option("--port", type=int, required=True)
@click.option("--workers", type=int, default=1)
def serve(port: int, workers: int) -> None:
    """Serve on this machine; USUAL_HOME and USUAL_DATABASE name Moment's home and a new file."""
    import uvicorn

    uvicorn.run(
        "benchmarks.usual_stack:app",
        factory=True,
        host="127.0.0.1",
        port=port,
        workers=workers,
        access_log=False,
        log_level="warning",
    )


if __name__ == "__main__":
    sys.exit(serve())
