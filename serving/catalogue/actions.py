"""From a draft to an action: its attributes, its rules, its bounds."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from datetime import timedelta

from serving.catalogue.drafts import DraftAction
from serving.catalogue.rulebook import RuleBook
from serving.decision.actions import Action, Allowance
from serving.decision.attributes import ACTION_FIELDS
from serving.decision.columns import Column, ColumnType
from serving.decision.values import ActionId, Scalar

_TYPES = {bool: ColumnType.BOOL, int: ColumnType.INT, float: ColumnType.FLOAT, str: ColumnType.STRING}


def attribute_columns(drafts: Iterable[DraftAction]) -> dict[str, Column]:
    """Return what rules may name as ``action.*``; an attribute has one type in the whole catalogue."""
    found: dict[str, list[Scalar]] = {}
    columns: dict[str, Column] = {}
    for action in drafts:
        for name, value in action.inherited.attributes.items():
            if name in ACTION_FIELDS:
                action.section.fault("attributes", f"`{name}` is taken by the action's own {name}")
            kind = _TYPES.get(type(value))
            known = columns.get(name)
            if kind is None or known is None:
                columns.update({name: Column(kind)} if kind else {})
            elif known.type is not kind and not (known.type.is_number and kind.is_number):
                action.section.fault("attributes", f"`{name}` is {kind} here but {known.type} before")
            elif known.type is not kind:
                columns[name] = Column(ColumnType.FLOAT)
            found.setdefault(name, []).append(value)
    fixed = {name: Column(kind) for name, kind in ACTION_FIELDS.items()}
    return {name: _with_words(column, found[name]) for name, column in columns.items()} | fixed


def check_ids(drafts: Sequence[DraftAction]) -> None:
    """Note every action whose name another has."""
    seen: dict[str, DraftAction] = {}
    for action in drafts:
        first = seen.setdefault(action.action_id, action)
        if first is not action:
            action.section.fault("", f"the name is taken on line {first.section.line}; names are unique")


def make_action(draft: DraftAction, book: RuleBook) -> Action:
    """Return the action; what contradicts itself is a fault."""
    inherited = draft.inherited
    _check(draft)
    return Action(
        action_id=ActionId(draft.action_id),
        label=draft.label,
        issue=draft.issue,
        group=draft.group,
        value=draft.value,
        window=timedelta(days=inherited.window_days or 1.0),
        attributes=dict(inherited.attributes),
        rules=book.uses(inherited.rules),
        treatments=tuple(one.of(draft.action_id) for one in inherited.treatments.values()),
        starts_at=draft.starts_at,
        ends_at=draft.ends_at,
        lever=inherited.lever,
        positive_outcome=inherited.outcome,
        purposes=inherited.purposes,
        mandatory=draft.mandatory,
        cost=inherited.cost,
        budget=draft.budget,
        volume=draft.volume,
        exclusions=inherited.exclusions,
        weightings=book.weightings(inherited.weights),
    )


def _check(draft: DraftAction) -> None:
    section, inherited = draft.section, draft.inherited
    if inherited.window_days is None:
        section.fault("window_days", "is missing here and above; write the days an outcome counts")
    if not inherited.treatments:
        section.fault("treatments", "are missing here and above; an action needs at least one")
    if draft.starts_at and draft.ends_at and draft.starts_at >= draft.ends_at:
        section.fault("ends_at", "is not after starts_at")
    if draft.budget is not None:
        _check_budget(draft, draft.budget)
    if draft.mandatory is not None:
        _check_mandatory(draft)


def _check_budget(draft: DraftAction, budget: Allowance) -> None:
    cost = draft.inherited.cost
    if not cost:
        draft.section.fault("budget", "is never used up without a cost; write what one offer takes from it")
    elif cost > min(budget.total or math.inf, budget.per_day or math.inf):
        draft.section.fault("budget", f"does not pay for one offer, which costs {cost:g}; raise it")


def _check_mandatory(draft: DraftAction) -> None:
    """Check that nothing uses up a message that must go out; spread over days it may be."""
    if draft.budget is not None:
        draft.section.fault("budget", "cannot stop a mandatory message; leave it out")
    if draft.volume is not None and draft.volume.total is not None:
        draft.section.fault("volume", "a total cannot stop a mandatory message; write per_day only")


def _with_words(column: Column, values: Iterable[Scalar]) -> Column:
    if column.type is not ColumnType.STRING:
        return column
    return Column(column.type, tuple(sorted({str(value) for value in values if value is not None})))
