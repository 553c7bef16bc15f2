from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

import anyio
import httpx
import pytest
from litestar.types import ASGIApp

from serving.api.app import build
from serving.ports.life import Signer
from serving.settings import Settings
from serving.use_cases.access import Access
from serving.use_cases.desk import Desk
from serving.use_cases.life import Life
from tests.service.kit import Shop

SETTINGS = Settings(max_body_bytes=4096, body_seconds=0.2)


class TodaysOffice:
    """The office of whichever shop a test opens, so that the app is built once for all."""

    shop: Shop

    @property
    def access(self) -> Access:
        return self.shop.access

    @property
    def life(self) -> Life:
        return self.shop.life

    def signer(self, secret: str) -> Signer:
        return self.shop.signer(secret)

    def desk(self) -> Desk:
        return self.shop.desk()


class Counter:
    """Asks the REST app of a shop, as HTTP would, and returns its answers."""

    def __init__(self, app: ASGIApp, shop: Shop) -> None:
        self.secret = shop.key()
        self._app = app

    def ask(
        self,
        method: str,
        path: str,
        *,
        content: bytes | Callable[[], AsyncIterator[bytes]] | None = None,
        headers: list[tuple[str, str]] | None = None,
        key: str | None = None,
    ) -> httpx.Response:
        """Send one request with the shop's key, or another, or (an empty one) none."""
        secret = self.secret if key is None else key
        sent = list(headers if headers is not None else [("content-type", "application/json")])
        if secret:
            sent.append(("authorization", f"Bearer {secret}"))

        async def send() -> httpx.Response:
            transport = httpx.ASGITransport(cast("Any", self._app))
            async with httpx.AsyncClient(transport=transport, base_url="http://moment") as client:
                body = content() if callable(content) else content
                return await client.request(method, path, content=body, headers=sent)

        return anyio.run(send)

    def decide(self, body: bytes, **options: object) -> httpx.Response:
        """Post to the decision endpoint."""
        return self.ask("POST", "/v1/decisions", content=body, **options)  # type: ignore[arg-type]


@pytest.fixture
def shop() -> Shop:
    return Shop()


@pytest.fixture(scope="session")
def office() -> TodaysOffice:
    return TodaysOffice()


@pytest.fixture(scope="session")
def app(office: TodaysOffice) -> ASGIApp:
    return build(office, SETTINGS)


@pytest.fixture
def counter(app: ASGIApp, office: TodaysOffice, shop: Shop) -> Counter:
    office.shop = shop
    return Counter(app, shop)


@contextmanager
def refusing(shop: Shop, error: Exception) -> Iterator[None]:
    """Let the shop's desk refuse for a while."""
    shop.refusal = error
    yield
    shop.refusal = None
