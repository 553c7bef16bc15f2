"""The BentoML service `Decisioning`: the REST app, mounted.

The supervising process imports this module too: heavy libraries come in when a worker makes the service.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import bentoml
from bentoml._internal.server.http import traffic

from serving.leaving import on_terminate
from serving.settings import Settings
from serving.slow_clients import wait_at_most

if TYPE_CHECKING:
    from litestar.types import ASGIApp, Receive, Scope, Send

    from serving.api.overload import Entrance


class _ButErasures(traffic.TimeoutMiddleware):
    """BentoML's limit on the time of a request; erasing takes longer, and keeps to a limit of its own."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401 - as BentoML calls it
        if scope.get("method") == "DELETE":
            await self.app(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


_settings = Settings.read()
# Both here, for they are looked for before the service is made
wait_at_most(_settings.body_seconds)
traffic.TimeoutMiddleware = _ButErasures


class _Mounted:
    """The REST app's place; the app itself moves in when a worker starts."""

    app: ASGIApp
    entrance: Entrance | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)


class _RestFirst:
    """Ours come first: BentoML would answer ``/readyz`` and others itself before anything mounted."""

    def __init__(self, app: ASGIApp, rest: ASGIApp) -> None:
        self._app = app
        self._rest = rest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if str(scope["type"]) == "lifespan":
            on_terminate(_leave, _settings.drain_seconds)
        await (self._rest if str(scope["type"]) == "http" else self._app)(scope, receive, send)


_rest = _Mounted()


def _leave() -> None:
    if _rest.entrance is not None:
        _rest.entrance.leaving = True


@bentoml.service(
    name="Decisioning",
    workers=_settings.workers,
    # Where `bentoml serve` listens when nobody tells it; its configuration has no port 0
    http={"host": _settings.host, "port": _settings.port or 3000},
    # Each request leaves a timer behind for this long, so it is short; our own limits are shorter
    traffic={"timeout": 15},
    # What these would write or count is personal, or comes from Moment's own log
    logging={"access": {"enabled": False}},
    metrics={"enabled": False},
    tracing={"excluded_urls": ".*"},
)
@bentoml.asgi_app(_rest, path="/")
class Decisioning:
    """Decides which action is best to show a customer now."""

    def __init__(self) -> None:
        import gc

        from moment.home import Home
        from moment.private import keep_private
        from serving.api.app import build
        from serving.api.metrics import Watch
        from serving.api.overload import Entrance
        from serving.bootstrap import LateOffice, open_telemetry
        from serving.logs import configure
        from serving.tracing import Traced, is_wanted

        keep_private()
        self._telemetry = telemetry = open_telemetry()
        self._office = LateOffice(Home.find(), _settings, telemetry)
        self._office.open()
        entrance = Entrance(build(self._office, _settings), _settings.most_in_flight)
        self._traced = Traced(Watch(entrance, telemetry)) if is_wanted() else None
        _rest.entrance, _rest.app = entrance, self._traced or Watch(entrance, telemetry)
        self._log = configure(_settings.log)
        # What was imported lives as long as the worker: looking through it again and again costs 20 ms a time
        gc.collect()
        gc.freeze()

    @bentoml.on_deployment
    @staticmethod
    def prepare() -> None:
        """Once, before any worker: let what a Bento brought serve where the home names no champion."""
        from moment.home import Home
        from moment.private import keep_private, warn_if_open
        from serving.packaging.packaged import move_in, or_refuse
        from serving.supervising import supervise

        supervise(_settings.log)
        keep_private()
        warn_if_open(Home.find())
        or_refuse(lambda: move_in(Home.find()))

    @bentoml.on_shutdown
    def close(self) -> None:
        """Write what waits to be recorded, and close."""
        self._office.close()
        self._telemetry.settle()
        if self._traced is not None:
            self._traced.close()
        self._log.close()


_decisioning = cast("Any", Decisioning)
_decisioning.add_asgi_middleware(_RestFirst, rest=_rest)


def run(host: str, port: int, metrics: Path) -> None:
    """Serve until a signal stops it; requests in flight are answered first. Workers count in `metrics`."""
    from bentoml._internal.configuration.containers import BentoMLContainer

    metrics.parent.mkdir(parents=True, exist_ok=True)
    # BentoML has no public setting for it, and one folder for all services of a home would be emptied by each
    BentoMLContainer.prometheus_multiproc_dir.set(str(metrics))
    _decisioning.serve_http(host=host, port=port)
