from __future__ import annotations

import asyncio
from typing import Any, cast

import httpx
from litestar.types import Message, Receive, Scope, Send

from serving.api.overload import Entrance


class Slow:
    """An app that answers when it is let go."""

    def __init__(self) -> None:
        self.let_go = asyncio.Event()
        self.inside = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        self.inside += 1
        await self.let_go.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def ask(entrance: Entrance, path: str = "/v1/decisions") -> httpx.Response:
    transport = httpx.ASGITransport(cast("Any", entrance))
    async with httpx.AsyncClient(transport=transport, base_url="http://moment") as client:
        return await client.post(path)


async def inside(app: Slow, count: int) -> None:
    while app.inside < count:
        await asyncio.sleep(0)


def test_who_would_be_one_too_many_is_told_to_ask_again() -> None:
    async def crowd() -> None:
        app = Slow()
        entrance = Entrance(app, 2)
        first = [asyncio.ensure_future(ask(entrance)) for _ in range(2)]
        await inside(app, 2)
        refused = await ask(entrance)
        assert (refused.status_code, refused.json()["code"]) == (503, "overloaded")
        assert int(refused.headers["retry-after"]) >= 1
        assert refused.headers["content-type"] == "application/problem+json"
        probe = asyncio.ensure_future(ask(entrance, "/livez"))
        await inside(app, 3)
        app.let_go.set()
        answered = [await one for one in (*first, probe)]
        assert [one.status_code for one in answered] == [200] * 3
        assert (await ask(entrance)).status_code == 200

    asyncio.run(crowd())


def test_a_worker_about_to_stop_answers_closes_and_is_not_ready() -> None:
    async def leave() -> None:
        app = Slow()
        entrance = Entrance(app, 2)
        under_way = asyncio.ensure_future(ask(entrance))
        await inside(app, 1)
        entrance.leaving = True
        app.let_go.set()
        for answer in (await under_way, await ask(entrance)):
            assert (answer.status_code, answer.headers["connection"]) == (200, "close")
        ready = await ask(entrance, "/readyz")
        assert (ready.status_code, ready.json()["code"]) == (503, "not-ready")

    asyncio.run(leave())


def test_who_takes_long_for_an_answer_is_not_in_any_more() -> None:
    async def linger() -> None:
        app, taken = Slow(), asyncio.Event()
        app.let_go.set()
        entrance = Entrance(app, 1)
        scope = {"type": "http", "path": "/v1/decisions", "headers": []}

        async def send(message: Message) -> None:
            if message["type"] == "http.response.body":
                await taken.wait()

        slow = asyncio.ensure_future(entrance(cast("Any", scope), cast("Any", None), send))
        await inside(app, 1)
        assert (await ask(entrance)).status_code == 200
        taken.set()
        await slow
        assert (await ask(entrance)).status_code == 200

    asyncio.run(linger())
