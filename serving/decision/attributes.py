"""What rules, templates and formulas read of an action: ``action.*``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from serving.decision.actions import Action
from serving.decision.columns import ColumnType
from serving.decision.expression import ColumnRef, Expression, column_refs
from serving.decision.program import as_type
from serving.decision.values import Scalar
from serving.decision.vectors import Vector, vector

ACTION_PREFIX = "action."
"""How rules name what belongs to the action."""

ACTION_FIELDS = {
    "id": ColumnType.STRING,
    "label": ColumnType.STRING,
    "issue": ColumnType.STRING,
    "group": ColumnType.STRING,
    "value": ColumnType.FLOAT,
}
"""What every action has under ``action.*`` besides its attributes."""


def action_value(action: Action, name: str) -> Scalar:
    """Return the value of ``action.<name>`` as rules and templates see it."""
    match name:
        case "id":
            return action.action_id
        case "label" | "issue" | "group":
            return str(getattr(action, name))
        case "value":
            return action.value
        case _:
            return action.attributes.get(name)


def is_of_action(column: ColumnRef) -> bool:
    """Whether a rule's column belongs to the action."""
    return column.name.startswith(ACTION_PREFIX)


def action_scalar(action: Action, column: ColumnRef) -> Scalar:
    """Return the action's value of a column, as its type has it."""
    value = as_type(action_value(action, column.name.removeprefix(ACTION_PREFIX)), column.type, column.name)
    # -0.0 is 0.0: what is equal must mean one thing
    return value + 0.0 if isinstance(value, float) else value


def action_vectors(actions: Sequence[Action], expressions: Iterable[Expression]) -> dict[str, Vector]:
    """Return, of every ``action.*`` that the expressions name, the values of all actions."""
    columns = {column for node in expressions for column in column_refs(node) if is_of_action(column)}
    return {
        column.name: vector([action_scalar(action, column) for action in actions], column.type)
        for column in columns
    }
