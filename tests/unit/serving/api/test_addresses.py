"""An id in an address means exactly what its characters say."""

from __future__ import annotations

from urllib.parse import quote

import pytest

from serving.records import Mode
from tests.service.kit import Shop
from tests.unit.serving.api.conftest import Counter

NEIGHBOURS = [
    "anna/",
    "/anna",
    "anna//",
    "a/b",
    "anna/decisions",
    "%61nna",
    "anna%2F",
    "anna ",
    "Anna",
    "änna",
]


@pytest.mark.parametrize("customer", NEIGHBOURS)
def test_a_customer_is_reached_by_no_other_name(counter: Counter, customer: str) -> None:
    told = counter.ask("GET", f"/v1/customers/{quote(customer, safe='')}")
    assert told.status_code == 200
    assert told.json()["customer_id"] == customer
    assert told.json()["profile"] == "none"
    assert counter.ask("GET", "/v1/customers/anna").json()["profile"] == "known"
    history = counter.ask("GET", f"/v1/customers/{quote(customer, safe='')}/decisions")
    assert (history.status_code, history.json()["customer_id"]) == (200, customer)


@pytest.mark.parametrize("customer", NEIGHBOURS)
def test_a_neighbour_erased_or_silenced_is_nobody_else(counter: Counter, shop: Shop, customer: str) -> None:
    live = shop.key(Mode.LIVE)
    part = quote(customer, safe="")
    refusal = b'{"consents": [{"purpose": "marketing", "status": "denied"}]}'
    assert counter.ask("PUT", f"/v1/customers/{part}/consents", content=refusal, key=live).status_code == 200
    receipt = counter.ask("DELETE", f"/v1/customers/{part}", headers=[], key=live)
    assert receipt.status_code == 200
    assert counter.ask("GET", "/v1/customers/anna", key=live).json()["profile"] == "known"


@pytest.mark.parametrize(
    "path", ["/v1/customers//decisions", "/v1/customers/anna/", "//v1/customers/anna", "/livez/"]
)
def test_an_address_with_an_empty_part_is_none(counter: Counter, path: str) -> None:
    assert counter.ask("GET", path).json()["code"] == "not-found"


@pytest.mark.parametrize("part", ["%ff", "a%00b", "a%0Ab", "y" * 129])
@pytest.mark.parametrize(
    ("method", "rest"),
    [("GET", ""), ("DELETE", ""), ("GET", "/decisions"), ("GET", "/export"), ("PUT", "/consents")],
)
def test_what_can_be_no_id_is_refused(
    counter: Counter, shop: Shop, method: str, rest: str, part: str
) -> None:
    content = b'{"consents": [{"purpose": "marketing", "status": "denied"}]}' if method == "PUT" else None
    told = counter.ask(method, f"/v1/customers/{part}{rest}", content=content, key=shop.key(Mode.LIVE))
    assert (told.status_code, told.json()["code"], told.json()["field"]) == (
        422,
        "invalid-value",
        "customer_id",
    )


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/docs", "/v1/customers/anna"])
def test_head_answers_as_get_without_the_body(counter: Counter, path: str) -> None:
    get, head = counter.ask("GET", path), counter.ask("HEAD", path)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-type"] == get.headers["content-type"]
