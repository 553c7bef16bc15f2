"""What a catalogue's rules may name of a customer, from the feature contract; and what the contract lacks."""

from __future__ import annotations

from collections.abc import Container, Iterator
from typing import TYPE_CHECKING

from serving.decision.columns import Column, ColumnType
from serving.decision.expression import columns_of
from serving.decision.formula import FACTORS, Formula
from serving.decision.templates import places

if TYPE_CHECKING:
    from features.contract import FeatureContract
    from serving.decision.catalogue import Catalogue

_CUSTOMER_PREFIX = "customer."


def feature_columns(contract: FeatureContract) -> dict[str, Column]:
    """Return the contract's single values by name, as rules see them."""
    return {spec.name: Column(ColumnType(spec.dtype.value), spec.categories) for spec in contract.scalars}


def missing_columns(catalogue: Catalogue, features: Container[str]) -> tuple[str, ...]:
    """Return the customer's columns that the catalogue reads and the features lack, sorted.

    A catalogue may declare columns under ``customer`` that no feature computes yet. It can be checked and
    read, but where it decides they would be unknown for everybody: a service refuses it.
    """
    return tuple(sorted({name for name in columns_read(catalogue) if name not in features}))


def columns_read(catalogue: Catalogue) -> Iterator[str]:
    """Yield every column of the customer that rules, formulas or templates read."""
    for rule in catalogue.rules:
        yield from (name for name in rule.columns if "." not in name)
    for formula in _formulas(catalogue):
        names = columns_of(formula.expression)
        yield from (name for name in names if "." not in name and name not in FACTORS)
    for action in (*catalogue.actions, *catalogue.fallbacks):
        for treatment in action.treatments:
            for template in treatment.content.values():
                for name in places(template):
                    if name.startswith(_CUSTOMER_PREFIX):
                        yield name.removeprefix(_CUSTOMER_PREFIX)


def _formulas(catalogue: Catalogue) -> Iterator[Formula]:
    if catalogue.formula is not None:
        yield catalogue.formula
    for layer in catalogue.layers:
        for experiment in layer.experiments:
            for arm in experiment.arms:
                if arm.changes.formula is not None:
                    yield arm.changes.formula
