"""The Admin service: a process and a port of its own, for people and for what watches Moment.

It reads the files in which the workers count, so it answers while they are busy or gone. ``/metrics`` needs a
key with the scope ``metrics:read``, also on loopback: a machine has more users than the one who may look.
It is one light process and no BentoML service: those would be two more that import all of it, to serve text.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, cast

from litestar import Litestar, Request, Response, get
from litestar.datastructures import State

from serving.api.access import caller_of
from serving.api.metrics import Watch
from serving.api.overload import Entrance
from serving.api.problems import handle
from serving.api.routes import ok, refuse_parameters
from serving.api.schemas import Alive
from serving.ports import Scope
from serving.telemetry import UNTOLD
from serving.use_cases.access import Access

if TYPE_CHECKING:
    from litestar.types import ASGIApp

_MOST_IN_FLIGHT = 32

EXPOSITION = "text/plain; version=0.0.4; charset=utf-8"


def build(access: Callable[[], Access], folder: Path) -> Litestar:
    """Return the app.

    Parameters
    ----------
    access
        Returns the door, or raises DependencyError while the store of keys is away.
    folder
        Where the workers count.
    """
    from serving.adapters.prometheus import exposition

    @get("/metrics")
    async def metrics(request: Request[None, None, State]) -> Response[bytes]:
        caller_of(request, access()).require(Scope.READ_METRICS)
        refuse_parameters(request, ())
        return Response(exposition(folder), media_type=EXPOSITION, headers={"Cache-Control": "no-store"})

    @get("/livez")
    async def alive() -> Response[bytes]:
        return ok(Alive())

    return Litestar(
        route_handlers=[metrics, alive],
        exception_handlers={Exception: handle},
        openapi_config=None,
        logging_config=None,
    )


def main() -> None:
    """Serve until standard input ends, which it does with the process that started this one."""
    import uvicorn

    from moment.home import Home
    from moment.private import keep_private
    from serving.bootstrap import LateOffice
    from serving.logs import configure
    from serving.settings import Settings
    from serving.slow_clients import wait_at_most
    from serving.telemetry import metrics_folder

    keep_private()
    settings, home = Settings.read(), Home.find()
    log = configure(settings.log)
    office = LateOffice(home, settings)
    wait_at_most(settings.body_seconds)
    admin = cast("ASGIApp", build(lambda: office.access, metrics_folder(home, settings.port)))
    app = Watch(Entrance(admin, _MOST_IN_FLIGHT), UNTOLD)
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            host=settings.admin_host,
            port=settings.admin_port or 0,
            log_config=None,
            access_log=False,
            server_header=False,
            lifespan="off",
            ws="none",
            timeout_graceful_shutdown=2,
        )
    )

    def stop_with_parent() -> None:
        sys.stdin.read()
        server.should_exit = True

    threading.Thread(target=stop_with_parent, name="parent", daemon=True).start()
    server.run()
    office.close()
    log.close()


if __name__ == "__main__":
    main()
