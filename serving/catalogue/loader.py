"""From a YAML file to a checked, compiled catalogue; all faults at once."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from serving.decision.catalogue import Catalogue
from serving.decision.columns import Column


def load(path: Path, features: Mapping[str, Column] | None = None) -> Catalogue:
    """Read, check and compile a catalogue.

    Parameters
    ----------
    path
        The YAML file.
    features
        The customer features a rule may name: name → ``Column(ColumnType(spec.dtype.value), spec.categories)`` for
        every scalar of the feature contract. None: columns are taken as they come and their types are not
        checked (for tools that need no decision, such as training's action facts).

    Raises
    ------
    ConfigurationError
        With every fault found: ``file:line``, the action and field, what is wrong, and the nearest name.
    """
    raise NotImplementedError
