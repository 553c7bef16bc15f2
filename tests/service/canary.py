"""Personal data that nobody could mistake, planted wherever a channel can send any, and looked for again.

`plant` sends it in every field of every call the service describes, in requests that are valid and in others
that are not, in paths, queries, headers and methods. `seen_in` finds it again in bytes, as it was sent and in
the forms it takes on the way.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx

PERSON = "canary-7f3c"
MAIL = "canary-7f3c@mail.example"
STREET = "Canary Straße 7f3c"
CANARIES = (PERSON, MAIL, STREET)

JSON = Any


def forms(text: str) -> set[bytes]:
    """Return a text as it may be written: plain, in JSON, in an address, in base64, in other encodings."""
    plain = text.encode()
    shifted = [base64.b64encode(b"x" * shift + plain + b"xxx")[4 : 4 + len(plain)] for shift in (0, 1, 2)]
    return {
        plain,
        text.encode("utf-16-le"),
        text.encode("latin-1"),
        json.dumps(text)[1:-1].encode(),
        quote(text).encode(),
        repr(text)[1:-1].encode(),
        plain.hex().encode(),
        *(part for part in shifted if len(part) > 8),
    }


FORMS = frozenset(form for canary in CANARIES for form in forms(canary))


def seen_in(data: bytes) -> list[bytes]:
    """Return which forms of the canaries are in some bytes; none should be."""
    return sorted(form for form in FORMS if form in data)


def files_with_canary(folder: Path) -> dict[str, list[bytes]]:
    """Return which files under a folder hold a canary, in their bytes or their names."""
    found = {
        str(path.relative_to(folder)): seen_in(path.read_bytes()) + seen_in(str(path).encode())
        for path in folder.rglob("*")
        if path.is_file()
    }
    return {path: seen for path, seen in found.items() if seen}


def plant(client: httpx.Client) -> list[httpx.Response]:
    """Send canaries in every way the service's own description names, and some more; return all answers."""
    described = client.get("/openapi.json").json()
    answers = [
        _send(client, method.upper(), path, operation)
        for path, item in described["paths"].items()
        for method, operation in item.items()
    ]
    answers.append(list(_strange(client)))
    return [answer for group in answers for answer in group]


def _send(
    client: httpx.Client, method: str, path: str, operation: Mapping[str, JSON]
) -> list[httpx.Response]:
    """Plant canaries into one call: its path, its query, and each place of each example of its body."""
    parameters = operation.get("parameters", [])
    examples = {one["name"]: str(one["example"]) for one in parameters if one["in"] == "path"}
    named = path.format(**examples)
    planted = [
        client.request(method, path.format(**dict.fromkeys(examples, quote(canary, safe=""))))
        for canary in CANARIES
    ]
    queries = [{one["name"]: MAIL} for one in parameters if one["in"] == "query"]
    planted += [client.request(method, named, params=query) for query in (*queries, {MAIL: STREET})]
    content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    for example in content.get("examples", {}).values():
        planted += [client.request(method, named, json=body) for body in _bodies(example["value"])]
    return planted


def _bodies(value: JSON) -> Iterator[JSON]:
    """Return an example with each of its values, and then each of its names, replaced by a canary."""
    for number, changed in enumerate(_replaced(value)):
        canary = CANARIES[number % len(CANARIES)]
        yield json.loads(json.dumps(changed).replace('"\\u0000"', json.dumps(canary)))


def _replaced(value: JSON) -> Iterator[JSON]:
    yield "\0"
    if isinstance(value, dict):
        yield {**value, "\0": "\0"}
        for name, part in value.items():
            for changed in _replaced(part):
                yield {**value, name: changed}
    if isinstance(value, list):
        yield [*value, "\0"]
        for number, part in enumerate(value):
            for changed in _replaced(part):
                yield [*value[:number], changed, *value[number + 1 :]]


def _strange(client: httpx.Client) -> Iterator[httpx.Response]:
    """Send canaries where no description would name them."""
    known = {"customer_id": PERSON, "channel": "web", "placements": [{"name": "home"}], "request_id": MAIL}
    yield client.post("/v1/decisions", json=known)
    # The same id for another question: refused, and the refusal names neither
    yield client.post("/v1/decisions", json={**known, "customer_id": MAIL})
    for header in (
        "user-agent", "referer", "cookie", "x-request-id", "x-forwarded-for", "forwarded", "traceparent",
        "tracestate", "baggage", "accept", "accept-language", "content-type", "content-encoding", "origin",
        "if-none-match", "host", MAIL.replace("@", "-"),
    ):  # fmt: skip
        yield client.post("/v1/decisions", json=known, headers={header: MAIL})
    for key in (
        PERSON,
        f"Bearer {MAIL}",
        f"Bearer moment_live_{PERSON}",
        f"Bearer eyJ.{PERSON}.x",
        f"Basic {PERSON}",
    ):
        yield client.post("/v1/decisions", json=known, headers={"authorization": key})
    for content in (
        MAIL.encode(),
        f'{{"customer_id": "{MAIL}"'.encode(),
        f'{{"{MAIL}": 1}}'.encode(),
        b'"' + STREET.encode("latin-1"),
    ):
        yield client.post("/v1/decisions", content=content, headers={"content-type": "application/json"})
    yield client.post(
        "/v1/decisions",
        content=b'"' + MAIL.encode() * 10_000 + b'"',
        headers={"content-type": "application/json"},
    )
    for path in (
        f"/{PERSON}",
        f"/v1/{quote(MAIL)}",
        f"/v1/customers/{PERSON}/{PERSON}",
        f"/v1/decisions/{PERSON}.1",
    ):
        for method in ("GET", "POST", "DELETE", "CANARY-7F3C"):
            yield client.request(method, path)
