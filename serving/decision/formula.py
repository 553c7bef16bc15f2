"""The arbitration formula: what slots are sorted by, written in the language of rules.

It may name ``propensity``, ``value``, ``context_weight`` and ``lever`` bare (they hide features of these
names), and everything rules may name. The default, when a catalogue says nothing, is their product.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from serving.decision.actions import Candidate
from serving.decision.attributes import ACTION_PREFIX, action_value
from serving.decision.columns import Column, ColumnType
from serving.decision.expression import Expression
from serving.decision.parsing import parse_number
from serving.decision.program import Program
from serving.decision.values import Scalar

FACTORS = ("propensity", "value", "context_weight", "lever")
"""What only a formula may name."""


@dataclass(frozen=True, slots=True)
class Formula:
    """An arbitration formula: its SQL text, white space folded, and its checked form, of type float64."""

    text: str
    expression: Expression = field(compare=False)


@dataclass(frozen=True, slots=True)
class ParsedFormula:
    """A formula, or every reason why there is none."""

    formula: Formula | None
    faults: tuple[str, ...]


def parse_formula(text: str, columns: Mapping[str, Column], *, closed: bool = True) -> ParsedFormula:
    """Return the checked formula.

    Parameters
    ----------
    text
        A SQL expression that makes a number, such as ``propensity * value * lever``.
    columns
        What it may name besides the four factors: what rules may name.
    closed
        As for rules: whether a bare name that is not among them is a fault.

    Examples
    --------
    >>> parse_formula("propensity * value * lever", {}).faults
    ()
    >>> parse_formula("propensity * values", {}).faults
    ('there is no column `values`; did you mean `value`?',)
    """
    known = {**columns, **dict.fromkeys(FACTORS, Column(ColumnType.FLOAT))}
    parsed = parse_number(text, known, closed=closed)
    formula = None if parsed.expression is None else Formula(text, parsed.expression)
    return ParsedFormula(formula, parsed.faults)


@dataclass(frozen=True, slots=True, eq=False)
class FormulaPlan:
    """A formula, ready for the candidates of a catalogue."""

    program: Program
    actions: tuple[Mapping[str, Scalar], ...]

    @classmethod
    def of(cls, formula: Formula, candidates: Sequence[Candidate]) -> FormulaPlan:
        """Return the plan for the candidates of a catalogue, in their order."""
        program = Program.of([formula.expression])
        names = [name for _, name, _ in program.leaves if name.startswith(ACTION_PREFIX)]
        return cls(
            program,
            tuple(
                {name: action_value(one.action, name.removeprefix(ACTION_PREFIX)) for name in names}
                for one in candidates
            ),
        )

    def priority(
        self,
        row: Mapping[str, Scalar],
        propensity: NDArray[np.float64],
        value: NDArray[np.float64],
        context_weight: NDArray[np.float64],
        lever: NDArray[np.float64],
    ) -> NDArray[np.float64]:
        """Return the priority of each candidate; NaN where it is NULL, NaN or infinite.

        Parameters
        ----------
        row
            Features and context, as rules see them.
        propensity, value, context_weight, lever
            Shape (n_candidates,): the factors; NaN is NULL.

        Returns
        -------
        Shape (n_candidates,).
        """
        made = []
        for position, own in enumerate(self.actions):
            factors = (propensity, value, context_weight, lever)
            given = {name: float(factor[position]) for name, factor in zip(FACTORS, factors, strict=True)}
            made.append(self.program.run({**row, **own, **given})[0])
        priority = np.array([np.nan if one is None else float(one) for one in made])
        return np.where(np.isfinite(priority), priority, np.nan)
