"""What differs between two catalogues, thing by thing and field by field; order and layout do not count."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby

from serving.catalogue.view import Json, catalogue_view
from serving.decision.catalogue import Catalogue

_NAMES_LISTED = 6


class Change(StrEnum):
    """What became of a thing."""

    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"


@dataclass(frozen=True, slots=True)
class FieldChange:
    """A field that differs: what it was and what it is; None is nothing.

    Of a list that keeps its order, ``old`` is what left it and ``new`` what joined it.
    """

    field: str
    old: Json
    new: Json


@dataclass(frozen=True, slots=True)
class Difference:
    """A thing that differs: ``action coupon-cheese``, ``contact policy three-a-week``, …."""

    kind: str
    name: str
    change: Change
    fields: tuple[FieldChange, ...] = ()

    @property
    def subject(self) -> str:
        """Its kind and name."""
        return f"{self.kind} {self.name}".rstrip()


_Things = dict[tuple[str, str], dict[str, Json]]


def differences(old: Catalogue, new: Catalogue) -> tuple[Difference, ...]:
    """Return everything that differs, the catalogue itself first, then by kind and name."""
    before, after = _things(catalogue_view(old)), _things(catalogue_view(new))
    return tuple(_differences(before, after))


def lines_of(found: Sequence[Difference]) -> Iterator[str]:
    """Yield the differences in words; what changed in the same way in many actions is told once."""
    for kind, of_kind in groupby(found, lambda one: one.kind):
        differing = list(of_kind)
        yield kind if kind == "catalogue" else f"{kind.replace('policy', 'policie')}s"
        for one in differing:
            if one.change is Change.REMOVED:
                yield f"  - {one.name}"
            elif one.change is Change.ADDED:
                yield f"  + {one.name}"
                yield from (f"      {field.field}: {_text(field.new)}" for field in one.fields)
        for names, fields in _alike(one for one in differing if one.change is Change.CHANGED):
            if kind != "catalogue":
                yield f"  ~ {_listed(names)}"
            yield from (f"      {line}" for field in fields for line in _field_lines(field))


def text_of(value: Json) -> str:
    """Return a field's value in words."""
    return _text(value)


def as_json(found: Sequence[Difference]) -> list[Json]:
    """Return the differences for scripts."""
    return [
        {
            "kind": one.kind,
            "name": one.name,
            "change": one.change,
            "fields": [{"field": field.field, "old": field.old, "new": field.new} for field in one.fields],
        }
        for one in found
    ]


def _differences(before: _Things, after: _Things) -> Iterator[Difference]:
    kinds = list(dict.fromkeys(kind for kind, _ in (*before, *after)))
    for kind, name in sorted(before.keys() | after.keys(), key=lambda one: (kinds.index(one[0]), one[1])):
        old, new = before.get((kind, name)), after.get((kind, name))
        if old is None or new is None:
            change = Change.ADDED if old is None else Change.REMOVED
            yield Difference(kind, name, change, tuple(_changed(old or {}, new or {})))
        elif old != new:
            yield Difference(kind, name, Change.CHANGED, tuple(_changed(old, new)))


def _changed(old: Mapping[str, Json], new: Mapping[str, Json]) -> Iterator[FieldChange]:
    for field in dict.fromkeys((*old, *new)):
        was, now = old.get(field), new.get(field)
        if was == now and (field in old) == (field in new):
            continue
        if isinstance(was, list) and isinstance(now, list):
            left, joined = [one for one in was if one not in now], [one for one in now if one not in was]
            if left or joined:
                was, now = left, joined
        if was not in (None, [], {}) or now not in (None, [], {}):
            yield FieldChange(field, was, now)


def _things(view: Mapping[str, Json]) -> _Things:
    """Return everything that has a name, flat: (kind, name) → field → value."""
    things: _Things = {("catalogue", ""): {"name": view["catalogue"]}}
    whole = things["catalogue", ""]
    for key in ("currency", "timezone", "language", "outbound", "exploration", "propensity_floor", "formula"):
        whole[key] = view[key]
    whole.update(_flat({"control": view["control"], "holdout": view["holdout"]}))
    for kind, entry, key in (
        ("placement", "placements", "name"),
        ("context value", "context", "name"),
        ("contact policy", "contact_policies", "name"),
        ("exclusion", "exclusions", "name"),
    ):
        for thing in _mappings(view[entry]):
            channel = f"{thing['channel']} " if kind == "placement" else ""
            # who is in an exclusion is told of the actions, and words of a policy by its fields
            told_elsewhere = "actions" if kind == "exclusion" else "in_words"
            things[kind, f"{channel}{thing[key]}"] = _flat(_without(thing, key, "channel", told_elsewhere))
    things.update(_arms(view))
    for kind, entry in (("action", "actions"), ("fallback", "fallbacks")):
        for thing in _mappings(view[entry]):
            things[kind, str(thing["action_id"])] = _action(thing)
    return things


def _arms(view: Mapping[str, Json]) -> _Things:
    things: _Things = {}
    for layer in _mappings(view["experiments"]):
        things["layer", str(layer["layer"])] = {"salt": layer["salt"]}
        for experiment in _mappings(layer["experiments"]):
            for arm in _mappings(experiment["arms"]):
                name = f"{layer['layer']} > {experiment['experiment']} > {arm['arm']}"
                things["arm", name] = _flat(_without(arm, "arm"))
    return things


def _action(view: Mapping[str, Json]) -> dict[str, Json]:
    """Return an action flat; rules by tier as texts, treatments by their key."""
    action_id = str(view["action_id"])
    rules: dict[str, list[Json]] = {}
    for use in _mappings(view["rules"]):
        rules.setdefault(str(use["tier"]), []).append(f"`{use['text']}` ({use['level']})")
    weights = [f"{one['weight']} where `{one['when']}`" for one in _mappings(view["context_weights"])]
    treatments = {
        str(one["treatment_id"]).removeprefix(f"{action_id}-"): _without(one, "treatment_id")
        for one in _mappings(view["treatments"])
    }
    kept = _without(view, "action_id", "rules", "context_weights", "treatments")
    return _flat(kept) | rules | {"context_weights": weights} | _flat({"treatments": treatments})


def _flat(view: Mapping[str, Json], prefix: str = "") -> dict[str, Json]:
    flat: dict[str, Json] = {}
    for key, value in view.items():
        if isinstance(value, Mapping):
            flat.update(_flat(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _mappings(listed: Json) -> Iterator[Mapping[str, Json]]:
    if isinstance(listed, Sequence) and not isinstance(listed, str):
        yield from (item for item in listed if isinstance(item, Mapping))


def _without(view: Mapping[str, Json], *keys: str) -> dict[str, Json]:
    return {key: value for key, value in view.items() if key not in keys}


def _alike(found: Iterable[Difference]) -> Iterator[tuple[tuple[str, ...], list[FieldChange]]]:
    """Yield names of things, and the field changes that happened to just these."""
    names: dict[str, list[str]] = {}
    changes: dict[str, FieldChange] = {}
    for difference in found:
        for field in difference.fields:
            changes[repr(field)] = field
            names.setdefault(repr(field), []).append(difference.name)
    together: dict[tuple[str, ...], list[FieldChange]] = {}
    for key, changed in names.items():
        together.setdefault(tuple(changed), []).append(changes[key])
    yield from sorted(together.items(), key=lambda one: (-len(one[0]), one[0]))


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _NAMES_LISTED
    listed = ", ".join(names[:_NAMES_LISTED])
    return f"{len(names)} alike: {listed} and {more} more" if more > 0 else listed


def _field_lines(field: FieldChange) -> Iterator[str]:
    old, new = field.old, field.new
    if isinstance(old, list) and isinstance(new, list) and not any(one in old for one in new):
        yield from (f"{field.field}: - {_text(one)}" for one in old)
        yield from (f"{field.field}: + {_text(one)}" for one in new)
        return
    yield f"{field.field}: {_text(old)} -> {_text(new)}"


def _text(value: Json) -> str:
    match value:
        case None:
            return "none"
        case bool():
            return "true" if value else "false"
        case float():
            return f"{value:.6g}"
        case str():
            return value
        case [*items]:
            return ", ".join(_text(item) for item in items) or "none"
        case _:
            return str(value)
