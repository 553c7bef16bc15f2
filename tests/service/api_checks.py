"""Hooks of Schemathesis: two checks of our own, and words the catalogue knows in place of random ones.

Schemathesis holds the service to its description. What the description cannot say is here: which words the
catalogue knows, and which refusals a body that fits its schema may meet all the same.
"""

from __future__ import annotations

import json
from typing import Any

import schemathesis
from schemathesis import Case, CheckContext, HookContext, Response
from schemathesis.specs.openapi.checks import positive_data_acceptance

FIT_BUT_REFUSED = frozenset(
    {
        "unknown-channel",
        "unknown-placement",
        "duplicate-placement",
        "invalid-slots",
        "unknown-context",
        "invalid-context",
        "context-not-settable",
        "unknown-action",
        "unknown-treatment",
        "treatment-does-not-fit",
        "time-out-of-range",
    }
)
"""Refusals that depend on the catalogue or the clock."""

FIELDS_BEYOND_A_SCHEMA = frozenset({"cursor", "from", "context.time", "consents"})
"""Values a schema has no words for: made by the service, or to be read beside another."""

NO_WHOLE_NUMBER = "expected int, got float"
"""JSON Schema takes 10.0 for a whole number; Moment does not."""


@schemathesis.check
def schema_valid_is_accepted(ctx: CheckContext, response: Response, case: Case[Any]) -> bool | None:
    """Hold what fits the schema to be accepted, unless the catalogue has the last word on it."""
    if response.status_code == 422:
        problem = json.loads(response.content)
        if problem["code"] in FIT_BUT_REFUSED or problem.get("field") in FIELDS_BEYOND_A_SCHEMA:
            return None
        if problem["detail"] == NO_WHOLE_NUMBER:
            return None
    return positive_data_acceptance(ctx, response, case)


@schemathesis.check
def code_is_described(ctx: CheckContext, response: Response, case: Case[Any]) -> None:
    """Hold every problem to be one that the description of its call shows."""
    if response.status_code < 400 or response.status_code == 405:
        return
    if not case.operation.label.startswith(case.method.upper()):
        return
    described = case.operation.definition.raw["responses"][str(response.status_code)]
    shown = described["content"]["application/problem+json"]["examples"]
    assert json.loads(response.content)["code"] in shown, response.content


@schemathesis.hook
def map_body(ctx: HookContext, body: object) -> object:
    """Ask, as a rule, for what the catalogue has: else no decision would ever be made.

    Where something else may be wrong with the placements, they stay as they are.
    """
    if isinstance(body, dict) and isinstance(body.get("channel"), str) and len(body["channel"]) % 4:
        placements = body.get("placements")
        if isinstance(placements, list) and len(placements) == 1 and isinstance(placements[0], dict):
            first = placements[0]
            if isinstance(first.get("name"), str):
                return body | {"channel": "web", "placements": [first | {"name": "home"}]}
    return body
