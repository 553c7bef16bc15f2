"""From a catalogue's action to what a model knows of it: one definition for training and serving."""

from __future__ import annotations

from features.rows import ActionFacts
from serving.decision.actions import Action
from serving.decision.values import Scalar


def action_facts(action: Action) -> ActionFacts:
    """Return the facts of an action: its group, its value and, of its attributes, those that models use."""
    attributes = action.attributes
    return ActionFacts(
        action_id=action.action_id,
        group=action.group,
        category=_text(attributes.get("category")),
        department=_text(attributes.get("department")),
        typical_price=_number(attributes.get("typical_price")),
        penetration=_number(attributes.get("penetration")),
        value=action.value,
        products=_number(attributes.get("products")),
    )


def _text(value: Scalar) -> str | None:
    return None if value is None else str(value)


def _number(value: Scalar) -> float | None:
    return float(value) if isinstance(value, (int, float)) else None
