"""The REST app on real connections, with clients that send for ever, do not read, or hang up."""

from __future__ import annotations

import json
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from dataclasses import replace
from typing import Any, cast

import pytest
import uvicorn
from litestar.types import ASGIApp, Receive, Scope, Send

from serving.api.app import build
from serving.api.metrics import Watch
from serving.api.overload import Entrance
from serving.api.problems import KINDS
from serving.connections import MOST_FIELDS, MOST_HEAD_BYTES, MOST_WAITING
from serving.slow_clients import Impatient
from serving.telemetry import UNTOLD
from tests.service.kit import Shop
from tests.unit.serving.api.conftest import SETTINGS, TodaysOffice

PAGE = "https://shop.example"
SECONDS = 0.8
PLACES = 16
BODY = b'{"channel": "web", "placements": [{"name": "home"}]}'
JSON = "Content-Type: application/json"
LARGE = b"GET /openapi.json HTTP/1.1\r\nHost: m\r\n\r\n"


class Quick(Impatient):
    """Waits less long than others."""

    seconds = SECONDS


class Served:
    """The app of a shop in a thread, and what it holds."""

    def __init__(self, app: ASGIApp, key: str) -> None:
        self.key = key
        self.entrance = Entrance(app, PLACES)
        config = uvicorn.Config(
            cast("Any", Watch(self.entrance, UNTOLD)),
            http=Quick,
            lifespan="off",
            loop="uvloop",
            log_config=None,
            access_log=False,
            timeout_keep_alive=1,
            timeout_graceful_shutdown=5,
        )
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self.server.run, kwargs={"sockets": [self._listening]})
        self._thread.start()
        self._open = ExitStack()

    def stop(self) -> float:
        """Stop, and return how long it took; clients may still be there."""
        begun = time.monotonic()
        self.server.should_exit = True
        self._thread.join(20)
        assert not self._thread.is_alive()
        return time.monotonic() - begun

    def close(self) -> None:
        self._open.close()
        self.stop()
        self._listening.close()

    def connect(self, sent: bytes = b"", buffer: int = 0) -> socket.socket:
        made = self._open.enter_context(socket.socket())
        if buffer:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        made.settimeout(10)
        made.connect(self._listening.getsockname())
        made.sendall(sent)
        return made

    def head(self, start: str, *lines: str, key: bool = True) -> bytes:
        said = [f"{start} HTTP/1.1", "Host: m", *lines]
        if key:
            said.append(f"Authorization: Bearer {self.key}")
        return ("\r\n".join(said) + "\r\n\r\n").encode()

    def decide(self) -> int:
        """Ask for a decision as anybody would."""
        length = f"Content-Length: {len(BODY)}"
        return status(self.connect(self.head("POST /v1/decisions", JSON, length, "Connection: close") + BODY))

    @property
    def connections(self) -> list[Quick]:
        return [cast("Quick", one) for one in self.server.server_state.connections]


def read(connection: socket.socket) -> bytes:
    """Return all that comes until the connection is closed."""
    found = b""
    with suppress(ConnectionResetError):
        while piece := connection.recv(65536):
            found += piece
    return found


def status(connection: socket.socket) -> int:
    return int(read(connection).split()[1])


def code(answer: bytes) -> str:
    """Return the code of the one problem a connection ended with."""
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"connection: close" in head.lower(), answer
    problem = json.loads(body)
    assert int(head.split()[1]) == problem["status"] == KINDS[problem["code"]].status
    return str(problem["code"])


def until(holds: Callable[[], object], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def send_on(connection: socket.socket, piece: bytes, most: int, pause: float = 0) -> int:
    """Send again and again until the connection is closed, at most so many bytes; return how many."""
    sent = 0
    try:
        while sent < most:
            connection.sendall(piece)
            sent += len(piece)
            time.sleep(pause)
    except (BrokenPipeError, ConnectionResetError):
        pass
    return sent


@pytest.fixture(scope="module")
def app(office: TodaysOffice) -> ASGIApp:
    settings = replace(SETTINGS, body_seconds=SECONDS, most_in_flight=PLACES, browser_origins=(PAGE,))
    return build(office, settings)


@pytest.fixture
def served(app: ASGIApp, office: TodaysOffice, shop: Shop) -> Iterator[Served]:
    office.shop = shop
    made = Served(app, shop.key())
    until(lambda: made.server.started)
    yield made
    made.close()


CHUNKED = "Transfer-Encoding: chunked"


def chunked(*trailers: bytes) -> bytes:
    return b"%x\r\n%s\r\n0\r\n%s\r\n" % (len(BODY), BODY, b"".join(line + b"\r\n" for line in trailers))


def test_what_is_said_after_a_body_is_no_header(served: Served) -> None:
    key = f"Authorization: Bearer {served.key}".encode()
    late = {
        "key-missing": (served.head("POST /v1/decisions", JSON, CHUNKED, key=False), key),
        "unsupported-media-type": (served.head("POST /v1/decisions", CHUNKED), JSON.encode()),
    }
    for expected, (head, trailer) in late.items():
        answer = read(served.connect(head + chunked(trailer, b"Connection: close")))
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["code"] == expected
    origin = served.head("POST /v1/outcomes", JSON, CHUNKED, key=False)
    answer = read(served.connect(origin + chunked(b"Origin: " + PAGE.encode())))
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["code"] == "key-missing"
    close = ("Connection: close", JSON, CHUNKED)
    good = read(served.connect(served.head("POST /v1/decisions", *close) + chunked(b"A: b", b"C: d")))
    assert good.startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("piece", [b"a: b\r\n" * 1000, b"a" * 6000], ids=["many", "one"])
@pytest.mark.parametrize("start", ["POST /v1/decisions", "GET /livez"])
def test_trailers_without_end_are_not_kept(served: Served, start: str, piece: bytes) -> None:
    connection = served.connect(served.head(start, JSON, CHUNKED) + b"0\r\n")
    until(lambda: served.connections and served.connections[0].headers)
    (kept,) = served.connections
    before = list(kept.headers)
    assert send_on(connection, piece, 64 * 2**20) < 64 * 2**20
    assert kept.headers == before


@pytest.mark.parametrize(
    ("line", "times"),
    [(b"a: b\r\n", MOST_FIELDS + 1), (b"a: " + b"x" * 1000 + b"\r\n", 80), (b"x" * 1000, 200)],
    ids=["many fields", "long fields", "one field without end"],
)
@pytest.mark.parametrize("at_once", [True, False])
def test_a_head_has_bounds(served: Served, line: bytes, times: int, *, at_once: bool) -> None:
    head = served.head("GET /livez", key=False)[:-2] + b"a: "
    connection = served.connect(head)
    if at_once:
        connection.sendall(line * times + b"\r\n\r\n")
    else:
        send_on(connection, line * (times // 10 + 1), len(line) * times, 0.005)
    assert code(read(connection)) == "head-too-large"


def test_a_head_within_the_bounds_is_taken(served: Served) -> None:
    fields = [f"a{n}: {'x' * (MOST_HEAD_BYTES // MOST_FIELDS - 20)}" for n in range(MOST_FIELDS - 3)]
    head = served.head("GET /livez", "Connection: close", *fields)
    assert status(served.connect(head)) == 200
    slowly = served.connect()
    for place in range(0, len(head), 8000):
        slowly.sendall(head[place : place + 8000])
        time.sleep(0.005)
    assert status(slowly) == 200


@pytest.mark.parametrize("first", [b"", LARGE * 2])
def test_what_is_no_http_is_refused_after_what_was_asked_before_it(served: Served, first: bytes) -> None:
    answer = read(served.connect(first + b"NONSENSE\r\n\r\n"))
    if first:
        assert answer.count(b"HTTP/1.1 200 OK") == 2
        assert answer.count(b"HTTP/1.1 ") == 2
        assert b"connection: close" in answer
    else:
        assert code(answer) == "malformed-request"


def test_a_body_that_is_no_body_is_refused(served: Served) -> None:
    sent = served.head("POST /v1/decisions", JSON, CHUNKED)
    assert code(read(served.connect(sent + b"ZZ\r\n"))) == "malformed-request"
    later = served.connect(sent)
    until(lambda: served.entrance._inside)
    later.sendall(b"ZZ\r\n")
    assert code(read(later)) == "malformed-request"
    until(lambda: not served.entrance._inside)


@pytest.mark.parametrize("path", ["/livez", "/v1/nothing", "/v1/customers/1"])
def test_a_host_that_is_none_is_named(served: Served, path: str) -> None:
    sent = f"GET {path} HTTP/1.1\r\nHost: a/b c\r\nConnection: close\r\n\r\n".encode()
    answer = read(served.connect(sent))
    assert code(answer) == "malformed-request"
    assert b"Host" in answer


def test_who_reads_nothing_keeps_nobody_out(served: Served) -> None:
    """More than there are places; each has asked for far more than the system takes for it."""
    deaf = [served.connect(LARGE * 40, buffer=4096) for _ in range(2 * PLACES)]
    until(lambda: sum(one.flow.write_paused for one in served.connections) == len(deaf))
    assert served.entrance._inside == 0
    assert served.decide() == 200
    # One answer waits at most, and no work is done for the next
    assert all(one._wire.get_write_buffer_size() < 2**20 for one in served.connections)
    until(lambda: not served.connections, 5 * SECONDS)
    for one in deaf:
        assert read(one).count(b"HTTP/1.1 200") < 40


def test_who_takes_too_long_is_given_up_though_it_reads() -> None:
    length = 40 * 2**20

    async def large(_: Scope, __: Receive, send: Send) -> None:
        headers = [(b"content-length", str(length).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": bytes(length), "more_body": False})

    served = Served(cast("ASGIApp", large), "")
    with closing(served):
        until(lambda: served.server.started)
        slow = served.connect(LARGE, buffer=2**16)
        begun = time.monotonic()
        found = 0
        with suppress(ConnectionResetError):
            while piece := slow.recv(2**16):
                found += len(piece)
                time.sleep(0.02)
        assert found < length
        assert time.monotonic() - begun > 4 * SECONDS


def test_who_reads_at_leisure_gets_all(served: Served) -> None:
    last = LARGE.replace(b"Host: m", b"Host: m\r\nConnection: close")
    leisurely = served.connect(LARGE * 29 + last, buffer=2**17)
    found = b""
    while piece := leisurely.recv(2**19):
        found += piece
        time.sleep(0.02)
    assert found.count(b"HTTP/1.1 200 OK") == 30


def test_requests_sent_ahead_are_answered_up_to_a_number(served: Served) -> None:
    asked = served.head("GET /livez", key=False)
    answer = read(served.connect(asked * (4 * MOST_WAITING)))
    assert MOST_WAITING <= answer.count(b"HTTP/1.1 200 OK") < 4 * MOST_WAITING
    assert answer.count(b"connection: close") == 1


@pytest.mark.parametrize("upgrade", ["websocket", "h2c"])
@pytest.mark.parametrize("start", ["GET /livez", "POST /v1/decisions", "PUT /livez"])
@pytest.mark.parametrize("at_once", [True, False])
def test_nothing_is_upgraded(served: Served, start: str, upgrade: str, *, at_once: bool) -> None:
    lines = ["Connection: Upgrade", f"Upgrade: {upgrade}", JSON, f"Content-Length: {len(BODY)}"]
    again = served.head("GET /readyz", "Connection: close", key=False)
    sent = served.head(start, *lines) + BODY + again
    connection = served.connect(sent if at_once else sent[: -len(again) - 10])
    if not at_once:
        time.sleep(0.05)
        connection.sendall(sent[-len(again) - 10 :])
    answer = read(connection)
    assert answer.count(b"HTTP/1.1 ") == 2
    assert answer.startswith(b"HTTP/1.1 405" if start.startswith("PUT") else b"HTTP/1.1 200")


def test_a_body_in_chunks_is_read_though_an_upgrade_was_asked_for(served: Served) -> None:
    lines = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", JSON, CHUNKED)
    again = served.head("GET /livez", "Connection: close")
    answer = read(served.connect(served.head("POST /v1/decisions", *lines) + chunked(b"A: b") + again))
    assert answer.count(b"HTTP/1.1 200 OK") == 2


UNREAD = [
    ("GET /livez", "Content-Length: 100000000", True),
    ("GET /livez", "Content-Length: 100", False),
    ("POST /v1/decisions", "Content-Length: 100000000", True),
    ("POST /v1/nothing", CHUNKED, True),
]


@pytest.mark.parametrize(("start", "framing", "closes"), UNREAD)
def test_a_body_that_nobody_reads_is_not_waited_for(
    served: Served, start: str, framing: str, *, closes: bool
) -> None:
    connection = served.connect(served.head(start, framing, key=False))
    answer = connection.recv(65536)
    assert (b"connection: close" in answer.lower()) is closes
    begun = time.monotonic()
    send_on(connection, b"1\r\nx\r\n" if framing == CHUNKED else b"x", 90, 0.05)
    assert time.monotonic() - begun < 2.5 * SECONDS
    until(lambda: not served.connections)


def test_a_short_body_that_nobody_reads_is_taken_and_the_connection_kept(served: Served) -> None:
    connection = served.connect(served.head("POST /v1/nothing", "Content-Length: 10"))
    assert b" 404 " in connection.recv(65536)
    time.sleep(SECONDS / 2)
    connection.sendall(b"0123456789" + served.head("GET /livez", "Connection: close"))
    time.sleep(SECONDS)
    assert read(connection).startswith(b"HTTP/1.1 200")


def test_the_answer_reaches_who_is_still_sending(served: Served) -> None:
    connection = served.connect(served.head("POST /v1/decisions", JSON, CHUNKED))
    sent = send_on(connection, b"10000\r\n" + b"x" * 65536 + b"\r\n", 8 * 2**20)
    assert sent >= 8 * 2**20
    assert code(read(connection)) == "body-too-large"


def test_who_asks_whether_to_send_too_much_is_refused_at_once(served: Served) -> None:
    lines = (JSON, f"Content-Length: {SETTINGS.max_body_bytes + 1}", "Expect: 100-continue")
    assert code(read(served.connect(served.head("POST /v1/decisions", *lines)))) == "body-too-large"
    few = (JSON, f"Content-Length: {len(BODY)}", "Expect: 100-continue")
    asking = served.connect(served.head("POST /v1/decisions", *few))
    assert asking.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
    asking.sendall(BODY + served.head("GET /livez", "Connection: close"))
    assert read(asking).count(b"HTTP/1.1 200 OK") == 2


def test_posts_without_a_key_leave_places_to_those_with_one(served: Served) -> None:
    head = served.head("POST /v1/outcomes", f"Origin: {PAGE}", JSON, "Content-Length: 1000", key=False)
    slow = [served.connect(head) for _ in range(3 * PLACES)]
    until(lambda: len(served.connections) == len(slow))
    assert served.decide() == 200
    answers = [one.recv(65536) for one in slow]
    refused = [answer for answer in answers if b" 429 " in answer]
    assert len(refused) == len(slow) - PLACES // 16
    assert all(b"retry-after: " in answer and PAGE.encode() in answer for answer in refused)


def test_who_hangs_up_is_not_worth_a_line(served: Served, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    for _ in range(20):
        served.connect(LARGE * 40, buffer=4096).close()
        served.connect(served.head("POST /v1/decisions", JSON, f"Content-Length: {len(BODY)}") + BODY).close()
        served.connect(served.head("POST /v1/decisions", JSON, "Content-Length: 9") + b"{").close()
        deaf = served.connect(LARGE * 40, buffer=4096)
        until(lambda: any(one.flow.write_paused for one in served.connections))
        deaf.close()
    until(lambda: not served.connections)
    until(lambda: not served.server.server_state.tasks)
    assert [line for line in caplog.records if line.levelno > logging.INFO] == []


def test_it_stops_though_clients_do_not_let_go(served: Served) -> None:
    for _ in range(3):
        served.connect(LARGE * 40, buffer=4096)
    for upgrade in ("websocket", "h2c"):
        lines = ("Connection: Upgrade", f"Upgrade: {upgrade}", JSON, "Content-Length: 1000")
        served.connect(served.head("POST /v1/decisions", *lines) + b"{")
    served.connect(served.head("GET /livez", "Content-Length: 1000"))
    body = served.connect(served.head("POST /v1/decisions", JSON, f"Content-Length: {len(BODY)}"))
    until(lambda: len(served.connections) == 7)
    threading.Timer(SECONDS / 4, body.sendall, [BODY]).start()
    assert served.stop() < 10 * SECONDS
    assert read(body).startswith(b"HTTP/1.1 200")
