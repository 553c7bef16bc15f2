"""Who may do what, over HTTP, on two workers: keys, people, tokens, bounds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import jwt
import pytest

from serving.adapters.identifiers import utc_now
from serving.bootstrap import open_keys
from serving.ports import Bounds, Role, Scope
from serving.records import Mode
from serving.use_cases.keys import NewKey, create_key, create_personal_key, rotate_key
from tests.service.conftest import Server
from tests.service.issuer import ISSUER, Issuer

BODY: dict[str, Any] = {"customer_id": "1", "channel": "web", "placements": [{"name": "home"}]}
WORKERS = 2


def new_key(
    server: Server,
    *,
    bounds: Bounds | None = None,
    channel: str | None = None,
    scopes: Iterable[str] = tuple(Scope),
) -> NewKey:
    store = open_keys(server.home)
    try:
        return create_key(
            store,
            mode=Mode.TEST,
            scopes=frozenset(map(Scope, scopes)),
            channel=channel,
            label="",
            now=utc_now(),
            bounds=bounds,
        )
    finally:
        store.close()


def send(server: Server, secret: str, method: str, path: str, **options: Any) -> httpx.Response:  # noqa: ANN401
    """Send one request over a connection of its own, so that either worker may get it."""
    headers = {"authorization": f"Bearer {secret}"}
    with httpx.Client(base_url=server.url, headers=headers, trust_env=False, verify=False) as client:  # noqa: S501
        return client.request(method, path, **options)


def decide(server: Server, secret: str, **changes: object) -> httpx.Response:
    return send(server, secret, "POST", "/v1/decisions", json=BODY | changes)


def together(work: Callable[[int], httpx.Response], count: int) -> list[httpx.Response]:
    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(work, range(count)))


def is_refused(answer: httpx.Response, status: int, code: str) -> bool:
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    return True


def within_one_hour(work: Callable[[], None]) -> None:
    """Do what counts by the hour of the clock; once more when that hour ended meanwhile."""
    hour = datetime.now(UTC).hour
    try:
        work()
    except AssertionError:
        if datetime.now(UTC).hour == hour:
            raise
        work()


def test_a_rotated_key_opens_every_worker_with_both_secrets(server: Server) -> None:
    old = new_key(server)
    store = open_keys(server.home)
    new = rotate_key(store, old.key.key_id, utc_now(), grace=timedelta(hours=1))
    for secret in (old.secret, new.secret):
        assert {decide(server, secret).status_code for _ in range(3 * WORKERS)} == {200}
    last = rotate_key(store, old.key.key_id, utc_now(), grace=timedelta(0))
    store.close()
    for secret in (old.secret, new.secret):
        for _ in range(3 * WORKERS):
            assert is_refused(decide(server, secret), 401, "key-unknown")
    assert decide(server, last.secret).status_code == 200


def test_a_request_asked_again_after_rotation_has_the_same_answer(server: Server) -> None:
    old = new_key(server)
    store = open_keys(server.home)
    new = rotate_key(store, old.key.key_id, utc_now(), grace=timedelta(hours=1))
    store.close()
    answers = [decide(server, secret, request_id="rotated") for secret in (old.secret, new.secret)]
    assert answers[0].content == answers[1].content


def test_a_person_may_do_what_their_role_says(server: Server) -> None:
    store = open_keys(server.home)
    made = create_personal_key(store, person="Ada Byron", role=Role.SUPPORT, now=utc_now(), mode=Mode.TEST)
    store.close()
    assert send(server, made.secret, "GET", "/v1/customers/1").status_code == 200
    assert is_refused(decide(server, made.secret), 403, "scope-missing")


def test_a_token_opens_what_its_claims_say(server: Server, issuer: Issuer) -> None:
    answer = decide(server, issuer.sign())
    assert (answer.status_code, answer.json()["mode"]) == (200, "test")
    decision = f"/v1/decisions/{answer.json()['decision_id']}"
    assert send(server, issuer.sign(), "GET", decision).status_code == 200
    other_shop = issuer.sign(moment_channel="app")
    assert is_refused(decide(server, other_shop), 403, "channel-not-allowed")
    assert is_refused(send(server, other_shop, "GET", decision), 404, "not-found")
    assert is_refused(send(server, issuer.sign(), "GET", "/v1/customers/1"), 403, "scope-missing")
    live = {"context": {"time": "2018-01-01T18:00:00Z"}}
    assert is_refused(decide(server, issuer.sign(moment_mode="live"), **live), 403, "test-only")


def test_a_token_that_is_not_valid_is_refused_like_any_unknown_key(server: Server, issuer: Issuer) -> None:
    past = int(datetime.now(UTC).timestamp()) - 60
    none = jwt.encode({"iss": ISSUER, "aud": "moment"}, "", "none", headers={"kid": "one"})
    wrong = [
        none,
        issuer.sign(aud="other"),
        issuer.sign(iss="https://evil.example"),
        issuer.sign(exp=past),
        issuer.sign(nbf=past + 600),
        issuer.sign({"kid": "two"}),
        issuer.sign({"jku": "https://evil.example"}),
        issuer.sign()[:-8] + "AAAAAAAA",
        issuer.sign(pad="x" * 5000),
        "moment_live_wrong",
    ]
    answers = [decide(server, token) for token in wrong]
    assert {answer.status_code for answer in answers} == {401}
    assert len({answer.content for answer in answers}) == 1
    assert {answer.headers["www-authenticate"] for answer in answers} == {'Bearer realm="moment"'}


def test_the_unknown_and_the_foreign_have_one_answer(server: Server, client: httpx.Client) -> None:
    mine = decide(server, server.key).json()["decision_id"]
    foreign = new_key(server, channel="app").secret
    answers = [
        send(server, foreign, "GET", f"/v1/decisions/{decision}")
        for decision in (mine, mine[:-1] + "0", "nonsense")
    ]
    assert {answer.status_code for answer in answers} == {404}
    assert len({answer.content for answer in answers}) == 1
    nobody = client.get("/v1/customers/nobody").json()
    assert nobody["profile"] == "none"
    assert not nobody["features"]
    assert not nobody["decisions"]


def test_two_workers_together_let_through_what_one_key_may_ask(server: Server) -> None:
    secret = new_key(server, bounds=Bounds(per_second=0.001, burst=20)).secret
    answers = together(lambda _: send(server, secret, "GET", "/v1/decisions/nonsense"), 40)
    assert Counter(answer.status_code for answer in answers) == {404: 20, 429: 20}
    refused = next(answer for answer in answers if answer.status_code == 429)
    assert is_refused(refused, 429, "rate-limited")
    assert 900 < int(refused.headers["retry-after"]) <= 1000
    assert decide(server, server.key).status_code == 200


def test_two_workers_together_let_a_key_ask_about_so_many_customers(server: Server) -> None:
    def ask() -> None:
        secret = new_key(server, bounds=Bounds(customers_per_hour=5)).secret

        def about(number: int) -> httpx.Response:
            customer = f"scraped-{number // 2}"
            if number % 2:
                return send(server, secret, "GET", f"/v1/customers/{customer}")
            return decide(server, secret, customer_id=customer)

        answers = together(about, 24)
        passed = {number // 2 for number, answer in enumerate(answers) if answer.status_code == 200}
        assert len(passed) == 5
        refused = [answer for answer in answers if answer.status_code != 200]
        assert all(is_refused(answer, 429, "too-many-customers") for answer in refused)
        assert 0 < int(refused[0].headers["retry-after"]) <= 3600
        # Whom it has asked about already it may go on asking about, and about nobody in particular
        again = next(iter(passed))
        assert send(server, secret, "GET", f"/v1/customers/scraped-{again}").status_code == 200
        assert decide(server, secret, customer_id=f"scraped-{again}").status_code == 200

    within_one_hour(ask)


@pytest.mark.parametrize("header", ["x-forwarded-for", "forwarded", "x-real-ip", "x-api-key", "cookie"])
def test_no_other_header_opens_or_bounds_anything(server: Server, header: str) -> None:
    with httpx.Client(base_url=server.url, trust_env=False, verify=False) as client:  # noqa: S501
        answer = client.post("/v1/decisions", json=BODY, headers={header: server.key})
    assert is_refused(answer, 401, "key-missing")


def test_the_day_a_key_was_used_is_listed(server: Server) -> None:
    made = new_key(server)
    before = utc_now().date()
    for _ in range(20):
        assert decide(server, made.secret).status_code == 200
    store = open_keys(server.home)
    (secret,) = store.secrets(made.key.key_id)
    store.close()
    assert secret.last_used_on in (before, utc_now().date())
