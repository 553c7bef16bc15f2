"""Rules over ``action.*`` for all actions at once: arrays where values differ by action, else single values.

What reads the row only is computed by a ``Program``, once for all actions. What depends on action values only
is computed when the program is made. The rest is one numpy operation per distinct node and request, however
many rules share it; its cost grows with the number of actions and no faster. Every operation means what it
means to ``program``; the tests hold it to that.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce

import numpy as np

from serving.decision.array_steps import ArrayStep, step_over_arrays
from serving.decision.expression import And, ColumnRef, Expression, Or, children
from serving.decision.program import Program
from serving.decision.values import Scalar
from serving.decision.vectors import SINGLE, Floats, Vector, single, stretched

_ROW, _KNOWN, _GIVEN = 1, 2, 4


class _Cells(dict[int, Vector]):
    """Cells computed when they are asked for: what a decided AND or OR does not ask for costs nothing."""

    def __init__(self, program: ArrayProgram, values: Sequence[Scalar]) -> None:
        super().__init__(program.known)
        self._steps, self._lifted, self._values = program.steps, program.lifted, values

    def __missing__(self, cell: int) -> Vector:
        lifted = self._lifted.get(cell)
        if lifted is None:
            made = self._steps[cell](self)
        else:
            root, single_of = lifted
            made = single_of(self._values[root])
        self[cell] = made
        return made


@dataclass(frozen=True, slots=True, eq=False)
class ArrayProgram:
    """Many expressions as one run, some of them over arrays.

    Attributes
    ----------
    rows
        Computes what reads the row only: first the single expressions, then inputs of the arrays.
    singles
        How many of its roots are answers themselves.
    count
        Length of every array.
    known
        By cell: constants, known arrays and what is made of them.
    lifted
        By cell: root of ``rows`` and what makes a vector of a single value that arrays are combined with.
    given
        Cell and name of each array that is given at a run.
    steps
        By cell: what computes it from others.
    roots
        The cell of each array expression.
    """

    rows: Program
    singles: int
    count: int
    known: Mapping[int, Vector]
    lifted: Mapping[int, tuple[int, Callable[[Scalar], Vector]]]
    given: tuple[tuple[int, str], ...]
    steps: Mapping[int, ArrayStep]
    roots: tuple[int, ...]

    @classmethod
    def of(
        cls,
        singles: Sequence[Expression],
        arrays: Sequence[Expression],
        known: Mapping[str, Vector],
        count: int,
        given: Collection[str] = (),
    ) -> ArrayProgram:
        """Compile expressions, sharing every equal part.

        Parameters
        ----------
        singles
            Expressions over the row only.
        arrays
            Expressions that read at least one of ``known`` or ``given``.
        known
            Columns that are arrays of length ``count`` and never change.
        count
            How many actions there are.
        given
            Names of columns of type float64 that are arrays of that length, given at each run.
        """
        builder = _Builder(singles, known, frozenset(given))
        with np.errstate(all="ignore"):
            roots = tuple(builder.cell_of(expression) for expression in arrays)
        return cls(
            rows=Program.of(builder.rows),
            singles=len(singles),
            count=count,
            known=builder.known,
            lifted=builder.lifted,
            given=tuple(builder.given),
            steps=builder.steps,
            roots=roots,
        )

    def without_folded(self) -> tuple[ArrayProgram, tuple[Vector | None, ...]]:
        """Return the program less the array expressions known at load, and these; None for those left."""
        folded = tuple(self.known.get(root) for root in self.roots)
        left = tuple(root for root in self.roots if root not in self.known)
        return replace(self, roots=left), folded

    def run(
        self, row: Mapping[str, Scalar], given: Mapping[str, Floats] | None = None
    ) -> tuple[list[Scalar], list[Vector]]:
        """Return the value of each single expression and the array of each array expression.

        Parameters
        ----------
        row
            As for ``Program.run``.
        given
            The arrays named so, each of shape (count,).
        """
        values, made = self.run_shortest(row, given)
        return values, [stretched(one, self.count) for one in made]

    def run_shortest(
        self, row: Mapping[str, Scalar], given: Mapping[str, Floats] | None = None
    ) -> tuple[list[Scalar], list[Vector]]:
        """Return the same, as a vector of no dimension what a single value has decided."""
        values = self.rows.run(row)
        if not self.roots:
            return values, []
        cells = _Cells(self, values)
        for cell, name in self.given:
            cells[cell] = (given or {})[name]
        with np.errstate(all="ignore"):  # what overflows or divides by zero is settled by each step
            made = [cells[root] for root in self.roots]
        return values[: self.singles], made


class _Builder:
    def __init__(
        self, singles: Sequence[Expression], known: Mapping[str, Vector], given: frozenset[str]
    ) -> None:
        self.rows: list[Expression] = list(singles)
        self.known: dict[int, Vector] = {}
        self.lifted: dict[int, tuple[int, Callable[[Scalar], Vector]]] = {}
        self.given: list[tuple[int, str]] = []
        self.steps: dict[int, ArrayStep] = {}
        self._columns = known
        self._names = given
        self._cells: dict[Expression, int] = {}
        self._reads: dict[Expression, int] = {}

    def reads(self, node: Expression) -> int:
        """Return which kinds of columns a node reads, as the sum of their flags."""
        flags = self._reads.get(node)
        if flags is None:
            if isinstance(node, ColumnRef):
                flags = _KNOWN if node.name in self._columns else _GIVEN if node.name in self._names else _ROW
            else:
                flags = reduce(operator.or_, map(self.reads, children(node)), 0)
            self._reads[node] = flags
        return flags

    def cell_of(self, node: Expression) -> int:
        cell = self._cells.get(node)
        if cell is None:
            cell = self._cells[node] = self._made(node)
        return cell

    def _made(self, node: Expression) -> int:
        flags = self.reads(node)
        cell = len(self._cells)
        if not flags:
            self.known[cell] = single(Program.of([node]).run({})[0], node.type)
        elif flags == _ROW:
            self.lifted[cell] = (len(self.rows), SINGLE[node.type])
            self.rows.append(node)
        elif not isinstance(node, ColumnRef):
            return self._computed(node, flags)
        elif node.name in self._columns:
            self.known[cell] = self._columns[node.name]
        else:
            self.given.append((cell, node.name))
        return cell

    def _computed(self, node: Expression, flags: int) -> int:
        ordered = self._ordered(node)
        step = step_over_arrays(ordered, tuple(self.cell_of(child) for child in children(ordered)))
        cell = len(self._cells)
        if flags == _KNOWN:
            self.known[cell] = step(self.known)
        else:
            self.steps[cell] = step
        return cell

    def _ordered(self, node: Expression) -> Expression:
        """Return AND and OR with what reads the row only as one operand, the first, then what is known."""
        if not isinstance(node, And | Or) or self.reads(node) == _KNOWN:
            return node
        operands = tuple(dict.fromkeys(node.operands))
        groups = (
            [one for one in operands if self.reads(one) <= _ROW],
            [one for one in operands if self.reads(one) == _KNOWN],
            *([one] for one in operands if self.reads(one) > _KNOWN),
        )
        made = (
            group[0] if len(group) == 1 else replace(node, operands=tuple(group)) for group in groups if group
        )
        return replace(node, operands=tuple(made))
