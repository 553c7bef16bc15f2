"""What a channel may ask, and how a mistake is answered: the field, the nearest name, no personal data."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest

from moment.errors import InvalidRequest, InvariantViolation
from serving.catalogue import load
from serving.decision.catalogue import Catalogue
from serving.decision.shortlist import shortlist
from serving.decision.values import Customer, History, PlacementRequest, ProfileKind, Request, Scalar
from tests.golden.cases import FEATURES, FOLDER
from tests.unit.serving.decision.small import NOW

NOBODY = Customer(None, ProfileKind.NONE)


@pytest.fixture(scope="module")
def shop() -> Catalogue:
    return load(Path(FOLDER / "catalogue.yaml"), FEATURES)


def asked(
    shop: Catalogue,
    *,
    channel: str = "web",
    places: tuple[tuple[str, int], ...] = (("home", 1),),
    context: dict[str, Scalar] | None = None,
) -> None:
    request = Request(channel, tuple(PlacementRequest(*place) for place in places), context or {})
    shortlist(request, shop, NOBODY, History(), NOW)


@pytest.mark.parametrize(
    ("channel", "places", "context", "code", "field", "message"),
    [
        ("wep", (("home", 1),), {}, "unknown-channel", "channel", "no channel `wep`; did you mean `web`?"),
        ("web", (), {}, "invalid-placements", "placements", "ask for at least one placement"),
        (
            "web",
            (("home", 1), ("hoem", 1)),
            {},
            "unknown-placement",
            "placements[1].name",
            "channel `web` has no placement `hoem`; did you mean `home`?",
        ),
        (
            "web",
            (("home", 1), ("home", 1)),
            {},
            "duplicate-placement",
            "placements[1].name",
            "placement `home` is asked for twice; ask once with more slots",
        ),
        (
            "web",
            (("home", 4),),
            {},
            "invalid-slots",
            "placements[0].slots",
            "placement `home` has 1 to 3 slots, not 4",
        ),
        (
            "web",
            (("home", 1),),
            {"devise": "phone"},
            "unknown-context",
            "context.devise",
            "`context.devise` is not declared by the catalogue; did you mean `device`?",
        ),
        (
            "web",
            (("home", 1),),
            {"hour": 3},
            "context-not-settable",
            "context.hour",
            "`context.hour` is derived by Moment and cannot be sent; leave it out",
        ),
        (
            "web",
            (("home", 1),),
            {"device": 7},
            "invalid-context",
            "context.device",
            "`context.device` must be string",
        ),
        (
            "web",
            (("home", 1),),
            {"device": "toaster"},
            "invalid-context",
            "context.device",
            "`context.device` must be one of phone, desktop",
        ),
    ],
)
def test_a_mistake_names_its_field(
    shop: Catalogue,
    *,
    channel: str,
    places: tuple[tuple[str, int], ...],
    context: dict[str, Scalar],
    code: str,
    field: str,
    message: str,
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        asked(shop, channel=channel, places=places, context=context)

    assert (caught.value.code, caught.value.field, str(caught.value)) == (code, field, message)


def test_a_time_without_a_zone_is_our_own_mistake(shop: Catalogue) -> None:
    request = Request("web", (PlacementRequest("home", 1),))

    with pytest.raises(InvariantViolation, match="time zone"):
        shortlist(request, shop, NOBODY, History(), datetime(2026, 3, 3))  # noqa: DTZ001


@pytest.mark.parametrize(
    ("timezone", "hour"), [("Asia/Tokyo", 20), (None, 12), ("Moon/Tycho", 12), ("../x", 12)]
)
def test_the_hour_is_told_where_the_customer_is(shop: Catalogue, timezone: str | None, hour: int) -> None:
    traveller = Customer(None, ProfileKind.NONE, timezone=timezone)
    left = shortlist(Request("web", (PlacementRequest("home", 1),)), shop, traveller, History(), NOW)

    assert left.context == {"channel": "web", "device": None, "hour": hour, "weekday": "tuesday"}
