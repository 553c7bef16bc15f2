"""``POST /v1/outcomes``: what became of offers, from channels with a key and from browsers without."""

from __future__ import annotations

import msgspec
from litestar import HttpMethod, Request, Response, Router, route
from litestar.datastructures import State
from msgspec import UNSET

from moment.errors import MomentError
from serving.api.access import caller_of
from serving.api.browsers import Browsers
from serving.api.decoding import instant, read_body, structured
from serving.api.operations import ACCESS, ALWAYS, Operation
from serving.api.outcomes_schemas import (
    ANSWERS,
    REQUESTS,
    OutcomeAnswered,
    OutcomeReported,
    OutcomesAnswer,
    OutcomesRequest,
)
from serving.api.problems import AnyRequest, handle
from serving.api.routes import Office, ok, refuse_parameters
from serving.ports import Scope
from serving.settings import Settings
from serving.use_cases.access import Caller
from serving.use_cases.outcomes import OutcomeTaken, ReportedOutcome

_decoder = msgspec.json.Decoder(OutcomesRequest)

OPERATIONS = (
    Operation(
        method="post",
        path="/v1/outcomes",
        name="takeOutcomes",
        summary="Report what became of offers",
        description=(
            "Takes up to 100 reports in any order and answers once they are on the disk; each has a "
            "verdict of its own. A report counts once by its `event_id`, and an offer is presented once: "
            "sending a request again is safe. A report may come before its decision is known here; it "
            "counts when the decision comes. A clock up to five minutes ahead is taken as now; what is "
            "later, or more than that before the decision, is rejected. An offer of another channel or "
            "mode than the key's is rejected like one that was never made. What a test key reports counts "
            "as reported when it happened. A browser sends no key: from a page whose origin is in "
            "MOMENT_BROWSER_ORIGINS it may report each kind once for the offers it holds the tracking ids "
            "of, without `value`."
        ),
        answer=OutcomesAnswer,
        answers=ANSWERS,
        body=OutcomesRequest,
        bodies=REQUESTS,
        problems=(
            "malformed-json",
            *ACCESS,
            "origin-not-allowed",
            "body-too-slow",
            "body-too-large",
            "unsupported-media-type",
            "unknown-field",
            "missing-field",
            "invalid-value",
            *ALWAYS,
        ),
        scope=Scope.WRITE_OUTCOMES,
    ),
)


def routes(office: Office, settings: Settings) -> Router:
    """Return the address for outcomes."""
    browsers = Browsers(
        frozenset(settings.browser_origins), settings.browser_posts_per_minute, settings.most_in_flight
    )

    # One handler for both: the framework would answer OPTIONS itself, and let no page in
    @route("/outcomes", http_method=[HttpMethod.POST, HttpMethod.OPTIONS], status_code=200)
    async def take_outcomes(request: Request[None, None, State]) -> Response[bytes]:
        if request.method == HttpMethod.OPTIONS:
            return Response(b"", status_code=204, headers=browsers.preflight(request))
        has_key = "authorization" in request.headers
        origin = None if has_key else browsers.origin(request)
        if origin is None:
            caller = caller_of(request, office.access)
            caller.require(Scope.WRITE_OUTCOMES)
            return await _take(request, caller)
        try:
            with browsers.admitted(request):
                answer = await _take(request, None)
        except MomentError as refusal:
            answer = handle(request, refusal)
        answer.headers.update(browsers.headers(origin))
        return answer

    async def _take(request: AnyRequest, caller: Caller | None) -> Response[bytes]:
        refuse_parameters(request, ())
        wanted = structured(_decoder, await read_body(request, settings))
        reported = [_reported(place, outcome) for place, outcome in enumerate(wanted.outcomes)]
        taken = await office.desk().take_outcomes(caller, reported)
        return ok(OutcomesAnswer(tuple(map(_answered, taken))))

    return Router("/v1", route_handlers=[take_outcomes])


def _reported(place: int, outcome: OutcomeReported) -> ReportedOutcome:
    return ReportedOutcome(
        tracking_id=outcome.tracking_id,
        kind=outcome.kind,
        event_id=outcome.event_id,
        occurred_at=instant(outcome.occurred_at, f"outcomes[{place}].occurred_at"),
        value=None if outcome.value is UNSET else outcome.value,
    )


def _answered(taken: OutcomeTaken) -> OutcomeAnswered:
    return OutcomeAnswered(
        event_id=taken.event_id,
        verdict=taken.verdict,
        code=UNSET if taken.code is None else taken.code,
        detail=UNSET if taken.detail is None else taken.detail,
    )
