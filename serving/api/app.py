"""The REST app, ready to be mounted anywhere an ASGI app can be."""

from __future__ import annotations

from litestar import Litestar, Response, Router, get
from litestar.response import Redirect
from litestar.types import ASGIApp

from serving.api import (
    customers_routes,
    events_routes,
    explanation_routes,
    history_routes,
    models_routes,
    outcomes_routes,
    stops_routes,
)
from serving.api.addresses import AsWritten
from serving.api.openapi import document, dump_yaml
from serving.api.page import page
from serving.api.problems import handle
from serving.api.routes import Office, probes, router
from serving.settings import Settings


def build(office: Office, settings: Settings) -> ASGIApp:
    """Return the app. It opens nothing itself: what is not ready is answered with 503."""
    return AsWritten(routed(office, settings))


def routed(office: Office, settings: Settings) -> Litestar:
    """Return the app that knows every address, decoded or not."""
    return Litestar(
        route_handlers=[
            router(office, settings),
            customers_routes.routes(office, settings),
            events_routes.routes(office, settings),
            history_routes.routes(office, settings),
            explanation_routes.routes(office, settings),
            outcomes_routes.routes(office, settings),
            models_routes.routes(office, settings),
            stops_routes.routes(office, settings),
            probes(office),
            _papers(),
        ],
        exception_handlers={Exception: handle},
        openapi_config=None,
        logging_config=None,
        # Our own reading of the body has the limit, so that it is answered with our problem
        request_max_body_size=None,
    )


def _papers() -> Router:
    described = document()
    as_json, as_yaml, as_page = described.encode(), dump_yaml(described), page(described)

    @get("/openapi.json")
    async def openapi_json() -> Response[bytes]:
        return Response(as_json, media_type="application/openapi+json;version=3.1")

    @get("/openapi.yaml")
    async def openapi_yaml() -> Response[bytes]:
        return Response(as_yaml, media_type="application/openapi+yaml;version=3.1")

    @get("/docs")
    async def docs() -> Response[bytes]:
        return Response(as_page, media_type="text/html")

    @get("/")
    async def home() -> Redirect:
        return Redirect("/docs", status_code=307)

    return Router("/", route_handlers=[openapi_json, openapi_yaml, docs, home])
