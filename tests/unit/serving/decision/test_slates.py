"""Which of an action's treatments speak the customer's language."""

from __future__ import annotations

import pytest

from serving.decision.actions import Placement
from serving.decision.reasons import Reason
from serving.decision.slates import make_slate
from tests.unit.serving.decision.small import action, treatment

ACTIONS = [
    action("a", treatments=[treatment(f"a-{tag}", language=tag) for tag in ("de", "de-AT", "en", "fr")]),
    action("b", treatments=[treatment(f"b-{tag}", language=tag) for tag in ("en", "fr")]),
    action("c", treatments=[treatment("c-fr", language="fr"), treatment("c-it", language="it")]),
    action("d", treatments=[treatment("d-fr", language="fr")]),
]
NAMES = [one.treatment_id for action in ACTIONS for one in action.treatments]


@pytest.mark.parametrize(
    ("wanted", "default", "spoken"),
    [
        ("fr", "en", ["a-fr", "b-fr", "c-fr", "d-fr"]),
        ("de", "en", ["a-de", "b-en", "c-fr", "c-it", "d-fr"]),
        ("de-AT", "en", ["a-de-AT", "b-en", "c-fr", "c-it", "d-fr"]),
        ("DE-at-1996", "en", ["a-de-AT", "b-en", "c-fr", "c-it", "d-fr"]),
        ("de-CH", "en-GB", ["a-de", "b-en", "c-fr", "c-it", "d-fr"]),
        (None, "en", ["a-en", "b-en", "c-fr", "c-it", "d-fr"]),
        ("ja", "it", ["a-de", "a-de-AT", "a-en", "a-fr", "b-en", "b-fr", "c-it", "d-fr"]),
    ],
)
def test_the_customers_language_then_the_catalogues_then_any(
    wanted: str | None, default: str, spoken: list[str]
) -> None:
    slate = make_slate(Placement("web", "home", 1), ACTIONS).spoken(wanted, default)

    assert [name for name, stop in zip(NAMES, slate.unfit.tolist(), strict=True) if not stop] == spoken
    assert {stop for stop in slate.unfit.tolist() if stop} == {Reason.OTHER_LANGUAGE}
    assert slate.several is (len(spoken) > len(ACTIONS))


def test_a_treatment_for_another_place_keeps_its_reason_and_speaks_for_nobody() -> None:
    mixed = action(
        "a",
        treatments=[
            treatment("a-1", places=("side",), language="de"),
            treatment("a-2", language="en"),
            treatment("a-3", language="fr"),
        ],
    )
    slate = make_slate(Placement("web", "home", 1), [mixed]).spoken("de", "en")

    assert slate.unfit.tolist() == [0, Reason.OTHER_LANGUAGE]
    other = make_slate(Placement("web", "top", 1), [mixed]).spoken("de", "en")
    assert other.unfit.tolist() == [Reason.NO_TREATMENT_FOR_PLACEMENT]
