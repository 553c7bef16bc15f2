"""Rules over ``action.*`` for all actions at once: arrays where values differ by action, else single values.

What reads the row only is computed by a ``Program``, once for all actions. What depends on action values only
is computed when the program is made. The rest is one numpy operation per distinct node and request, however
many rules share it; its cost grows with the number of actions and no faster. Every operation means what it
means to ``program``; the tests hold it to that.
"""

from __future__ import annotations

import operator
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce

import numpy as np

from serving.decision.array_steps import ArrayStep, Vectors, step_over_arrays
from serving.decision.columns import ColumnType
from serving.decision.expression import And, ColumnRef, Expression, Or, children
from serving.decision.program import Program
from serving.decision.values import Scalar
from serving.decision.vectors import Floats, Vector, single

_ROW, _KNOWN, _GIVEN = 1, 2, 4
_NOWHERE = np.zeros(0)


@dataclass(frozen=True, slots=True, eq=False)
class ArrayProgram:
    """Many expressions as one run, some of them over arrays.

    Attributes
    ----------
    rows
        Computes what reads the row only: first the single expressions, then inputs of the arrays.
    singles
        How many of its roots are answers themselves.
    blank
        The cells before a run: constants and folded arrays in place.
    lifted
        Root of ``rows``, cell and type of each single value that arrays are combined with.
    given
        Cell and name of each array that is given at a run.
    steps
        Cell and function, in an order in which every input comes first.
    roots
        The cell of each array expression.
    folded
        Whether each array expression depends on known arrays only.
    """

    rows: Program
    singles: int
    blank: tuple[Vector, ...]
    lifted: tuple[tuple[int, int, ColumnType], ...]
    given: tuple[tuple[int, str], ...]
    steps: tuple[tuple[int, ArrayStep], ...]
    roots: tuple[int, ...]
    folded: tuple[bool, ...]

    @classmethod
    def of(
        cls,
        singles: Sequence[Expression],
        arrays: Sequence[Expression],
        known: Mapping[str, Vector],
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
            Columns that are arrays of one length and never change.
        given
            Names of columns of type float64 that are arrays given at each run.
        """
        builder = _Builder(singles, known, frozenset(given))
        with np.errstate(all="ignore"):
            roots = tuple(builder.cell_of(expression) for expression in arrays)
        return cls(
            rows=Program.of(builder.rows),
            singles=len(singles),
            blank=tuple(builder.blank),
            lifted=tuple(builder.lifted),
            given=tuple(builder.given),
            steps=tuple(builder.steps),
            roots=roots,
            folded=tuple(not builder.reads(expression) & (_ROW | _GIVEN) for expression in arrays),
        )

    def without_folded(self) -> tuple[ArrayProgram, tuple[Vector | None, ...]]:
        """Return the program less the array expressions that are folded, and these; None for those left."""
        folded = tuple(
            self.blank[root] if is_folded else None
            for root, is_folded in zip(self.roots, self.folded, strict=True)
        )
        left = tuple(root for root, known in zip(self.roots, folded, strict=True) if known is None)
        return replace(self, roots=left, folded=(False,) * len(left)), folded

    def run(
        self, row: Mapping[str, Scalar], given: Mapping[str, Floats] | None = None
    ) -> tuple[list[Scalar], Vectors]:
        """Return the value of each single expression and the array of each array expression.

        Parameters
        ----------
        row
            As for ``Program.run``.
        given
            The arrays named so, each of shape (n,).
        """
        values = self.rows.run(row)
        if not self.roots:
            return values, []
        cells = list(self.blank)
        for root, cell, kind in self.lifted:
            cells[cell] = single(values[root], kind)
        for cell, name in self.given:
            cells[cell] = (given or {})[name]
        with np.errstate(all="ignore"):  # what overflows or divides by zero is settled by each step
            for cell, step in self.steps:
                cells[cell] = step(cells)
        return values[: self.singles], [cells[root] for root in self.roots]


class _Builder:
    def __init__(
        self, singles: Sequence[Expression], known: Mapping[str, Vector], given: frozenset[str]
    ) -> None:
        self.rows: list[Expression] = list(singles)
        self.blank: Vectors = []
        self.lifted: list[tuple[int, int, ColumnType]] = []
        self.given: list[tuple[int, str]] = []
        self.steps: list[tuple[int, ArrayStep]] = []
        self._known = known
        self._names = given
        self._cells: dict[Expression, int] = {}
        self._reads: dict[Expression, int] = {}

    def reads(self, node: Expression) -> int:
        """Return which kinds of columns a node reads, as the sum of their flags."""
        flags = self._reads.get(node)
        if flags is None:
            if isinstance(node, ColumnRef):
                flags = _KNOWN if node.name in self._known else _GIVEN if node.name in self._names else _ROW
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
        if not flags:
            return self._cell(single(Program.of([node]).run({})[0], node.type))
        if flags == _ROW:
            cell = self._cell(_NOWHERE)
            self.lifted.append((len(self.rows), cell, node.type))
            self.rows.append(node)
            return cell
        if isinstance(node, ColumnRef):
            if node.name in self._known:
                return self._cell(self._known[node.name])
            cell = self._cell(_NOWHERE)
            self.given.append((cell, node.name))
            return cell
        grouped = self._grouped(node)
        step = step_over_arrays(grouped, tuple(self.cell_of(child) for child in children(grouped)))
        if flags == _KNOWN:
            return self._cell(step(self.blank))
        cell = self._cell(_NOWHERE)
        self.steps.append((cell, step))
        return cell

    def _cell(self, content: Vector) -> int:
        self.blank.append(content)
        return len(self.blank) - 1

    def _grouped(self, node: Expression) -> Expression:
        """Return AND and OR with what reads the row only as one operand, and what is known as another."""
        if not isinstance(node, And | Or) or self.reads(node) == _KNOWN:
            return node
        groups: dict[bool | Expression, list[Expression]] = {}
        for operand in dict.fromkeys(node.operands):
            flags = self.reads(operand)
            groups.setdefault(flags <= _ROW if flags <= _KNOWN else operand, []).append(operand)
        made = (
            group[0] if len(group) == 1 else replace(node, operands=tuple(group)) for group in groups.values()
        )
        return replace(node, operands=tuple(made))
