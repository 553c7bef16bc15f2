"""Runs in MLflow: what was trained, on which data, with which figures. One of MLflow's two owners.

The database is ``mlruns/mlflow.db`` and the artifacts are beside it, so that
``mlflow ui --backend-store-uri sqlite:///mlruns/mlflow.db`` shows them. MLflow is imported when a run begins,
which takes seconds; importing this module is cheap.
"""

from __future__ import annotations

import logging
import math
import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import moment
from moment.home import Home
from moment.progress import step

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

Parameter = str | int | float | bool | None
"""One logged parameter."""

DATABASE = "mlflow.db"
_METRIC_BATCH = 1000


@dataclass(frozen=True, slots=True)
class Data:
    """The rows a run used, as MLflow shows them.

    Parameters
    ----------
    name
        What they are, e.g. ``training rows``.
    role
        What they were for: ``training``, ``test``.
    digest
        SHA-256 of what they were made from, or its beginning.
    sample
        Some of the rows: MLflow keeps their schema.
    source
        Where they come from, in words or as a path within the home.
    """

    name: str
    role: str
    digest: str
    sample: pd.DataFrame
    source: str


class Run:
    """A run that is being recorded.

    Parameters
    ----------
    mlflow
        The imported module, its tracking database set.
    run_id
        MLflow's id of the run.
    """

    def __init__(self, mlflow: Any, run_id: str) -> None:  # noqa: ANN401 - a module without types
        self._mlflow = mlflow
        self.run_id = run_id

    def parameters(self, values: Mapping[str, Parameter]) -> None:
        """Record parameters; a second value for one name is an error of MLflow's."""
        self._mlflow.log_params(dict(values))

    def metrics(self, values: Mapping[str, float]) -> None:
        """Record metrics; what is no finite number is left out, and letters MLflow forbids become ``_``."""
        finite = {_plain(name): float(value) for name, value in values.items() if math.isfinite(value)}
        names = sorted(finite)
        for start in range(0, len(names), _METRIC_BATCH):
            self._mlflow.log_metrics({name: finite[name] for name in names[start : start + _METRIC_BATCH]})

    def tags(self, values: Mapping[str, str]) -> None:
        """Record tags."""
        self._mlflow.set_tags(dict(values))

    def text(self, path: str, content: str) -> None:
        """Keep a text as an artifact, e.g. ``model_card.md``."""
        self._mlflow.log_text(content, path)

    def figure(self, path: str, figure: Figure) -> None:
        """Keep a plot as an artifact, e.g. ``plots/reliability.png``."""
        self._mlflow.log_figure(figure, path)

    def data(self, data: Data) -> None:
        """Record which rows were used."""
        with warnings.catch_warnings():
            # MLflow warns of integer columns that could one day be missing; these rows are not an interface
            warnings.simplefilter("ignore")
            rows = self._mlflow.data.from_pandas(
                data.sample, source=data.source, name=data.name, digest=data.digest[:12]
            )
        self._mlflow.log_input(rows, context=data.role)


def tracking_uri(home: Home) -> str:
    """Return the address of the tracking database."""
    return f"sqlite:///{home.mlruns / DATABASE}"


def connect(home: Home) -> Any:  # noqa: ANN401 - a module without types
    """Import MLflow, point it at the home's database and return it.

    The first use makes the database, which takes some seconds.
    """
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    home.mlruns.mkdir(mode=0o700, parents=True, exist_ok=True)
    import mlflow

    # MLflow and alembic would narrate on standard error, across our progress
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.ERROR)
    mlflow.set_tracking_uri(tracking_uri(home))
    mlflow.set_registry_uri(tracking_uri(home))
    with warnings.catch_warnings():
        # MLflow's own tables use a loader SQLAlchemy has deprecated; it says so when they are first met
        warnings.filterwarnings("ignore", message="The ``noload`` loader strategy")
        mlflow.search_experiments(max_results=1)
    return mlflow


def failures(mlflow: Any) -> tuple[type[Exception], ...]:  # noqa: ANN401 - a module without types
    """Return what MLflow raises when its database or its files do not let it work."""
    from sqlalchemy.exc import SQLAlchemyError

    return (mlflow.exceptions.MlflowException, SQLAlchemyError, OSError)


@contextmanager
def run(home: Home, experiment: str, *, name: str) -> Iterator[Run]:
    """Record a run of an experiment; an exception marks it failed and goes on.

    Parameters
    ----------
    home
        Where ``mlruns`` is.
    experiment
        Name of the pipeline, e.g. ``propensity``.
    name
        Name of the run for people.
    """
    with step("Open MLflow"):
        mlflow = connect(home)
    found = mlflow.get_experiment_by_name(experiment)
    if found is None:
        artifacts = home.mlruns / "artifacts" / experiment
        identity = mlflow.create_experiment(experiment, artifact_location=artifacts.as_uri())
    else:
        identity = found.experiment_id
    with mlflow.start_run(experiment_id=identity, run_name=name) as active:
        mlflow.set_tag("moment.code", code_version())
        yield Run(mlflow, active.info.run_id)


def _plain(name: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "_-./ " else "_" for letter in name)


def code_version() -> str:
    """Return the commit this code was checked out at, or the package's version where there is none."""
    folder = Path(moment.__file__).parent.parent / ".git"
    try:
        head = (folder / "HEAD").read_text(encoding="utf-8").strip()
        if not head.startswith("ref: "):
            return head
        reference = head.removeprefix("ref: ")
        loose = folder / reference
        if loose.is_file():
            return loose.read_text(encoding="utf-8").strip()
        packed = (folder / "packed-refs").read_text(encoding="utf-8").splitlines()
        return next(line.split()[0] for line in packed if line.endswith(f" {reference}"))
    except (OSError, StopIteration):
        return f"moment {moment.__version__}"
