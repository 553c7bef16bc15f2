"""Golden cases of the core: what differs from a base catalogue, then as a golden decision has it.

Besides what ``serving.catalogue.golden_case`` tells, ``given`` names ``catalogue``: what differs from the
corner shop. Those of the bank and the groceries stand beside them: ``serving/catalogue/examples``.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from serving.catalogue import load
from serving.catalogue.golden_case import decided as decided_by
from serving.catalogue.golden_case import mistaken
from serving.catalogue.golden_check import GIVEN, Check
from serving.decision.catalogue import Catalogue
from serving.decision.columns import Column, ColumnType
from serving.decision.decision import Decision

FOLDER = Path(__file__).parent
BASE = FOLDER / "catalogue.yaml"
FEATURES: Mapping[str, Column] = {
    "age": Column(ColumnType.INT),
    "spend_30d": Column(ColumnType.FLOAT),
    "vegan": Column(ColumnType.BOOL),
    "city": Column(ColumnType.STRING),
}


def merged(base: Any, change: Any) -> Any:  # noqa: ANN401  # YAML
    """Return ``base`` with ``change`` written over it; null takes an entry away."""
    if not (isinstance(base, dict) and isinstance(change, dict)):
        return change
    names = [*base, *(name for name in change if name not in base)]
    new = {name: merged(base.get(name), change[name]) if name in change else base[name] for name in names}
    return {name: value for name, value in new.items() if value is not None}


def read(case: Path) -> dict[str, Any]:
    """Return a case as written."""
    content: dict[str, Any] = yaml.safe_load(case.read_text(encoding="utf-8"))
    return content


def run(case: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with a case; where nothing is, what its decision has otherwise than it states."""
    catalogue = _catalogue(case)
    wrong = [str(one) for one in Check(catalogue, given={*GIVEN, "catalogue"}).wrongs(case)]
    return wrong or mistaken(case, catalogue)


def decided(case: Mapping[str, Any]) -> Decision:
    """Return what is decided of a case."""
    return decided_by(case, _catalogue(case))


def _catalogue(case: Mapping[str, Any]) -> Catalogue:
    return catalogue_of(yaml.safe_dump((case.get("given") or {}).get("catalogue") or {}))


@cache
def catalogue_of(changes: str) -> Catalogue:
    """Return the corner shop's catalogue with what the case has different, written as YAML."""
    content = merged(yaml.safe_load(BASE.read_text(encoding="utf-8")), yaml.safe_load(changes))
    with TemporaryDirectory() as folder:
        file = Path(folder) / "catalogue.yaml"
        file.write_text(yaml.safe_dump(content, sort_keys=False, allow_unicode=True), encoding="utf-8")
        return load(file, FEATURES)
