"""What slots are sorted by, and who is too unlikely to be sorted: for the catalogue and for an arm."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from serving.catalogue.section import Section
from serving.catalogue.sql import folded
from serving.decision.columns import Column
from serving.decision.formula import Formula, parse_formula


@dataclass(frozen=True, slots=True)
class Language:
    """What rules and formulas may name; whether a bare name beyond that is a fault."""

    columns: Mapping[str, Column]
    closed: bool


def read_arbitration(root: Section, language: Language) -> tuple[float, Formula | None]:
    """Return the propensity floor and the formula; 0 and None where the file says nothing."""
    section = root.section("arbitration", "arbitration", required=False)
    floor = read_floor(section)
    formula = read_formula(section, language)
    section.finish()
    return floor or 0.0, formula


def read_floor(section: Section) -> float | None:
    """Return the propensity floor, or None where it is missing."""
    if "propensity_floor" not in section:
        return None
    return section.number("propensity_floor", minimum=0.0, maximum=1.0)


def read_formula(section: Section, language: Language) -> Formula | None:
    """Return the formula, or None where it is missing or wrong."""
    if "formula" not in section:
        return None
    text = folded(section.text("formula"))
    if not text:
        return None
    parsed = parse_formula(text, language.columns, closed=language.closed)
    for message in parsed.faults:
        section.fault("formula", message)
    return parsed.formula
