from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from openapi_spec_validator import OpenAPIV31SpecValidator

import serving
from serving.api.app import routed
from serving.api.openapi import OPERATIONS, document
from serving.api.operations import Operation
from serving.api.problem_examples import SAID
from serving.api.problems import KINDS
from tests.unit.serving.api.conftest import SETTINGS, Counter, TodaysOffice

DESCRIBED: dict[str, Any] = json.loads(document().encode())


def test_the_description_is_valid_openapi_3_1() -> None:
    assert DESCRIBED["openapi"].startswith("3.1")
    assert list(OpenAPIV31SpecValidator(DESCRIBED).iter_errors()) == []


def test_every_address_is_described_and_nothing_else(office: TodaysOffice) -> None:
    served = {
        (method.lower(), re.sub(r":\w+", "", route.path))
        for route in routed(office, SETTINGS).routes
        for method in route.methods
        if method not in ("OPTIONS", "HEAD")
    }
    papers = {("get", path) for path in ("/", "/docs", "/openapi.json", "/openapi.yaml")}
    described = {(method, path) for path, item in DESCRIBED["paths"].items() for method in item}
    assert served == described | papers


@pytest.mark.parametrize("path", sorted(DESCRIBED["paths"]))
def test_an_address_says_all_its_methods(counter: Counter, path: str) -> None:
    if path == "/v1/outcomes":
        # Answers preflights of browsers instead
        return
    allowed = counter.ask("OPTIONS", path.replace("{", "").replace("}", "")).headers["allow"]
    assert set(allowed.lower().split(", ")) == {*DESCRIBED["paths"][path], "options"}


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
def test_every_example_is_what_its_schema_says(operation: Operation) -> None:
    for example in operation.answers.values():
        read = msgspec.convert(example, operation.answer, strict=True)
        assert json.loads(msgspec.json.encode(read)) == example
    for example in operation.bodies.values():
        assert operation.body is not None
        msgspec.convert(example, operation.body, strict=True)
    assert operation.answers


def test_every_problem_has_an_example_with_its_status() -> None:
    shown = set()
    for item in DESCRIBED["paths"].values():
        for operation in item.values():
            for status, response in operation["responses"].items():
                for media_type, content in response["content"].items():
                    assert content["examples"], (operation["operationId"], status)
                    if media_type == "application/problem+json":
                        shown |= {(code, status) for code in content["examples"]}
    everywhere = {"method-not-allowed", "malformed-request", "head-too-large"}
    assert shown == {(code, str(kind.status)) for code, kind in KINDS.items() if code not in everywhere}


def test_every_problem_shown_says_what_is_wrong_in_one_line_of_its_own() -> None:
    assert set(SAID) == set(KINDS)
    assert len({said.detail for said in SAID.values()}) == len(SAID)
    assert not any("\n" in said.detail for said in SAID.values())


def test_what_asks_to_wait_describes_for_how_long() -> None:
    responses = [
        (status, response)
        for item in DESCRIBED["paths"].values()
        for operation in item.values()
        for status, response in operation["responses"].items()
    ]
    assert {status for status, response in responses if "Retry-After" in response.get("headers", {})} == {
        "429",
        "503",
    }


def test_a_decision_leads_to_its_record_explanation_and_replay() -> None:
    links = DESCRIBED["paths"]["/v1/decisions"]["post"]["responses"]["200"]["links"]
    assert set(links) == {"readDecision", "explainDecision", "replayDecision"}


def test_every_code_raised_anywhere_in_serving_is_a_known_problem() -> None:
    # A batch is not asked for over HTTP
    sources = [path for path in Path(serving.__file__).parent.rglob("*.py") if "batch" not in path.parts]
    raised = {code for path in sources for code in re.findall(r'code="([a-z-]+)"', path.read_text("utf-8"))}
    assert raised <= set(KINDS)
    assert raised


def test_every_call_under_v1_names_key_and_scope() -> None:
    assert DESCRIBED["security"] == [{"key": []}]
    assert DESCRIBED["components"]["securitySchemes"]["key"]["scheme"] == "bearer"
    for path, item in DESCRIBED["paths"].items():
        for operation in item.values():
            assert operation.get("security", DESCRIBED["security"]) == (
                [{"key": []}] if path.startswith("/v1") else []
            )
            assert ("The key needs the scope" in operation["description"]) == path.startswith("/v1")


def test_json_yaml_and_page_are_served_without_a_key(counter: Counter) -> None:
    as_json, as_yaml = (
        counter.ask("GET", "/openapi.json", key=""),
        counter.ask("GET", "/openapi.yaml", key=""),
    )
    assert as_json.json() == DESCRIBED == yaml.safe_load(as_yaml.content)
    home = counter.ask("GET", "/", key="")
    assert (home.status_code, home.headers["location"]) == (307, "/docs")


class Outside(HTMLParser):
    """Collects whatever a page would fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.fetched: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        self.fetched += [str(named[name]) for name in ("src",) if name in named]
        if tag in ("script", "link", "img", "iframe"):
            self.fetched.append(tag)


def test_the_page_shows_every_call_and_fetches_nothing(counter: Counter) -> None:
    page = counter.ask("GET", "/docs", key="")
    assert page.headers["content-type"].startswith("text/html")
    outside = Outside()
    outside.feed(page.text)
    assert outside.fetched == []
    assert "url(" not in page.text
    assert all(operation.path in page.text for operation in OPERATIONS)
    assert all(code in page.text for code in KINDS)
