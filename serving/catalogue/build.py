"""From a draft to a catalogue: everything that refers to something else is looked up and checked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta

from serving.catalogue.drafts import Draft, DraftAction, DraftField, DraftPlacement, DraftTreatment
from serving.catalogue.rulebook import RuleBook
from serving.decision.actions import Action, Candidate, ContextField, Placement, SetBy, Treatment
from serving.decision.attributes import ACTION_FIELDS, ACTION_PREFIX
from serving.decision.catalogue import Catalogue
from serving.decision.columns import Column, ColumnType
from serving.decision.context import CONTEXT_PREFIX, DERIVED
from serving.decision.exploration import Exploration
from serving.decision.greedy import Greedy
from serving.decision.parsing import nearest
from serving.decision.rules import Rule
from serving.decision.templates import is_well_formed, places
from serving.decision.values import ActionId, Scalar, TreatmentId

EXPLORATIONS: Mapping[str, Exploration] = {"greedy": Greedy()}


@dataclass(frozen=True, slots=True)
class Checked:
    """The parts of a catalogue. When there are faults, they must not become one."""

    draft: Draft
    context: tuple[ContextField, ...]
    actions: tuple[Action, ...]
    placements: tuple[Placement, ...]
    rules: tuple[Rule, ...]
    exploration: Exploration

    def catalogue(self) -> Catalogue:
        """Return the catalogue of these parts, compiled."""
        return Catalogue(
            name=self.draft.name,
            currency=self.draft.currency,
            timezone=self.draft.timezone.key,
            actions=self.actions,
            placements=self.placements,
            context=self.context,
            rules=self.rules,
            propensity_floor=self.draft.propensity_floor,
            exploration=self.exploration,
        )


def check(draft: Draft, features: Mapping[str, Column] | None) -> Checked:
    """Look up everything that refers to something else; what is wrong is noted with the section it is in."""
    context = tuple(_field(field) for field in draft.context)
    columns = {
        **(features or {}),
        **{CONTEXT_PREFIX + field.name: Column(field.type, field.categories) for field in context},
        **{ACTION_PREFIX + name: column for name, column in _attribute_columns(draft).items()},
    }
    _check_ids(draft)
    _check_treatments(draft, columns, closed=features is not None)
    book = RuleBook(columns, closed=features is not None)
    for action in draft.actions:
        book.read(action.inherited.rules)
    rules = book.number()
    fallbacks = {action.action_id: _action(action, book) for action in draft.fallbacks}
    return Checked(
        draft=draft,
        context=context,
        actions=tuple(_action(action, book) for action in draft.actions),
        placements=tuple(_placement(placement, fallbacks) for placement in draft.placements),
        rules=rules,
        exploration=_exploration(draft),
    )


def _field(draft: DraftField) -> ContextField:
    categories = draft.values
    if draft.values and draft.type is not ColumnType.STRING:
        draft.section.fault("values", "can only be listed for a string")
    if draft.set_by is SetBy.MOMENT:
        derived = DERIVED.get(draft.name)
        if derived is None:
            hint = nearest(draft.name, DERIVED) or f"; it derives {', '.join(DERIVED)}"
            draft.section.fault("set_by", f"Moment cannot derive `{draft.name}`{hint}")
        elif derived.type is not draft.type:
            draft.section.fault("type", f"`{draft.name}` is {derived.type}")
        else:
            categories = derived.categories
    return ContextField(draft.name, draft.type, draft.set_by, draft.meaning, categories)


def _attribute_columns(draft: Draft) -> dict[str, Column]:
    """Return what rules may name as ``action.*``; an attribute has one type in the whole catalogue."""
    found: dict[str, list[Scalar]] = {}
    columns: dict[str, Column] = {}
    for action in draft.actions:
        for name, value in action.inherited.attributes.items():
            if name in ACTION_FIELDS:
                action.section.fault("attributes", f"`{name}` is taken by the action's own {name}")
            kind = _type_of(value)
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


def _with_words(column: Column, values: Iterable[Scalar]) -> Column:
    if column.type is not ColumnType.STRING:
        return column
    return Column(column.type, tuple(sorted({str(value) for value in values if value is not None})))


def _type_of(value: Scalar) -> ColumnType | None:
    kinds = {bool: ColumnType.BOOL, int: ColumnType.INT, float: ColumnType.FLOAT, str: ColumnType.STRING}
    return kinds.get(type(value))


def _check_ids(draft: Draft) -> None:
    seen: dict[str, DraftAction] = {}
    for action in (*draft.actions, *draft.fallbacks):
        first = seen.setdefault(action.action_id, action)
        if first is not action:
            action.section.fault("", f"the name is taken on line {first.section.line}; names are unique")


def _check_treatments(draft: Draft, columns: Mapping[str, Column], *, closed: bool) -> None:
    places_of: dict[str, set[str]] = {}
    for placement in draft.placements:
        places_of.setdefault(placement.channel, set()).add(placement.name)
    checked: dict[int, DraftTreatment] = {}
    for action in (*draft.actions, *draft.fallbacks):
        for treatment in action.inherited.treatments.values():
            # a treatment many actions inherit is wrong once, where it is written
            if id(treatment) not in checked:
                checked[id(treatment)] = treatment
                _check_placements(treatment, places_of)
                _check_templates(treatment, columns, closed=closed)


def _check_placements(treatment: DraftTreatment, places_of: Mapping[str, set[str]]) -> None:
    known = places_of.get(treatment.channel)
    if known is None:
        if treatment.channel:
            hint = nearest(treatment.channel, places_of) or f"; one of {', '.join(sorted(places_of))}"
            treatment.section.fault("channel", f"there is no channel `{treatment.channel}`{hint}")
        return
    for name in treatment.placements:
        if name not in known:
            hint = nearest(name, known) or f"; one of {', '.join(sorted(known))}"
            treatment.section.fault("placements", f"channel {treatment.channel} has no `{name}`{hint}")


def _check_templates(treatment: DraftTreatment, columns: Mapping[str, Column], *, closed: bool) -> None:
    for field, template in treatment.content.items():
        if not is_well_formed(template):
            treatment.section.fault("content", f"{field}: a place is written {{{{ action.label }}}}")
        for name in places(template):
            source, _, rest = name.partition(".")
            if source not in ("action", "context", "customer") or not rest:
                message = f"{field}: `{name}` begins with none of action., context., customer."
                treatment.section.fault("content", message)
            elif source == "customer" and not closed:
                continue
            elif (rest if source == "customer" else name) not in columns:
                names = [f"customer.{known}" if "." not in known else known for known in columns]
                treatment.section.fault("content", f"{field}: there is no `{name}`{nearest(name, names)}")


def _action(draft: DraftAction, book: RuleBook) -> Action:
    inherited = draft.inherited
    if inherited.window_days is None:
        draft.section.fault("window_days", "is missing here and above; write the days an outcome counts")
    if not inherited.treatments:
        draft.section.fault("treatments", "are missing here and above; an action needs at least one")
    if draft.starts_at and draft.ends_at and draft.starts_at >= draft.ends_at:
        draft.section.fault("ends_at", "is not after starts_at")
    return Action(
        action_id=ActionId(draft.action_id),
        label=draft.label,
        issue=draft.issue,
        group=draft.group,
        value=draft.value,
        window=timedelta(days=inherited.window_days or 1.0),
        attributes=dict(inherited.attributes),
        rules=book.uses(inherited.rules),
        treatments=tuple(_treatment(draft.action_id, one) for one in inherited.treatments.values()),
        starts_at=draft.starts_at,
        ends_at=draft.ends_at,
    )


def _treatment(action_id: str, draft: DraftTreatment) -> Treatment:
    return Treatment(
        treatment_id=TreatmentId(f"{action_id}-{draft.key}"),
        channel=draft.channel,
        placements=draft.placements,
        language=draft.language,
        content=draft.content,
    )


def _placement(draft: DraftPlacement, fallbacks: Mapping[str, Action]) -> Placement:
    return Placement(draft.channel, draft.name, draft.slots, draft.distinct, _fallback(draft, fallbacks))


def _fallback(draft: DraftPlacement, fallbacks: Mapping[str, Action]) -> Candidate | None:
    if not draft.fallback:
        return None
    action = fallbacks.get(draft.fallback)
    if action is None:
        hint = nearest(draft.fallback, fallbacks) or "; write it under fallbacks"
        draft.section.fault("fallback", f"there is no fallback `{draft.fallback}`{hint}")
        return None
    for treatment in action.treatments:
        if treatment.channel == draft.channel and draft.name in treatment.placements:
            return Candidate(action, treatment)
    draft.section.fault("fallback", f"`{draft.fallback}` has no treatment for this placement; add one")
    return None


def _exploration(draft: Draft) -> Exploration:
    exploration = EXPLORATIONS.get(draft.exploration)
    if exploration is None:
        hint = nearest(draft.exploration, EXPLORATIONS) or f"; one of {', '.join(EXPLORATIONS)}"
        draft.section.fault("exploration", f"there is no policy `{draft.exploration}`{hint}")
    return exploration or Greedy()
