"""What rules, templates and formulas read of an action: ``action.*``."""

from __future__ import annotations

from serving.decision.actions import Action
from serving.decision.columns import ColumnType
from serving.decision.values import Scalar

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
