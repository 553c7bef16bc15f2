"""The API described: OpenAPI 3.1, made from the schemas, the problem kinds and the examples."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from typing import Any

import msgspec
import yaml

from moment import __version__
from serving.api import (
    customers_routes,
    events_routes,
    explanation_routes,
    history_routes,
    models_routes,
    operations,
    outcomes_routes,
    stops_routes,
)
from serving.api.examples import JSON
from serving.api.operations import Operation, Parameter
from serving.api.problem_examples import SAID
from serving.api.problems import KINDS, MEDIA_TYPE, Problem, problem

OPERATIONS = (
    *operations.DECIDING,
    *outcomes_routes.OPERATIONS,
    *events_routes.OPERATIONS,
    *operations.RECORDS,
    *explanation_routes.OPERATIONS,
    *operations.CUSTOMERS,
    *history_routes.OPERATIONS,
    *customers_routes.OPERATIONS,
    *models_routes.OPERATIONS,
    *stops_routes.OPERATIONS,
    *operations.PROBES,
)

_REFERENCE = "#/components/schemas/{name}"

_SECONDS: JSON = {
    "description": "Seconds to wait before asking again.",
    "required": True,
    "schema": {"type": "string", "pattern": "^[1-9][0-9]*$"},
}
_CHALLENGE: JSON = {"description": "How to say who asks.", "required": True, "schema": {"type": "string"}}
_HEADERS: Mapping[int, dict[str, JSON]] = {
    401: {"WWW-Authenticate": _CHALLENGE},
    429: {"Retry-After": _SECONDS},
    503: {"Retry-After": _SECONDS},
}

_OF_A_DECISION = ("readDecision", "explainDecision", "replayDecision")
_LINKS: Mapping[str, dict[str, JSON]] = {
    "makeDecision": {
        name: {"operationId": name, "parameters": {"decision_id": "$response.body#/decision_id"}}
        for name in _OF_A_DECISION
    }
}
"""Where the answer of one call leads to another."""

_NOT_BOTH: JSON = {"not": {"required": ["customer_id", "identity"]}}
_JUST_ONE: JSON = {"oneOf": [{"required": ["customer_id"]}, {"required": ["identity"]}]}
_RULES: Mapping[str, JSON] = {"DecisionRequest": _NOT_BOTH, "EventReported": _JUST_ONE}
"""What JSON Schema can say of a body beyond its fields."""


@dataclass(frozen=True, slots=True)
class Document:
    """The whole description."""

    content: Mapping[str, Any]

    def encode(self) -> bytes:
        """Return it as JSON."""
        return msgspec.json.format(msgspec.json.encode(self.content), indent=1)


@lru_cache
def document() -> Document:
    """Return the description."""
    return describe(OPERATIONS, "Moment", "The next best action for a customer, decided in the moment.")


def describe(operations: Sequence[Operation], title: str, description: str) -> Document:
    """Return the description of some calls."""
    structs = [Problem, *_structs(operations)]
    _, components = msgspec.json.schema_components(structs, ref_template=_REFERENCE)
    for component in components.values():
        # Said of words too, for who makes code of it
        if "enum" in component and all(isinstance(word, str) for word in component["enum"]):
            component.setdefault("type", "string")
    for name, rule in _RULES.items():
        if name in components:
            components[name] |= rule
    paths: dict[str, dict[str, JSON]] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method] = _operation(operation)
    return Document(
        {
            "openapi": "3.1.0",
            "info": {
                "title": title,
                "version": __version__,
                "description": description,
            },
            "servers": [{"url": "/", "description": "Where this page came from."}],
            "security": [{"key": []}],
            "paths": paths,
            "components": {
                "schemas": components,
                "securitySchemes": {
                    "key": {
                        "type": "http",
                        "scheme": "bearer",
                        "description": "`Authorization: Bearer <key>`; `moment keys create` makes a key.",
                    }
                },
            },
        }
    )


def dump_yaml(described: Document) -> bytes:
    """Return the description as YAML."""
    plain = msgspec.to_builtins(described.content)
    return yaml.safe_dump(plain, sort_keys=False, allow_unicode=True, width=110).encode()


def _structs(operations: Sequence[Operation]) -> Iterable[type[msgspec.Struct]]:
    for operation in operations:
        yield operation.answer
        if operation.body is not None:
            yield operation.body


def _operation(operation: Operation) -> JSON:
    described: dict[str, JSON] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "description": operation.description,
        "responses": {
            "200": {
                "description": str(operation.answer.__doc__).strip(),
                "content": {"application/json": _content(operation.answer, operation.answers)},
                **({"links": _LINKS[operation.name]} if operation.name in _LINKS else {}),
            },
            **_refusals(operation.problems),
        },
    }
    if operation.parameters:
        described["parameters"] = [_parameter(parameter) for parameter in operation.parameters]
    if operation.body is not None:
        described["requestBody"] = {
            "required": True,
            "content": {"application/json": _content(operation.body, operation.bodies)},
        }
    if operation.scope is None:
        described["security"] = []
    else:
        described["description"] = f"{operation.description} The key needs the scope `{operation.scope}`."
    return described


def _content(struct: type[msgspec.Struct], shown: Mapping[str, JSON]) -> JSON:
    return {
        "schema": {"$ref": _REFERENCE.format(name=struct.__name__)},
        "examples": {name: {"value": value} for name, value in shown.items()},
    }


def _parameter(parameter: Parameter) -> JSON:
    return {
        "name": parameter.name,
        "in": parameter.place,
        "required": parameter.place == "path",
        "description": parameter.meaning,
        "schema": dict(parameter.schema),
        "example": parameter.example,
    }


def _refusals(codes: Sequence[str]) -> dict[str, JSON]:
    """Return one response per status, with an example per code."""
    ordered = sorted(codes, key=lambda code: KINDS[code].status)
    return {
        str(status): _refusal(status, list(group))
        for status, group in groupby(ordered, key=lambda code: KINDS[code].status)
    }


def _refusal(status: int, codes: list[str]) -> JSON:
    shown: dict[str, JSON] = {code: msgspec.to_builtins(problem(code, *SAID[code])) for code in codes}
    described: dict[str, JSON] = {
        "description": "; ".join(KINDS[code].title for code in codes),
        "content": {MEDIA_TYPE: _content(Problem, shown)},
    }
    return described | ({"headers": _HEADERS[status]} if status in _HEADERS else {})
