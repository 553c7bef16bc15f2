"""Traces of requests for an OpenTelemetry collector, where the environment names one.

The standard variables hold: ``OTEL_EXPORTER_OTLP_ENDPOINT`` (or ``…_TRACES_ENDPOINT``) turns it on, and
``OTEL_EXPORTER_OTLP_HEADERS``, ``OTEL_SERVICE_NAME``, ``OTEL_TRACES_SAMPLER`` do what the standard says.
A span tells what the log tells: method, route, status, code, ids that Moment has made. Nothing of it is about
a person, and no address is shown but its template.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from litestar.types import ASGIApp, Message, Receive, Scope, Send

from serving.api.metrics import Noted, method_of, noted

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import Span

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_IN_A_MILLISECOND = 1_000_000
_SERVER_FAULTS = 500
_LAST_SECONDS = 3.0
"""How long a process that stops waits for the collector."""


def is_wanted(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether a collector is named, and tracing is not turned off."""
    off = environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    return not off and any(environment.get(name) for name in _ENDPOINTS)


class Traced:
    """The app with a span for every request, and one below it for each stage of a decision.

    Parameters
    ----------
    app
        Answers the requests, and notes what they came to (``serving.api.metrics``).
    exporter
        Where spans go; the collector that the environment names by default. They are sent from a thread of
        their own: a collector that is slow or away costs spans, and no answer waits for it.
    """

    def __init__(self, app: ASGIApp, exporter: SpanExporter | None = None) -> None:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        from moment import __version__

        name = os.environ.get("OTEL_SERVICE_NAME") or "moment"
        resource = Resource.create({"service.name": name, "service.version": __version__})
        # Not the global one, which libraries would tell of themselves through
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(exporter or OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("moment", __version__)
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request within its span."""
        if str(scope["type"]) != "http":
            await self._app(scope, receive, send)
            return
        from opentelemetry.trace import SpanKind

        started, status = time.time_ns(), 0
        span = self._tracer.start_span(
            "request", context=_parent(scope), kind=SpanKind.SERVER, start_time=started
        )

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, watched)
        finally:
            ended = time.time_ns()
            if span.is_recording():
                self._tell(span, scope, status, started, ended)
            span.end(ended)

    def close(self) -> None:
        """Send what waits, and stop; a collector that is away is not waited for."""
        sending = threading.Thread(target=self._provider.shutdown, name="last spans", daemon=True)
        sending.start()
        sending.join(_LAST_SECONDS)

    def _tell(self, span: Span, scope: Scope, status: int, started: int, ended: int) -> None:
        from opentelemetry.trace import StatusCode

        route, method, note = str(scope.get("path_template", "")), method_of(scope), noted(scope)
        span.update_name(f"{method} {route}".strip())
        told = {
            "http.request.method": method,
            "http.route": route,
            "moment.code": note.code,
            "moment.decision_id": note.decision_id,
            "moment.key_id": note.key_id,
        }
        span.set_attributes({name: value for name, value in told.items() if value})
        span.set_attribute("http.response.status_code", status)
        if status >= _SERVER_FAULTS or not status:
            span.set_status(StatusCode.ERROR, note.code)
        self._tell_stages(span, note, started, ended)

    def _tell_stages(self, span: Span, note: Noted, started: int, ended: int) -> None:
        """Tell what the decision's stages took, one after the other, as they were.

        A request answered as before brings the stages of the first time with it: those are not its own.
        """
        from opentelemetry.trace import set_span_in_context

        lengths = {name: int(ms * _IN_A_MILLISECOND) for name, ms in note.stages.items()}
        if sum(lengths.values()) > ended - started:
            return
        within = set_span_in_context(span)
        for name, length in lengths.items():
            stage = self._tracer.start_span(f"decide.{name}", context=within, start_time=started)
            started += length
            stage.end(started)


def _parent(scope: Scope) -> Context:
    """Return the caller's own trace, where it sends one (W3C ``traceparent``)."""
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
    carried = {name: headers[name] for name in ("traceparent",) if name in headers}
    return TraceContextTextMapPropagator().extract(carried)
