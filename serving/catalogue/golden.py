"""Golden decisions: what a catalogue must decide, written by analysts beside it, in ``<name>.golden.yaml``.

::

    decisions:
      lapsed-buyer-of-cheese:
        concept: Who bought cheese for years and stopped gets the coupon that asks them back
        given: {customer: {...}, consents: [service, marketing], contacts: [...]}
        when: {at: 2026-03-03T11:00:00Z, channel: web, placements: {home: 3}, propensities: {...}}
        then: {actions: {home: [coupon-cheese]}, reasons: {...}, not_offered: [...]}

What a part may say is told in ``golden_case``. Under ``shared`` stands whatever anchors are for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from moment.errors import ConfigurationError, Fault
from serving.catalogue.document import Node, plain, read_document
from serving.catalogue.golden_case import mistaken
from serving.catalogue.golden_check import Check, Wrong
from serving.catalogue.loader import count_of, in_order
from serving.catalogue.section import Section
from serving.decision.catalogue import Catalogue
from serving.decision.columns import Column
from serving.decision.greedy import Greedy

UNDECIDABLE = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""What comes of values of another kind, or beyond all bounds, that the check of names let by."""


@dataclass(frozen=True, slots=True)
class GoldenDecision:
    """One golden decision as it was written.

    Parameters
    ----------
    name, concept
        What it is called, and what it is about.
    place
        Where it stands, ``file:line``.
    case
        ``given``, ``when`` and ``then``.
    """

    name: str
    concept: str
    place: str
    case: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Golden:
    """The golden decisions of a catalogue, in the order of their file."""

    decisions: tuple[GoldenDecision, ...]


@dataclass(frozen=True, slots=True)
class Missed:
    """A golden decision that comes out otherwise, and in what."""

    decision: GoldenDecision
    differences: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.decision.place}: {self.decision.name}: {'; '.join(self.differences)}"


def golden_beside(catalogue: Path) -> Path:
    """Return where the golden decisions of a catalogue's file are: ``bank.yaml`` has ``bank.golden.yaml``."""
    return catalogue.with_name(f"{catalogue.stem}.golden.yaml")


def read_golden(path: Path, catalogue: Catalogue, features: Mapping[str, Column] | None = None) -> Golden:
    """Read golden decisions and check every name in them.

    Parameters
    ----------
    path
        The YAML file.
    catalogue
        What they are about.
    features
        The features a customer may have, with their types, as in ``load``; None: customers are not checked.

    Raises
    ------
    ConfigurationError
        With every fault found: ``file:line``, the decision, what is wrong, and the nearest name.
    """
    root, faults = read_document(path, "golden decisions")
    top = Section(path.name, "", root, faults)
    top.entry("shared")
    below = top.section("decisions", "decisions")
    check, decisions = Check(catalogue, features), []
    for name in below.names():
        node = _below(_below(root, "decisions"), name)
        case = plain(node)
        line = _line(root, ("decisions", name))
        try:
            wrongs = tuple(check.wrongs(case))
        except UNDECIDABLE as error:
            wrongs = ()
            faults.append(Fault(f"{path.name}:{line}", f"{name}: {_undecided(error)}"))
        for wrong in wrongs:
            faults.append(_fault(path.name, root, name, wrong))
        concept = case.get("concept") if isinstance(case, dict) else None
        if not isinstance(concept, str) or not concept.strip():
            faults.append(
                Fault(f"{path.name}:{line}", f"{name}: needs a concept: what it is about, in words")
            )
        decisions.append(GoldenDecision(name, str(concept), f"{path.name}:{line}", case))
    if "decisions" in top and not len(below):
        top.fault("decisions", "needs at least one decision")
    top.finish()
    if faults:
        raise ConfigurationError(f"golden decisions {path} {count_of(faults)}", faults=in_order(faults))
    return Golden(tuple(decisions))


def missed(golden: Golden, catalogue: Catalogue) -> tuple[Missed, ...]:
    """Decide every golden decision and return those that come out otherwise than written.

    Nothing is left to chance where a case names no ``seed``: exploration is put aside then.
    """
    certain = replace(catalogue, exploration=Greedy())
    found = []
    for one in golden.decisions:
        try:
            wrong = mistaken(one.case, catalogue if "seed" in one.case["when"] else certain)
        except UNDECIDABLE as error:
            wrong = [_undecided(error)]
        if wrong:
            found.append(Missed(one, tuple(wrong)))
    return tuple(found)


def hold(path: Path, catalogue: Catalogue, features: Mapping[str, Column] | None = None) -> Golden:
    """Read golden decisions and see that all come out as written.

    Raises
    ------
    ConfigurationError
        As in `read_golden`; or with every decision that comes out otherwise, and in what.
    """
    golden = read_golden(path, catalogue, features)
    wrong = missed(golden, catalogue)
    if wrong:
        raise ConfigurationError(
            f"of {len(golden.decisions)} golden decisions in {path}, {len(wrong)} come out otherwise",
            faults=[
                Fault(one.decision.place, f"{one.decision.name}: {'; '.join(one.differences)}")
                for one in wrong
            ],
        )
    return golden


def _undecided(error: Exception) -> str:
    return f"cannot be decided as it is written ({type(error).__name__}: {error!s:.80})"


def _fault(file: str, root: Node, name: str, wrong: Wrong) -> Fault:
    return Fault(f"{file}:{_line(root, ('decisions', name, *wrong.path))}", f"{name}, {wrong}")


def _below(node: Node, key: str | int) -> Node:
    if isinstance(node.value, dict) and key in node.value:
        return node.value[str(key)]
    if isinstance(node.value, list) and isinstance(key, int):
        return node.value[key]
    return Node(None, node.line, {})


def _line(node: Node, path: tuple[str | int, ...]) -> int:
    """Return the line of what a path leads to, or of the last thing on the way that is there."""
    line = node.line
    for key in path:
        line = node.key_lines.get(str(key), line)
        node = _below(node, key)
        if isinstance(key, int):
            line = node.line
    return line
