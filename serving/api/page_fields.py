"""The fields of a body or an answer as rows for people, taken from the schemas of the description."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

_DEEPEST = 3


@dataclass(frozen=True, slots=True)
class Field:
    """One field: its path from the top, what it may be in words, whether it must be there, what it means."""

    path: str
    kind: str
    required: bool
    meaning: str


def fields(name: str, schemas: Mapping[str, Any]) -> Iterator[Field]:
    """Return the fields of a schema by name, each followed by its own."""
    yield from _fields(schemas[name], "", schemas)


def _fields(schema: Mapping[str, Any], above: str, schemas: Mapping[str, Any]) -> Iterator[Field]:
    required = schema.get("required", ())
    for name, field in schema.get("properties", {}).items():
        path, inner = f"{above}{name}", _resolved(field, schemas)
        several = inner.get("type") == "array"
        items = _resolved(inner.get("items", {}), schemas) if several else inner
        meaning = field.get("description") or items.get("description", "")
        kind = f"list of {_kind(items)}" if several else _kind(inner)
        yield Field(path + "[]" * several, kind, name in required, " ".join(meaning.split()))
        if path.count(".") + 1 < _DEEPEST:
            yield from _fields(items, f"{path}{'[]' * several}.", schemas)


def _resolved(schema: Mapping[str, Any], schemas: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what a schema refers to; of something or nothing, the something."""
    for one in schema.get("anyOf", ()):
        if one != {"type": "null"}:
            return _resolved(one, schemas)
    reference = schema.get("$ref")
    return schema if reference is None else schemas[reference.rpartition("/")[2]]


def _kind(schema: Mapping[str, Any]) -> str:
    if "enum" in schema:
        return " | ".join(f"`{word}`" for word in schema["enum"])
    if schema.get("format") == "date-time":
        return "instant"
    kind = schema.get("type", "any")
    said = " | ".join(kind) if isinstance(kind, list) else str(kind)
    longest = schema.get("maxLength")
    lowest, highest = schema.get("minimum"), schema.get("maximum")
    if longest is not None:
        return f"{said}, at most {longest} characters"
    return said if lowest is None or highest is None else f"{said}, {lowest} to {highest}"
