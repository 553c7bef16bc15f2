"""What a collector is told of requests, where the environment names one."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, cast

import pytest
from litestar.types import Receive, Scope, Send
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from serving.tracing import Traced, is_wanted
from tests.service.collector import Collector
from tests.service.conftest import Server

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"
ASKED = {"customer_id": "7", "channel": "web", "placements": [{"name": "home"}]}


def told(span: Any) -> dict[str, str]:  # noqa: ANN401 - a message without types
    return {item.key: item.value.string_value or str(item.value.int_value) for item in span.attributes}


def spans_of(collector: Collector, wanted: Callable[[Any], bool]) -> list[Any]:
    """Return the spans that are wanted once there are any: they are sent every few seconds."""
    for _ in range(200):
        if found := [span for span in collector.spans() if wanted(span)]:
            return found
        time.sleep(0.1)
    raise AssertionError("no such span came")


def test_a_decision_is_a_span_of_the_callers_trace_with_its_stages(
    server: Server, collector: Collector
) -> None:
    with server.client() as client:
        answer = client.post("/v1/decisions", json=ASKED, headers={"traceparent": f"00-{TRACE}-{SPAN}-01"})
    assert answer.status_code == 200
    found = spans_of(collector, lambda span: span.trace_id.hex() == TRACE)
    (request,) = [span for span in found if span.parent_span_id.hex() == SPAN]
    assert request.name == "POST /v1/decisions"
    assert told(request)["moment.decision_id"] == answer.json()["decision_id"]
    assert told(request)["http.response.status_code"] == "200"
    stages = [span for span in found if span.parent_span_id == request.span_id]
    names = [span.name.removeprefix("decide.") for span in stages]
    assert {"consent", "features", "history", "shortlist", "score", "choose"} <= set(names)
    assert all(
        request.start_time_unix_nano <= span.start_time_unix_nano
        and span.end_time_unix_nano <= request.end_time_unix_nano
        for span in stages
    )


def test_a_refusal_tells_its_code(server: Server, collector: Collector) -> None:
    with server.client() as client:
        assert client.post("/v1/decisions", json=ASKED | {"channel": "tv"}).status_code == 422
    spans_of(collector, lambda span: told(span).get("moment.code") == "unknown-channel")


@pytest.mark.parametrize(
    ("environment", "wanted"),
    [
        ({}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": ""}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:4318/v1/traces"}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318", "OTEL_SDK_DISABLED": "true"}, False),
    ],
)
def test_nothing_is_traced_unless_a_collector_is_named(environment: Mapping[str, str], wanted: bool) -> None:
    assert is_wanted(environment) is wanted


class Stuck(SpanExporter):
    """Sends to a collector that does not answer."""

    def __init__(self) -> None:
        self.let_go = threading.Event()

    def export(self, _: object) -> SpanExportResult:
        """Wait."""
        self.let_go.wait(60)
        return SpanExportResult.FAILURE


def test_a_collector_that_is_away_does_not_hold_up_who_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serving.tracing._LAST_SECONDS", 0.1)
    exporter = Stuck()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        """Answer nothing."""

    traced = Traced(app, exporter)
    scope = {"type": "http", "method": "GET", "headers": [], "path": "/"}
    asyncio.run(traced(cast("Any", scope), cast("Any", None), cast("Any", None)))
    traced.close()
    assert not exporter.let_go.is_set()
    assert any(thread.name == "last spans" for thread in threading.enumerate())
    exporter.let_go.set()
