"""The arbitration formula: what slots are sorted by, written in the language of rules.

It may name ``propensity``, ``value``, ``context_weight`` and ``lever`` bare (they hide features of these
names), and everything rules may name. The default, when a catalogue says nothing, is their product.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

import numpy as np
from numpy.typing import NDArray

from serving.decision.actions import Candidate
from serving.decision.arrays import ArrayProgram
from serving.decision.attributes import action_vectors
from serving.decision.columns import Column, ColumnType
from serving.decision.expression import Expression, column_refs
from serving.decision.parsing import parse_number
from serving.decision.values import Scalar
from serving.decision.vectors import Floats, single

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
    """A formula, ready for the candidates of a catalogue; made once.

    Attributes
    ----------
    program
        What the row alone decides as single values, the rest as arrays over the candidates.
    """

    program: ArrayProgram

    @classmethod
    def of(cls, formula: Formula, candidates: Sequence[Candidate]) -> FormulaPlan:
        """Return the plan for the candidates of a catalogue, in their order."""
        expression = formula.expression
        known = action_vectors([candidate.action for candidate in candidates], [expression])
        count = len(candidates)
        if any(column.name in (*FACTORS, *known) for column in column_refs(expression)):
            program = ArrayProgram.of([], [expression], known, count, given=FACTORS)
        else:
            program = ArrayProgram.of([expression], [], known, count)
        return cls(program)

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
        ndarray
            Shape (n_candidates,).
        """
        factors = (propensity, value, context_weight, lever)
        singles, arrays = self.program.run(row, dict(zip(FACTORS, factors, strict=True)))
        made = cast(
            "Floats",
            arrays[0] if arrays else np.full(self.program.count, single(singles[0], ColumnType.FLOAT)),
        )
        return np.where(np.isfinite(made), made, np.nan)
