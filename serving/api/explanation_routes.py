"""``GET /v1/decisions/{id}/explanation`` and ``POST /v1/decisions/{id}/replay``."""

from __future__ import annotations

import asyncio
import re
from enum import StrEnum
from typing import TypeVar

import msgspec
from litestar import Request, Response, Router, get, post
from litestar.datastructures import State
from msgspec import UNSET

from moment.errors import InvalidRequest
from serving.api.access import caller_of
from serving.api.addresses import id_in_path
from serving.api.explanation_schemas import (
    EXPLANATIONS,
    REPLAYS,
    CandidateExplained,
    DifferenceAnswered,
    ExplanationAnswer,
    RankedBy,
    ReplayAnswer,
    RuleFailed,
)
from serving.api.operations import ACCESS, ALWAYS, DECISION_ID, Operation, Parameter
from serving.api.problems import AnyRequest
from serving.api.routes import Office, ok, refuse_parameters
from serving.api.schemas import BoundReached
from serving.decision.explanation import ExplainedCandidate, funnel_text
from serving.decision.reasons import Reason
from serving.ports import Scope
from serving.records import FunnelCounts
from serving.settings import Settings
from serving.use_cases.differences import Difference
from serving.use_cases.explain import Explained
from serving.use_cases.replay import Against, Replayed

_NUMBERED = frozenset({Reason.BELOW_FLOOR, Reason.OUTRANKED, Reason.SHOWN})
"""Reasons whose words hold propensity and priority."""

_LONGEST = 128
_PLAIN = r"^[^\x00-\x1f\x7f]+$"
_SCORES = Parameter(
    "include",
    "query",
    "`scores` adds propensities, priorities and probabilities; needs the scope `scores:read`.",
    {"type": "string", "enum": ["scores"]},
    "scores",
)

OPERATIONS = (
    Operation(
        method="get",
        path="/v1/decisions/{decision_id}/explanation",
        name="explainDecision",
        summary="Why, and why not",
        description=(
            "Every candidate with how far it came and what stopped it: the rule and the values it read, the "
            "limit and what it counted, its rank. With `action`, that one alone. Texts hold numbers of the "
            "model only with `include=scores`."
        ),
        answer=ExplanationAnswer,
        answers=EXPLANATIONS,
        problems=(*ACCESS, "not-found", "unknown-action", "invalid-value", *ALWAYS),
        parameters=(
            DECISION_ID,
            Parameter(
                "action",
                "query",
                "The action to explain; without it, all.",
                {"type": "string", "minLength": 1, "maxLength": _LONGEST, "pattern": _PLAIN},
                "coupon-beef",
            ),
            _SCORES,
        ),
        scope=Scope.READ_DECISIONS,
    ),
    Operation(
        method="post",
        path="/v1/decisions/{decision_id}/replay",
        name="replayDecision",
        summary="Decide again from what was recorded",
        description=(
            "Runs the decision again from its record, without side effects: by the very catalogue and models "
            "that decided, or with `against=current` by those of today. Answers `identical`, or names every "
            "difference: catalogue, rule, policy (whatever else a catalogue says, by kind, name and field), "
            "feature contract, bundle, time, seed, reason, score, offer, probability, words. Takes no body."
        ),
        answer=ReplayAnswer,
        answers=REPLAYS,
        problems=(*ACCESS, "not-found", "invalid-value", *ALWAYS),
        parameters=(
            DECISION_ID,
            Parameter(
                "against",
                "query",
                "What decides again: the `recorded` versions (default), or the `current` ones.",
                {"type": "string", "enum": [one.value for one in Against]},
                "recorded",
            ),
            _SCORES,
        ),
        scope=Scope.READ_DECISIONS,
    ),
)


class _Include(StrEnum):
    SCORES = "scores"


def routes(office: Office, settings: Settings) -> Router:  # noqa: ARG001 - all parts of the API are made alike
    """Return the addresses of explanation and replay."""

    @get("/decisions/{decision_id:str}/explanation")
    async def explain_decision(request: Request[None, None, State]) -> Response[bytes]:
        caller = caller_of(request, office.access)
        caller.require(Scope.READ_DECISIONS)
        refuse_parameters(request, ("action", "include"))
        scores = _chosen(request, "include", _Include) is not None
        if scores:
            caller.require(Scope.READ_SCORES)
        decision_id, action = id_in_path(request, "decision_id"), _action(request)
        explain = office.desk().explain
        # Every failed rule is taken apart, and a bundle opened: decisions must not wait for either
        explained = await asyncio.to_thread(explain, caller, decision_id, action)
        return ok(_explanation(explained, scores=scores))

    @post("/decisions/{decision_id:str}/replay", status_code=200)
    async def replay_decision(request: Request[None, None, State]) -> Response[bytes]:
        caller = caller_of(request, office.access)
        caller.require(Scope.READ_DECISIONS)
        refuse_parameters(request, ("against", "include"))
        scores = _chosen(request, "include", _Include) is not None
        if scores:
            caller.require(Scope.READ_SCORES)
        against = _chosen(request, "against", Against) or Against.RECORDED
        decision_id, replay = id_in_path(request, "decision_id"), office.desk().replay
        return ok(_replay(await asyncio.to_thread(replay, caller, decision_id, against), scores=scores))

    return Router("/v1", route_handlers=[explain_decision, replay_decision])


E = TypeVar("E", bound=StrEnum)


def _chosen(request: AnyRequest, name: str, choices: type[E]) -> E | None:
    text = request.query_params.get(name)
    if text is None:
        return None
    try:
        return choices(text)
    except ValueError:
        raise InvalidRequest(
            f"{name} can only be {' or '.join(choices)}", code="invalid-value", field=name
        ) from None


def _action(request: AnyRequest) -> str | None:
    action = request.query_params.get("action")
    if action is not None and not (0 < len(action) <= _LONGEST and re.fullmatch(_PLAIN, action)):
        raise InvalidRequest(
            f"an action has 1 to {_LONGEST} characters, no control characters",
            code="invalid-value",
            field="action",
        )
    return action


def _explanation(explained: Explained, *, scores: bool) -> ExplanationAnswer:
    explanation = explained.explanation
    candidates = tuple(_candidate(one, scores=scores) for one in explanation.candidates)
    lines = [f"{one.placement}  {one.treatment}  {one.text}" for one in candidates]
    return ExplanationAnswer(
        decision_id=explained.recalled.record.decision_id,
        text="\n".join([funnel_text(explanation.funnel), *lines]),
        funnel=msgspec.convert(explanation.funnel, FunnelCounts, from_attributes=True),
        candidates=candidates,
        erased=explained.recalled.record.personal is None,
        remark=UNSET if explained.remark is None else explained.remark,
    )


def _candidate(one: ExplainedCandidate, *, scores: bool) -> CandidateExplained:
    ranking = None if one.ranking is None else msgspec.convert(one.ranking, RankedBy, from_attributes=True)
    hidden = not scores and one.reason in _NUMBERED
    return CandidateExplained(
        placement=one.placement,
        action=one.action_id,
        treatment=one.treatment_id,
        stage=one.stage,
        reason=one.reason.name.lower(),
        text=f"{one.stage}: {one.reason.name.lower().replace('_', ' ')}" if hidden else one.text,
        rule=None if one.rule is None else msgspec.convert(one.rule, RuleFailed, from_attributes=True),
        policy=None
        if one.policy is None
        else msgspec.convert(one.policy, BoundReached, from_attributes=True),
        ranking=ranking if scores else UNSET,
    )


def _replay(replayed: Replayed, *, scores: bool) -> ReplayAnswer:
    return ReplayAnswer(
        decision_id=replayed.decision_id,
        verdict=replayed.verdict,
        differences=tuple(_difference(one, scores=scores) for one in replayed.differences),
        scores=replayed.scores,
        notes=replayed.notes,
        recorded=replayed.recorded,
        replayed=replayed.replayed,
    )


def _difference(one: Difference, *, scores: bool) -> DifferenceAnswered:
    if one.is_score and not scores:
        return DifferenceAnswered(one.kind, one.subject)
    return DifferenceAnswered(one.kind, one.subject, one.recorded, one.replayed)
