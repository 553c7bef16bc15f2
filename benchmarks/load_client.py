"""A light HTTP client that keeps so many questions in the air: one process, one event loop, raw HTTP/1.1.

It is one program for both stacks of `benchmarks.load`, run beside them on the same cores.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

_LENGTH = b"content-length:"
_ANSWER_SECONDS = 60.0

_APART_SECONDS = 0.005
"""How long after another a connection is opened, as a pool grows: of connections opened all at once,
whichever worker looks first takes all."""


@dataclass(frozen=True, slots=True)
class Load:
    """What came of one run: milliseconds per answer in order of arrival, and seconds it took in all."""

    milliseconds: list[float]
    seconds: float


class Refused(Exception):
    """An answer that is not 200; names status and body."""


def ask(address: tuple[str, int], requests: Sequence[bytes], *, connections: int) -> Load:
    """Send every request, each connection its next one when its last is answered.

    Parameters
    ----------
    address
        Host and port.
    requests
        Whole HTTP/1.1 requests, as bytes.
    connections
        How many are open at once.

    Raises
    ------
    Refused
        Something was not answered with 200.
    """
    return asyncio.run(_ask(address, requests, connections))


def post(path: str, host: str, body: bytes, headers: Sequence[str] = ()) -> bytes:
    """Return a POST of JSON as bytes."""
    head = [
        f"POST {path} HTTP/1.1",
        f"Host: {host}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        *headers,
    ]
    return "\r\n".join([*head, "", ""]).encode() + body


async def _ask(address: tuple[str, int], requests: Sequence[bytes], connections: int) -> Load:
    waiting = list(reversed(requests))
    taken: list[float] = []

    async def one(number: int) -> None:
        await asyncio.sleep(number * _APART_SECONDS)
        reader, writer = await asyncio.open_connection(*address)
        while waiting:
            request = waiting.pop()
            started = time.perf_counter()
            writer.write(request)
            await asyncio.wait_for(_answer(reader), _ANSWER_SECONDS)
            taken.append((time.perf_counter() - started) * 1000)
        writer.close()
        await writer.wait_closed()

    started = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for number in range(connections):
            group.create_task(one(number))
    return Load(taken, time.perf_counter() - started)


async def _answer(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(
        int(line.partition(b":")[2]) for line in head.split(b"\r\n") if line.lower().startswith(_LENGTH)
    )
    body = await reader.readexactly(length)
    status = head.split(b" ", 2)[1]
    if status != b"200":
        raise Refused(f"{status.decode()}: {body.decode(errors='replace')[:600]}")
    return body
