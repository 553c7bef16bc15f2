"""Every call of the API, as data: what it takes, what it answers, how it can refuse."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from serving.api import examples
from serving.api.examples import JSON
from serving.api.schemas import (
    Alive,
    CustomerAnswer,
    DecisionAnswer,
    DecisionRequest,
    Identifier,
    Ready,
    RecordAnswer,
)

ACCESS = ("key-missing", "key-unknown", "scope-missing", "rate-limited", "too-many-customers")
ALWAYS = (
    "unknown-parameter",
    "internal",
    "dependency-unavailable",
    "overloaded",
    "step-missing",
    "not-ready",
)
BODY = (
    "malformed-json",
    "body-too-slow",
    "body-too-large",
    "unsupported-media-type",
    "unknown-field",
    "missing-field",
    "invalid-value",
)


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


AN_ID: Mapping[str, JSON] = msgspec.json.schema(Identifier)
"""What every id in an address is, once decoded."""

CUSTOMER_ID = Parameter("customer_id", "path", "Id of the customer, percent-encoded.", AN_ID, "1228")
DECISION_ID = Parameter("decision_id", "path", "Id from the answer.", AN_ID, "0199f3c2-8b1a")

DECIDING = (
    Operation(
        method="post",
        path="/v1/decisions",
        name="makeDecision",
        summary="Decide what to show a customer now",
        description=(
            "Fills every slot asked for with what is best for this customer in this moment, reserves it, "
            "records why, and answers once that is on the disk. A customer nobody knows gets a decision "
            "from context and fallback, with `profile: none`. When `degraded` holds `contacts`, what the "
            "customer was given before could not be looked back on: then there is no marketing."
        ),
        answer=DecisionAnswer,
        answers=examples.DECISION_ANSWERS,
        body=DecisionRequest,
        bodies=examples.DECISION_REQUESTS,
        problems=(
            "malformed-json",
            *ACCESS,
            "channel-not-allowed",
            "test-only",
            "body-too-slow",
            "request-id-reused",
            "answer-withdrawn",
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
            "unknown-action",
            "unknown-treatment",
            "treatment-does-not-fit",
            *ALWAYS,
        ),
        scope="decisions:write",
    ),
)

RECORDS = (
    Operation(
        method="get",
        path="/v1/decisions/{decision_id}",
        name="readDecision",
        summary="Read the record of a decision",
        description=(
            "What was asked, known, considered, answered and reserved: every candidate with the stage it "
            "reached, and the rule or bound that stopped it there. A decision of another channel or mode "
            "than the key's is not found."
        ),
        answer=RecordAnswer,
        answers=examples.RECORDS,
        problems=(*ACCESS, "not-found", "invalid-value", *ALWAYS),
        parameters=(
            DECISION_ID,
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
)

CUSTOMERS = (
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
        problems=(*ACCESS, "test-only", "not-found", "invalid-value", "time-out-of-range", *ALWAYS),
        parameters=(
            CUSTOMER_ID,
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
)

PROBES = (
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
