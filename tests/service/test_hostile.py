"""What is sent to do harm, over real sockets: a problem or a closed connection; no 5xx, no hang, no leak."""

from __future__ import annotations

import gzip
import itertools
import json
import select
import socket
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import httpx
import pytest

from serving.api.openapi import OPERATIONS
from serving.api.operations import Operation
from serving.api.problems import KINDS
from tests.service.conftest import Server, moment

PLANTED = "planted-5d20"
"""What is sent and may not come back."""

SECONDS = 15
MEGABYTE = 2**20
JSON = "Content-Type: application/json"
WITH_BODY = [operation for operation in OPERATIONS if operation.body is not None]


class Answer(NamedTuple):
    status: int
    head: str
    body: bytes


def connect(server: Server) -> socket.socket:
    address = urlsplit(server.url)
    return socket.create_connection((str(address.hostname), int(address.port or 0)), timeout=SECONDS)


def read(connection: socket.socket) -> Answer | None:
    """Return the next answer, or None where the connection is closed instead."""
    stream = connection.makefile("rb")
    try:
        head = b"".join(iter(stream.readline, b"\r\n")) if stream.peek(1) else b""
        if not head:
            return None
        fields = dict(line.lower().split(": ", 1) for line in head.decode().splitlines()[1:])
        body = stream.read(int(fields.get("content-length", "0")))
    except ConnectionResetError:
        return None
    return Answer(int(head.split()[1]), head.decode().lower(), body)


def exchange(server: Server, sent: bytes) -> Answer | None:
    with connect(server) as connection:
        connection.sendall(sent)
        return read(connection)


def head(server: Server, path: str, *lines: str, method: str = "POST") -> bytes:
    said = [f"{method} {path} HTTP/1.1", "Host: moment", f"Authorization: Bearer {server.key}", *lines]
    return ("\r\n".join(said) + "\r\n\r\n").encode("latin-1")


def post(server: Server, path: str, body: bytes, *lines: str) -> Answer | None:
    fields = lines or (JSON,)
    return exchange(server, head(server, path, *fields, f"Content-Length: {len(body)}") + body)


def is_problem(answer: Answer | None, *codes: str) -> bool:
    assert answer is not None
    assert "content-type: application/problem+json" in answer.head, answer
    problem = json.loads(answer.body)
    assert problem["code"] in codes, problem
    assert answer.status == problem["status"] == KINDS[problem["code"]].status
    assert 400 <= answer.status < 500
    return keeps_to_itself(answer)


def keeps_to_itself(answer: Answer) -> bool:
    told = answer.head.encode() + answer.body
    assert not any(word in told for word in (PLANTED.encode(), b"Traceback", b'File "', b".py"))
    return True


@pytest.fixture(autouse=True)
def _still_answering(server: Server) -> Iterator[None]:
    """After whatever was sent, the next one is answered, and no defect was logged."""
    before = server.output.count('"level":"error"')
    yield
    assert httpx.get(f"{server.url}/readyz", trust_env=False, timeout=SECONDS).status_code == 200
    assert server.output.count('"level":"error"') == before


def address(operation: Operation) -> str:
    path = operation.path.replace("{customer_id}", "1").replace("{decision_id}", "x")
    return path.replace("{name}", "propensity").replace("{version}", "x").replace("{stop_id}", "x")


def bodies(operation: Operation) -> dict[str, bytes]:
    good = json.loads(json.dumps(next(iter(operation.bodies.values()))))
    text = json.dumps(good)
    (first, *_) = good
    return {
        "nothing": b"",
        "null": b"null",
        "an array": b"[]",
        "an array of itself": f"[{text}]".encode(),
        "a number": b"1e400",
        "deep arrays": b"[" * 60_000,
        "deep objects inside": text[:-1].encode() + b',"x":' + b'{"a":' * 10_000,
        "NaN": (json.dumps(good | {first: float("nan")})).encode(),
        "1e400 where text is": json.dumps(good | {first: 0}).replace(": 0", ": 1e400", 1).encode(),
        "a lone surrogate": json.dumps(good | {first: "\ud800"}).encode(),
        "half a surrogate in a name": text[:-1].encode() + b',"\\udfff": 1}',
        "NUL": json.dumps(good | {first: f"{PLANTED}\0"}).encode(),
        "no UTF-8": text.encode()[:-1] + b',"\xff": 1}',
        "two documents": text.encode() * 2,
        "score": json.dumps(good | {"score": PLANTED}).encode(),
        "consent": json.dumps(good | {"consent": {"marketing": PLANTED}}).encode(),
        "model_version": json.dumps(good | {"model_version": PLANTED}).encode(),
        "a name never heard of": json.dumps(good | {"__class__": PLANTED}).encode(),
    }


READ = ("malformed-json", "unknown-field", "missing-field", "invalid-value", "unknown-channel")


@pytest.mark.parametrize("operation", WITH_BODY, ids=lambda operation: operation.name)
def test_no_call_reads_what_makes_no_sense(server: Server, operation: Operation) -> None:
    with server.client() as client:
        for name, body in bodies(operation).items():
            answer = client.request(
                operation.method,
                address(operation),
                content=body,
                headers={"content-type": "application/json"},
            )
            told = Answer(answer.status_code, str(answer.headers.multi_items()).lower(), answer.content)
            assert answer.headers["content-type"] == "application/problem+json", name
            assert answer.json()["code"] in READ, (name, answer.text)
            assert answer.json()["code"] in operation.problems, name
            assert keeps_to_itself(told), name


@pytest.mark.parametrize("operation", WITH_BODY, ids=lambda operation: operation.name)
def test_no_call_reads_what_is_not_said_to_be_plain_json(server: Server, operation: Operation) -> None:
    body = json.dumps(next(iter(operation.bodies.values()))).encode()
    bomb = gzip.compress(b" " * 50 * MEGABYTE)
    hostile: list[tuple[bytes, tuple[str, ...]]] = [
        (b"\x80\x04N.", ("Content-Type: application/vnd.bentoml+pickle",)),
        (b"\x80\x04N.", ("Content-Type: application/x-python-pickle",)),
        (body, (JSON, "Content-Type: text/plain")),
        (body, (JSON, JSON)),
        (body, ("Content-Type: application/json; charset=utf-7",)),
        (bomb, (JSON, "Content-Encoding: gzip")),
        (bomb[:1000], (JSON, "Content-Encoding: identity, gzip")),
    ]
    for sent, lines in hostile:
        start = head(
            server,
            address(operation),
            *lines,
            f"Content-Length: {len(sent)}",
            method=operation.method.upper(),
        )
        assert is_problem(exchange(server, start + sent), "unsupported-media-type"), lines


@pytest.mark.parametrize("instant", ["1900-01-01T00:00:00Z", "2200-01-01T00:00:00Z"])
def test_no_time_but_ours_is_decided_for(client: httpx.Client, instant: str) -> None:
    asked = {"channel": "web", "placements": [{"name": "home"}], "context": {"time": instant}}
    assert client.post("/v1/decisions", json=asked).json()["code"] == "time-out-of-range"
    assert client.get("/v1/customers/1", params={"time": instant}).json()["code"] == "time-out-of-range"
    event = {"event_id": f"h-{instant}", "customer_id": "1", "kind": "page_view", "channel": "web"}
    sent = client.post("/v1/events", json={"events": [event | {"occurred_at": instant}]})
    assert sent.status_code in (200, 422)
    listed = client.get("/v1/customers/1/decisions", params={"from": instant})
    assert listed.status_code == 200


def test_a_decision_of_another_channel_is_as_if_never_made(server: Server, client: httpx.Client) -> None:
    asked = {"channel": "web", "placements": [{"name": "home"}]}
    decided = client.post("/v1/decisions", json=asked).json()
    tracking = decided["placements"][0]["offers"][0]["tracking_id"]
    made = moment(
        server.home, "keys", "create", "--mode", "test", "--channel", "app", "--scope", "all", "--json"
    )
    headers = {"authorization": f"Bearer {json.loads(made.stdout)['key']}"}
    with httpx.Client(base_url=server.url, headers=headers, trust_env=False, timeout=SECONDS) as foreign:
        for method, rest in (("GET", ""), ("GET", "/explanation"), ("POST", "/replay")):
            there, nowhere = (
                foreign.request(method, f"/v1/decisions/{one}{rest}")
                for one in (decided["decision_id"], "0199f3c2-8b1a-7c44-9d0e-3f5a6b7c8d9e")
            )
            assert (there.status_code, there.json()["code"]) == (404, "not-found")
            assert there.content == nowhere.content
        report = {"tracking_id": tracking, "kind": "presented", "event_id": "h-1", "occurred_at": now()}
        (verdict,) = foreign.post("/v1/outcomes", json={"outcomes": [report]}).json()["outcomes"]
        assert verdict["verdict"] == "rejected"


def now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def test_forged_forwarding_headers_change_nothing(server: Server) -> None:
    forged = [
        f"X-Forwarded-For: {PLANTED}, 10.0.0.1",
        f"X-Forwarded-Host: {PLANTED}.example",
        "X-Forwarded-Proto: javascript",
        f"X-Forwarded-Prefix: /{PLANTED}",
        f"Forwarded: for={PLANTED};host={PLANTED}.example;proto=https",
        f"X-Original-URL: /v1/customers/{PLANTED}",
        "X-Rewrite-URL: /metrics",
        "X-HTTP-Method-Override: DELETE",
        "X-Request-Id: " + PLANTED,
    ]
    for path in ("/", "/v1/customers/nobody", "/v1/nothing", "/readyz"):
        plain, told = (exchange(server, head(server, path, *lines, method="GET")) for lines in ([], forged))
        assert plain is not None
        assert told is not None
        assert told.status == plain.status
        assert without_time(told) == without_time(plain)
        assert keeps_to_itself(told)
    assert PLANTED not in server.output


def without_time(answer: Answer) -> object:
    body: Any = answer.body
    if answer.body.startswith(b"{"):
        body = {name: value for name, value in json.loads(answer.body).items() if name != "as_of"}
    lines = [
        line
        for line in answer.head.splitlines()
        if not line.startswith(("date:", "x-request-id:", "content-length:"))
    ]
    return lines, body


CLOSED_OR_400 = [
    ("garbage", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"),
    ("garbage after a request", b"GET /livez HTTP/1.1\r\nHost: m\r\n\r\n\x00\x01\x02GARBAGE\r\n\r\n"),
    ("a header without end", b"GET /livez HTTP/1.1\r\nX-Much: " + b"x" * 200_000),
    ("a header of a megabyte", b"GET /livez HTTP/1.1\r\nX-Much: " + b"x" * MEGABYTE + b"\r\n\r\n"),
    ("a path of a megabyte", b"GET /v1/customers/" + b"x" * MEGABYTE + b" HTTP/1.1\r\nHost: m\r\n\r\n"),
    ("NUL in the path", b"GET /v1/customers/a\x00b HTTP/1.1\r\nHost: m\r\n\r\n"),
    ("no such version", b"GET /livez HTTP/9.9\r\nHost: m\r\n\r\n"),
    ("two lengths", b"POST /v1/events HTTP/1.1\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}"),
    ("a length below nothing", b"POST /v1/events HTTP/1.1\r\nContent-Length: -1\r\n\r\n{}"),
    (
        "length and chunks",
        b"POST /v1/events HTTP/1.1\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    ("chunks of no size", b"POST /v1/events HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n"),
    ("a header folded", b"GET /livez HTTP/1.1\r\nA: b\r\n c\r\n\r\n"),
]


@pytest.mark.parametrize(("name", "sent"), CLOSED_OR_400, ids=[case[0] for case in CLOSED_OR_400])
def test_what_is_no_http_is_refused_or_hung_up_on(server: Server, name: str, sent: bytes) -> None:
    with connect(server) as connection:
        try:
            connection.sendall(sent)
            connection.shutdown(socket.SHUT_WR)
            answers = list(iter(lambda: read(connection), None))
        except (BrokenPipeError, ConnectionResetError):
            return
    assert all(answer.status == 200 or 400 <= answer.status < 500 for answer in answers), answers
    assert all(map(keeps_to_itself, answers))


def test_a_head_has_bounds_and_a_host_that_is_one(server: Server) -> None:
    many = [f"X-{number}: much" for number in range(200)]
    assert is_problem(exchange(server, head(server, "/livez", *many, method="GET")), "head-too-large")
    strange = head(server, "/livez", method="GET").replace(b"Host: moment", b"Host: a/b c")
    assert is_problem(exchange(server, strange), "malformed-request")


def test_what_follows_a_body_is_no_header(server: Server) -> None:
    asked = head(server, "/v1/decisions", JSON, "Transfer-Encoding: chunked")
    keyless = asked.replace(b"Authorization", b"X-Nothing")
    trailer = f"0\r\nAuthorization: Bearer {server.key}\r\n\r\n".encode()
    assert is_problem(exchange(server, keyless + b"2\r\n{}\r\n" + trailer), "key-missing")
    with connect(server) as connection:
        connection.sendall(asked + b"0\r\n")
        without_end = itertools.repeat(b"a: b\r\n" * 10_000, 1000)
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            list(map(connection.sendall, without_end))


@pytest.mark.parametrize("protocol", ["websocket", "h2c"])
def test_no_other_protocol_is_spoken(server: Server, protocol: str) -> None:
    body = b'{"channel": "web", "placements": [{"name": "home"}]}'
    asked = (JSON, "Connection: Upgrade", f"Upgrade: {protocol}")
    answer = post(server, "/v1/decisions", body, *asked)
    assert answer is not None
    assert answer.status == 200


def test_who_asks_whether_to_send_too_much_is_told_at_once(server: Server) -> None:
    asked = head(server, "/v1/decisions", JSON, f"Content-Length: {MEGABYTE}", "Expect: 100-continue")
    assert is_problem(exchange(server, asked), "body-too-large")


def test_who_reads_nothing_and_hangs_up_is_no_defect(server: Server) -> None:
    for _ in range(20):
        with connect(server) as connection:
            connection.sendall(head(server, "/openapi.json", method="GET") * 40)
            time.sleep(0.02)


@pytest.mark.parametrize("path", ["%00", "a%00b", "%2e%2e%2f", "%ED%A0%80", "%FF", "x" * 20_000])
def test_a_path_may_hold_anything(server: Server, path: str) -> None:
    for place in (f"/v1/customers/{path}", f"/v1/decisions/{path}", f"/v1/decisions/{path}/explanation"):
        answer = exchange(server, head(server, place, method="GET"))
        assert answer is not None
        assert answer.status == 200 or is_problem(answer, "not-found", "invalid-value"), place
        assert keeps_to_itself(answer)


def test_http_1_0_and_expecting_to_continue_are_served(server: Server) -> None:
    body = b'{"channel": "web", "placements": [{"name": "home"}]}'
    old = head(server, "/v1/decisions", JSON, f"Content-Length: {len(body)}").replace(
        b"HTTP/1.1", b"HTTP/1.0"
    )
    answer = exchange(server, old + body)
    assert answer is not None
    assert answer.status == 200
    with connect(server) as connection:
        expecting = (JSON, f"Content-Length: {len(body)}", "Expect: 100-continue")
        connection.sendall(head(server, "/v1/decisions", *expecting))
        asked = read(connection)
        assert asked is not None
        assert asked.status == 100
        connection.sendall(body)
        answered = read(connection)
        assert answered is not None
        assert answered.status == 200


def test_a_body_that_trickles_is_not_waited_for(server: Server) -> None:
    with connect(server) as connection:
        connection.sendall(head(server, "/v1/decisions", JSON, "Content-Length: 1000"))
        while not select.select([connection], [], [], 0.3)[0]:
            connection.sendall(b" ")
        assert is_problem(read(connection), "body-too-slow")


def test_a_head_that_does_not_come_is_not_waited_for(server: Server) -> None:
    started = head(server, "/livez", method="GET")
    with connect(server) as silent, connect(server) as slow, connect(server) as later:
        slow.sendall(started[:20])
        later.sendall(started)
        answered = read(later)
        assert answered is not None
        assert answered.status == 200
        later.sendall(started[:20])
        for connection in (silent, slow, later):
            assert connection.recv(1) == b""


def test_who_hangs_up_leaves_nothing_behind(server: Server) -> None:
    before = [descriptors(worker) for worker in workers(server)]
    for _ in range(50):
        with connect(server) as connection:
            connection.sendall(head(server, "/v1/decisions", JSON, "Content-Length: 1000") + b"{")
        with connect(server) as connection:
            connection.sendall(head(server, "/v1/customers/1", method="GET")[:40])
            connection.shutdown(socket.SHUT_WR)
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        if sum(map(descriptors, workers(server))) <= sum(before) + 10:
            return
        time.sleep(0.2)
    pytest.fail(f"connections stay open: {before}, now {[descriptors(one) for one in workers(server)]}")


@pytest.mark.parametrize("chunked", [False, True])
def test_a_hundred_megabytes_are_refused_early_and_not_kept(server: Server, *, chunked: bool) -> None:
    before = max(map(peak_bytes, workers(server)))
    lines = ("Transfer-Encoding: chunked",) if chunked else (f"Content-Length: {100 * MEGABYTE}",)
    piece = b"x" * MEGABYTE
    framed = b"100000\r\n" + piece + b"\r\n" if chunked else piece
    sent = 0
    with closing(connect(server)) as connection:
        connection.sendall(head(server, "/v1/decisions", JSON, *lines))
        while sent < 100 and not select.select([connection], [], [], 0)[0]:
            try:
                connection.sendall(framed)
            except (BrokenPipeError, ConnectionResetError):
                break
            sent += 1
        assert sent < 60
        answer = read(connection)
        assert answer is None or is_problem(answer, "body-too-large")
    assert max(map(peak_bytes, workers(server))) - before < 64 * MEGABYTE


def workers(server: Server) -> list[int]:
    """Return the processes below the server's."""
    found: list[int] = []
    waiting = [server.process.pid]
    while waiting:
        children = Path(f"/proc/{waiting[0]}/task/{waiting.pop(0)}/children").read_text().split()
        waiting += map(int, children)
        found += map(int, children)
    return found


def descriptors(process: int) -> int:
    return len(list(Path(f"/proc/{process}/fd").iterdir()))


def peak_bytes(process: int) -> int:
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024
    return 0
