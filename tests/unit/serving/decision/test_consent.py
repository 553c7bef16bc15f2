"""What consent stops, by purpose, opt-out and lawful basis."""

from __future__ import annotations

import pytest

from serving.decision.actions import LawfulBasis
from serving.decision.consent import ConsentPlan
from serving.decision.reasons import Reason
from serving.decision.values import Consent, Purpose
from tests.unit.serving.decision.small import action

MARKETING, LOCATION, SERVICE = Purpose.MARKETING, Purpose.LOCATION, Purpose.SERVICE
ACTIONS = {
    "sells": action("sells", purposes=frozenset({MARKETING})),
    "near": action("near", purposes=frozenset({MARKETING, LOCATION})),
    "serves": action("serves", purposes=frozenset({SERVICE})),
    "asks nothing": action("asks nothing"),
    "contract": action("contract", purposes=frozenset({MARKETING}), mandatory=LawfulBasis.CONTRACT),
    "law": action("law", purposes=frozenset({MARKETING}), mandatory=LawfulBasis.LEGAL_OBLIGATION),
}


@pytest.mark.parametrize(
    ("consent", "stopped"),
    [
        (Consent(frozenset({SERVICE, MARKETING, LOCATION})), {}),
        (Consent(frozenset({SERVICE, MARKETING})), {"near": Reason.NO_CONSENT}),
        (Consent(), {"sells": Reason.NO_CONSENT, "near": Reason.NO_CONSENT}),
        (Consent(frozenset()), dict.fromkeys(("sells", "near", "serves"), Reason.NO_CONSENT)),
        (
            Consent(frozenset({SERVICE, MARKETING}), opted_out=True),
            dict.fromkeys(("sells", "serves", "asks nothing", "contract"), Reason.OPTED_OUT)
            | {"near": Reason.NO_CONSENT},
        ),
        (None, dict.fromkeys(("sells", "near", "asks nothing"), Reason.CONSENT_STORE_GONE)),
    ],
)
def test_what_is_not_consented_to_stops(consent: Consent | None, stopped: dict[str, Reason]) -> None:
    found = ConsentPlan.of(list(ACTIONS.values())).stops(consent)

    reasons = [0] * len(ACTIONS) if found is None else found.tolist()
    assert {name: reason for name, reason in zip(ACTIONS, reasons, strict=True) if reason} == stopped
