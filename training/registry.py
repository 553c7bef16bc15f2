"""Model versions in MLflow's registry: one per bundle. One of MLflow's two owners.

A registered version is the bundle itself, wrapped as a ``pyfunc`` whose loader is this module: no pickle is
written or read, and ``mlflow.pyfunc.load_model("models:/propensity@champion")`` verifies the bundle as
serving does. Which version is the champion says the ledger; :mod:`training.mirror` shows it here.

A decision policy is registered as the files of its bundle, without a ``predict``: it decides on a customer's
history, consents and the scores of a model, which no frame of rows holds.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from features.rows import ColumnKind, RowLayout
from moment.home import Home
from serving.bundles import (
    Manifest,
    PropensityBundle,
    SegmentationBundle,
    open_propensity,
    open_segmentation,
    read_manifest,
)
from training.tracking import connect

if TYPE_CHECKING:
    import pandas as pd

POLICY = "next-best-action"

TITLES = {
    "propensity": "Calibrated chance that an action presented to this customer in this context is answered.",
    "segmentation": "Personas: which kind of customer this is.",
    "next-best-action": "The decision policy: the whole catalogue, arbitration and exploration.",
}


@dataclass(frozen=True, slots=True)
class Registered:
    """A version in the registry."""

    model: str
    number: str


def register(home: Home, bundle: Path) -> Registered:
    """Register a bundle as the newest version of its model, within the run that is being recorded.

    It is nothing but there: what state it is in is shown later, from the ledger. A bundle registered before
    keeps its number.

    Parameters
    ----------
    home
        Where ``mlruns`` is.
    bundle
        The bundle's folder.
    """
    mlflow = connect(home)
    client = mlflow.MlflowClient()
    manifest = read_manifest(bundle)
    number = _number_of(client, manifest)
    if number is None:
        number = _create(mlflow, client, bundle, manifest)
    return Registered(manifest.model, number)


def describe(home: Home, registered: Registered, card: str) -> None:
    """Show the model card, Markdown, as the version's description."""
    client = connect(home).MlflowClient()
    client.update_model_version(registered.model, registered.number, description=card)


def _number_of(client: Any, manifest: Manifest) -> str | None:  # noqa: ANN401 - a vendor without types
    wanted = f"name='{manifest.model}' and tag.digest='{manifest.digest}'"
    found = client.search_model_versions(wanted)
    return str(found[0].version) if found else None


def _create(mlflow: Any, client: Any, bundle: Path, manifest: Manifest) -> str:  # noqa: ANN401
    """Put a bundle into the registry and return its number there."""
    source = (_log_files if manifest.model == POLICY else _log_model)(mlflow, bundle, manifest)
    if not client.search_registered_models(f"name='{manifest.model}'"):
        client.create_registered_model(manifest.model, description=TITLES.get(manifest.model, ""))
    created = client.create_model_version(
        manifest.model,
        tags={"bundle": manifest.version, "digest": manifest.digest, "kind": manifest.kind},
        **source,
    )
    return str(created.version)


def _log_files(mlflow: Any, bundle: Path, manifest: Manifest) -> dict[str, str]:  # noqa: ANN401, ARG001
    """Keep the files of a bundle with the run."""
    mlflow.log_artifacts(str(bundle), "bundle")
    run = mlflow.active_run().info
    return {"source": f"{run.artifact_uri}/bundle", "run_id": run.run_id}


def _log_model(mlflow: Any, bundle: Path, manifest: Manifest) -> dict[str, str]:  # noqa: ANN401
    """Keep a bundle as a model that MLflow can load."""
    with warnings.catch_warnings():
        # MLflow asks for an input example and for Moment itself as an installed package
        warnings.simplefilter("ignore")
        logged = mlflow.pyfunc.log_model(
            name=manifest.model,
            loader_module=__name__,
            data_path=str(bundle),
            signature=_signature(mlflow, bundle, manifest),
            pip_requirements=[f"{name}=={version}" for name, version in sorted(manifest.libraries.items())],
            metadata={"bundle": manifest.version, "digest": manifest.digest},
        )
    return {"source": logged.model_uri, "run_id": logged.run_id, "model_id": logged.model_id}


def _signature(mlflow: Any, bundle: Path, manifest: Manifest) -> Any:  # noqa: ANN401 - a vendor without types
    column, schema = mlflow.types.ColSpec, mlflow.types.Schema
    if manifest.model == "segmentation":
        inputs = [
            column("string" if axis.categories else "double", axis.name, required=False)
            for axis in open_segmentation(bundle).model.axes
        ]
        outputs = [column("string", "persona")]
    else:
        layout = open_propensity(bundle).layout
        inputs = [
            column("string" if item.kind is ColumnKind.CATEGORICAL else "double", item.name, required=False)
            for item in layout.columns
        ]
        inputs.append(column("string", "action_id", required=False))
        outputs = [column("double", "raw"), column("double", "propensity")]
    return mlflow.models.ModelSignature(inputs=schema(inputs), outputs=schema(outputs))


def _load_pyfunc(path: str) -> _PropensityPyfunc | _SegmentationPyfunc:
    """Open the bundle for MLflow, verified. MLflow calls this by name."""
    folder = Path(path)
    if read_manifest(folder).model == "segmentation":
        return _SegmentationPyfunc(open_segmentation(folder))
    return _PropensityPyfunc(open_propensity(folder))


class _PropensityPyfunc:
    """A propensity bundle as MLflow calls it: rows of the layout, and ``action_id`` for the calibration."""

    def __init__(self, bundle: PropensityBundle) -> None:
        self._bundle = bundle

    def predict(self, rows: pd.DataFrame, params: object = None) -> pd.DataFrame:  # noqa: ARG002 - MLflow's
        """Return ``raw`` and ``propensity`` of each row."""
        import pandas as pd

        groups = _words(rows, "action_group")
        actions = _words(rows, "action_id")
        scores = self._bundle.score(encode(rows, self._bundle.layout), groups, actions)
        return pd.DataFrame({"raw": scores.raw, "propensity": scores.calibrated}, index=rows.index)


class _SegmentationPyfunc:
    """A segmentation bundle as MLflow calls it."""

    def __init__(self, bundle: SegmentationBundle) -> None:
        self._bundle = bundle

    def predict(self, rows: pd.DataFrame, params: object = None) -> pd.DataFrame:  # noqa: ARG002 - MLflow's
        """Return ``persona`` of each row; None where nothing is known of the customer."""
        import pandas as pd

        clean = rows.astype(object).where(rows.notna(), None).rename(columns=str)
        columns = [clean[name].tolist() for name in clean]
        placed = [
            self._bundle.assign(dict(zip(clean.columns, row, strict=True)))
            for row in zip(*columns, strict=True)
        ]
        names = [persona.name if persona else None for persona in placed]
        return pd.DataFrame({"persona": names}, index=rows.index)


def encode(rows: pd.DataFrame, layout: RowLayout) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Return a frame of model rows as the matrix a bundle scores.

    Parameters
    ----------
    rows
        ``n`` rows with the layout's columns by name: numbers, and words for categorical ones.
    layout
        The columns wanted, in order.

    Returns
    -------
    ndarray
        (n, columns), float32; categories as codes, missing, unseen and absent as NaN.
    """
    matrix = np.full((len(rows), len(layout.columns)), np.nan, dtype=np.float32)
    for index, column in enumerate(layout.columns):
        if column.name not in rows:
            continue
        values = rows[column.name]
        if column.kind is ColumnKind.CATEGORICAL:
            codes = {category: code for code, category in enumerate(column.categories)}
            matrix[:, index] = values.astype(object).map(codes).to_numpy(dtype=np.float32, na_value=np.nan)
        else:
            matrix[:, index] = values.to_numpy(dtype=np.float32, na_value=np.nan)
    return matrix


def _words(rows: pd.DataFrame, name: str) -> list[str]:
    return rows[name].astype(object).fillna("").tolist() if name in rows else [""] * len(rows)
