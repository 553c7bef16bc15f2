"""What rules may read besides the action: declared context, and columns of the customer."""

from __future__ import annotations

from collections.abc import Mapping

from serving.catalogue.section import Section
from serving.decision.actions import ContextField, SetBy
from serving.decision.columns import Column, ColumnType
from serving.decision.context import DERIVED
from serving.decision.parsing import nearest
from serving.decision.values import Purpose


def read_context(root: Section) -> tuple[ContextField, ...]:
    """Return the declared ``context.*`` values."""
    return tuple(
        _field(name, section) for name, section in root.sections("context", "context", required=False)
    )


def read_customer(root: Section, features: Mapping[str, Column] | None) -> dict[str, Column]:
    """Return every column of the customer that rules may name: the features, and those the file declares.

    A declared column that the features have too must be of the same type and words. One they do not have is
    allowed here and refused by a service whose features lack it (``feature_columns.missing_columns``).
    """
    columns = dict(features or {})
    for name, section in root.sections("customer", "customer", required=False):
        declared = _column(section)
        known = columns.get(name)
        section.text("meaning", "")
        section.finish()
        if known is None:
            columns[name] = declared
        elif known.type is not declared.type:
            section.fault("type", f"`{name}` is {known.type} in the feature contract; write that")
        elif declared.categories and set(declared.categories) != set(known.categories):
            words = ", ".join(known.categories) or "any text"
            section.fault("values", f"`{name}` holds {words} in the feature contract; leave values out")
    return columns


def _field(name: str, section: Section) -> ContextField:
    column = _column(section)
    set_by = section.choice("set_by", SetBy)
    meaning = section.text("meaning")
    purpose = section.choice("purpose", Purpose) if "purpose" in section else None
    if purpose is not None and set_by is SetBy.MOMENT:
        section.fault("purpose", "what Moment derives tells nothing of a person; leave purpose out")
    field = ContextField(name, column.type, set_by, meaning, column.categories, purpose)
    section.finish()
    return _derived(field, section) if set_by is SetBy.MOMENT else field


def _column(section: Section) -> Column:
    kind = section.choice("type", ColumnType)
    words = tuple(text for text, _ in section.texts("values"))
    if words and kind is not ColumnType.STRING:
        section.fault("values", "can only be listed for a string")
    return Column(kind, words)


def _derived(field: ContextField, section: Section) -> ContextField:
    derived = DERIVED.get(field.name)
    if derived is None:
        hint = nearest(field.name, DERIVED) or f"; it derives {', '.join(DERIVED)}"
        section.fault("set_by", f"Moment cannot derive `{field.name}`{hint}")
        return field
    if derived.type is not field.type:
        section.fault("type", f"`{field.name}` is {derived.type}")
    return ContextField(field.name, field.type, field.set_by, field.meaning, derived.categories)
