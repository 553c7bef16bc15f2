"""The API described: OpenAPI 3.1, made from the schemas, the problem kinds and the examples."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import groupby
from typing import Any

import msgspec
import yaml

from moment import __version__
from serving.api import examples
from serving.api.examples import JSON
from serving.api.problems import KINDS, MEDIA_TYPE, Problem, problem
from serving.api.schemas import (
    Alive,
    CustomerAnswer,
    DecisionAnswer,
    DecisionRequest,
    Ready,
    RecordAnswer,
)

_REFERENCE = "#/components/schemas/{name}"
_ACCESS = ("key-missing", "key-unknown", "scope-missing")
_ALWAYS = ("unknown-parameter", "internal", "dependency-unavailable", "step-missing", "not-ready")


@dataclass(frozen=True, slots=True)
class Document:
    """The whole description."""

    content: Mapping[str, Any]

    def encode(self) -> bytes:
        """Return it as JSON."""
        return msgspec.json.format(msgspec.json.encode(self.content), indent=1)


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter in the path or the query."""

    name: str
    place: str
    meaning: str
    schema: Mapping[str, JSON]
    example: str


@dataclass(frozen=True, slots=True)
class Operation:
    """One call."""

    method: str
    path: str
    name: str
    summary: str
    description: str
    answer: type[msgspec.Struct]
    answers: Mapping[str, JSON]
    problems: Sequence[str]
    parameters: Sequence[Parameter] = ()
    body: type[msgspec.Struct] | None = None
    bodies: Mapping[str, JSON] = field(default_factory=dict)
    scope: str | None = None


OPERATIONS = (
    Operation(
        method="post",
        path="/v1/decisions",
        name="makeDecision",
        summary="Decide what to show a customer now",
        description=(
            "Fills every slot asked for with what is best for this customer in this moment, records why, "
            "and answers once the record is on the disk. A customer nobody knows gets a decision from "
            "context and fallback, with `profile: none`."
        ),
        answer=DecisionAnswer,
        answers=examples.DECISION_ANSWERS,
        body=DecisionRequest,
        bodies=examples.DECISION_REQUESTS,
        problems=(
            "malformed-json",
            *_ACCESS,
            "channel-not-allowed",
            "test-only",
            "body-too-slow",
            "request-id-reused",
            "body-too-large",
            "unsupported-media-type",
            "unknown-field",
            "missing-field",
            "invalid-value",
            "time-out-of-range",
            "unknown-channel",
            "unknown-placement",
            "duplicate-placement",
            "invalid-slots",
            "invalid-placements",
            "unknown-context",
            "invalid-context",
            "context-not-settable",
            *_ALWAYS,
        ),
        scope="decisions:write",
    ),
    Operation(
        method="get",
        path="/v1/decisions/{decision_id}",
        name="readDecision",
        summary="Read the record of a decision",
        description=(
            "What was asked, known, considered and answered: every candidate with the stage it reached and "
            "why. A decision of another channel or mode than the key's is not found."
        ),
        answer=RecordAnswer,
        answers=examples.RECORDS,
        problems=(*_ACCESS, "not-found", "invalid-value", *_ALWAYS),
        parameters=(
            Parameter("decision_id", "path", "Id from the answer.", {"type": "string"}, "0199f3c2-8b1a"),
            Parameter(
                "include",
                "query",
                "`scores` adds propensities, priorities and the segment; needs the scope `scores:read`.",
                {"type": "string", "enum": ["scores"]},
                "scores",
            ),
        ),
        scope="decisions:read",
    ),
    Operation(
        method="get",
        path="/v1/customers/{customer_id}",
        name="readCustomer",
        summary="Read what is known of a customer",
        description=(
            "Every feature with its state and age, the persona, the latest decisions the key may see. A "
            "customer nobody knows answers in the same shape, with `profile: none`."
        ),
        answer=CustomerAnswer,
        answers=examples.CUSTOMERS,
        problems=(*_ACCESS, "test-only", "not-found", "invalid-value", "time-out-of-range", *_ALWAYS),
        parameters=(
            Parameter("customer_id", "path", "Id of the customer.", {"type": "string"}, "1228"),
            Parameter(
                "time",
                "query",
                "The instant to look at (RFC 3339 with offset); only test keys may set it.",
                {"type": "string", "format": "date-time"},
                "2018-01-02T18:00:00Z",
            ),
        ),
        scope="customers:read",
    ),
    Operation(
        method="get",
        path="/livez",
        name="alive",
        summary="Is the process there",
        description="Answers as long as the process can answer. Needs no key.",
        answer=Alive,
        answers=examples.ALIVE,
        problems=("internal",),
    ),
    Operation(
        method="get",
        path="/readyz",
        name="ready",
        summary="Are requests answered",
        description="Asks the stores and says which versions decide. Needs no key.",
        answer=Ready,
        answers=examples.READY,
        problems=("internal", "dependency-unavailable", "step-missing", "not-ready"),
    ),
)


@lru_cache
def document() -> Document:
    """Return the description."""
    structs = [Problem, *_structs()]
    _, components = msgspec.json.schema_components(structs, ref_template=_REFERENCE)
    paths: dict[str, dict[str, JSON]] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method] = _operation(operation)
    return Document(
        {
            "openapi": "3.1.0",
            "info": {
                "title": "Moment",
                "version": __version__,
                "description": "The next best action for a customer, decided in the moment.",
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


def _structs() -> Iterable[type[msgspec.Struct]]:
    for operation in OPERATIONS:
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
        str(status): _refusal(list(group))
        for status, group in groupby(ordered, key=lambda code: KINDS[code].status)
    }


def _refusal(codes: list[str]) -> JSON:
    shown: dict[str, JSON] = {
        code: msgspec.to_builtins(problem(code, "What is wrong, and the way out, in one line."))
        for code in codes
    }
    return {
        "description": "; ".join(KINDS[code].title for code in codes),
        "content": {MEDIA_TYPE: _content(Problem, shown)},
    }
