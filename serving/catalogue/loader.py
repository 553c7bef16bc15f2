"""From a YAML file to a checked, compiled catalogue; all faults at once."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from moment.errors import ConfigurationError, Fault
from serving.catalogue.build import check
from serving.catalogue.document import Node, parse_document, read_document
from serving.catalogue.section import Section
from serving.decision.catalogue import Catalogue
from serving.decision.columns import Column


def load(path: Path, features: Mapping[str, Column] | None = None) -> Catalogue:
    """Read, check and compile a catalogue.

    Parameters
    ----------
    path
        The YAML file.
    features
        The customer features a rule may name: name → ``Column(ColumnType(spec.dtype.value),
        spec.categories)`` for every scalar of the feature contract. None: features are taken as they come and
        not checked, for tools that decide nothing (training's action facts) or read what was checked before.
        The digest is the same either way.

    Raises
    ------
    ConfigurationError
        With every fault found: ``file:line``, the action and entry, what is wrong, and the nearest name.
    """
    return _checked(*read_document(path), path, features)


def parse(text: str, path: Path, features: Mapping[str, Column] | None = None) -> Catalogue:
    """Check and compile the text of a catalogue; `path` says where it is from. Otherwise as `load`."""
    return _checked(*parse_document(text, path), path, features)


def _checked(node: Node, faults: list[Fault], path: Path, features: Mapping[str, Column] | None) -> Catalogue:
    checked = check(Section(path.name, "", node, faults), features)
    if faults:
        raise ConfigurationError(f"catalogue {path} {count_of(faults)}", faults=in_order(faults))
    return checked.catalogue()


def count_of(faults: list[Fault]) -> str:
    """Return ``has 2 faults``; one that was noted twice counts once."""
    distinct = len(set(faults))
    return "has 1 fault" if distinct == 1 else f"has {distinct} faults"


def in_order(faults: list[Fault]) -> list[Fault]:
    """Return them by line, each once."""
    return sorted(set(faults), key=lambda fault: (int(fault.place.rpartition(":")[2]), fault.message))
