"""Where Moment keeps its state: ``MOMENT_HOME`` and ``mlruns/``.

The default is ``.moment/`` in the project folder: the nearest folder, from the working one upwards,
that holds ``feature_repo/feature_store.yaml``; the working folder itself where there is none. Nothing is
created on import.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Home:
    """Paths of everything Moment writes. A value: it touches no disk.

    Parameters
    ----------
    root
        Absolute path of the state folder.
    mlruns
        Absolute path of MLflow's state.
    """

    root: Path
    mlruns: Path

    @classmethod
    def find(cls, start: Path | None = None, environment: Mapping[str, str] | None = None) -> Home:
        """Return the home named by ``MOMENT_HOME`` and ``MOMENT_MLRUNS``, or the project's default."""
        environment = os.environ if environment is None else environment
        project = _project_folder((start or Path.cwd()).resolve())
        root = Path(environment.get("MOMENT_HOME") or project / ".moment")
        mlruns = Path(environment.get("MOMENT_MLRUNS") or project / "mlruns")
        return cls(root=root.expanduser().resolve(), mlruns=mlruns.expanduser().resolve())

    @property
    def lake(self) -> Path:
        """Canonical tables: ``lake/<table>/<source>.parquet``."""
        return self.root / "lake"

    @property
    def quarantine(self) -> Path:
        """Rejected rows: ``quarantine/<source>/<table>.parquet``, each with its reason."""
        return self.root / "quarantine"

    @property
    def snapshots(self) -> Path:
        """Batch feature snapshots, the offline source of Feast."""
        return self.root / "snapshots"

    @property
    def feast(self) -> Path:
        """Feast's registry and online store."""
        return self.root / "feast"

    @property
    def bundles(self) -> Path:
        """Model bundles: ``bundles/<model>/<version>/`` and the pointer ``bundles/<model>/CURRENT``."""
        return self.root / "bundles"

    @property
    def training_sets(self) -> Path:
        """The rows models were trained on, and how: what a model is made again of."""
        return self.root / "training-sets"

    @property
    def retraining(self) -> Path:
        """What became of each retraining, step by step, and the lock that keeps them apart."""
        return self.root / "retraining"

    @property
    def reports(self) -> Path:
        """Reports people read."""
        return self.root / "reports"

    @property
    def database(self) -> Path:
        """The operational database (SQLite)."""
        return self.root / "moment.db"

    @property
    def keys(self) -> Path:
        """API keys handed to people on this machine, readable by their owner only."""
        return self.root / "keys"


def _project_folder(start: Path) -> Path:
    for folder in (start, *start.parents):
        if (folder / "feature_repo" / "feature_store.yaml").is_file():
            return folder
    return start
