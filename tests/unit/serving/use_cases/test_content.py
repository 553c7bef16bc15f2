from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from serving.decision.actions import Action, Candidate, Treatment
from serving.decision.values import ActionId, Scalar, TreatmentId
from serving.use_cases.content import render


def rendered(field: str, template: str, **customer: Scalar) -> str:
    treatment = Treatment(TreatmentId("tea-web"), "web", ("home",), "en", {field: template})
    action = Action(
        ActionId("tea"),
        "Tea & cake",
        "sales",
        "grocery",
        3.5,
        timedelta(days=1),
        {"category": "TEA"},
        (),
        (treatment,),
    )
    return render(Candidate(action, treatment), customer, {"weather": "<rain>"})[field]


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("nothing to fill", "nothing to fill"),
        ("{{ action.label }} at {{action.value}}", "Tea & cake at 3.50"),
        ("{{ action.category }} / {{ action.id }}", "TEA / tea"),
        ("Dear {{ customer.name }}", "Dear &lt;b&gt; &amp; co"),
        ("{{ context.weather }}!", "&lt;rain&gt;!"),
        ("{{ customer.unknown }}.", "."),
        ("{{ customer.visits }} visits", "12 visits"),
        ("{{ customer.club }}", "yes"),
    ],
)
def test_places_are_filled_and_what_is_not_the_authors_is_escaped(template: str, expected: str) -> None:
    assert rendered("title", template, name="<b> & co", visits=12.0, club=True) == expected


@pytest.mark.parametrize("field", ["link", "image"])
def test_in_an_address_values_are_percent_encoded(field: str) -> None:
    assert rendered(field, "/o?n={{ customer.name }}", name="a&b=/ü") == "/o?n=a%26b%3D%2F%C3%BC"


def test_a_value_that_looks_like_a_place_is_not_filled_again() -> None:
    assert rendered("title", "{{ customer.name }}", name="{{ action.label }}") == "{{ action.label }}"


def test_values_that_are_equal_and_read_otherwise_are_each_written_as_they_are() -> None:
    treatment = Treatment(TreatmentId("tea-web"), "web", ("home",), "en", {"title": "{{ action.size }}"})
    action = Action(
        ActionId("tea"), "Tea", "sales", "grocery", 3.5, timedelta(days=1), {"size": 1}, (), (treatment,)
    )
    sizes: tuple[Scalar, ...] = (1, True, 1.0)
    candidates = [Candidate(replace(action, attributes={"size": size}), treatment) for size in sizes]
    assert candidates[0] == candidates[1] == candidates[2]
    for _ in range(2):
        assert [render(one, {}, {})["title"] for one in candidates] == ["1", "yes", "1"]


def test_a_text_with_places_of_action_and_customer_is_filled_for_each_customer_anew() -> None:
    template = "{{ customer.name }}: {{ action.label }}, {{ action.id }} {{ context.weather }}{{ action.id }}"
    assert rendered("title", template, name="A") == "A: Tea & cake, tea &lt;rain&gt;tea"
    assert rendered("title", template, name="B") == "B: Tea & cake, tea &lt;rain&gt;tea"
