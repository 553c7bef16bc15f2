"""What a request may ask beside offers: a language, something forced, the same again."""

from __future__ import annotations

import pytest

from moment.errors import InvalidRequest
from serving.decision.consent_ledger import ConsentStatus
from serving.decision.decision import OfferKind
from serving.decision.values import ActionId, Forced, Purpose, TreatmentId
from serving.records import DecisionRecord, Mode, RecordedForce, dump, load
from serving.use_cases.consents import Choice, TellConsents
from serving.use_cases.recall import Recall
from serving.use_cases.replay import Replay, ReplayVerdict
from tests.service.kit import Shop, agreeing, ask, caller

MARKETED = ("purposes: []", "purposes: [marketing]")
GERMAN = (
    """            label: Jam
""",
    """            label: Jam
            treatments:
              en: {channel: web, placements: [home], content: {title: "Jam {{ context.weather }}"}}
              de:
                channel: web
                placements: [home]
                language: de
                content: {title: "Marmelade {{ customer.size }}"}
""",
)


def words(record: DecisionRecord) -> list[str]:
    assert record.personal is not None
    return [one["title"] for one in record.personal.content]


def replayed(shop: Shop, record: DecisionRecord) -> ReplayVerdict:
    return Replay(Recall(shop.records, shop.recall.catalogues), shop.models, "test").of(record).verdict


@pytest.mark.parametrize(
    ("language", "title"),
    [("de-AT", "Marmelade &lt;small&gt;"), ("en", "Jam "), (None, "Jam "), ("fr", "Jam ")],
)
def test_an_offer_speaks_the_language_asked_for_escaped(language: str | None, title: str) -> None:
    shop = Shop(change=GERMAN)

    record = shop.decide(caller(), ask("ben", language=language))

    assert title in words(record)
    assert record.personal is not None
    assert record.personal.language == language
    assert replayed(shop, record) is ReplayVerdict.IDENTICAL


def test_what_is_forced_is_recorded_so_and_replays() -> None:
    shop = Shop()
    force = Forced(ActionId("coupon-soup"), TreatmentId("coupon-soup-web"))

    record = shop.decide(caller(), ask(force=force))

    offers = record.placements[0].offers
    assert [(offer.action, offer.kind) for offer in offers] == [
        ("coupon-soup", OfferKind.FORCED),
        ("coupon-tea", OfferKind.ARBITRATED),
    ]
    assert (offers[0].reserved_until, offers[0].action_probability) == (None, 1.0)
    assert record.force == RecordedForce("coupon-soup", "coupon-soup-web")
    assert load(dump(record)) == record
    assert replayed(shop, record) is ReplayVerdict.IDENTICAL


def test_a_live_key_may_not_force() -> None:
    with pytest.raises(InvalidRequest) as refused:
        Shop().decide(caller(Mode.LIVE), ask(force=Forced(ActionId("coupon-soup"))))
    assert (refused.value.code, refused.value.field) == ("test-only", "force")


def test_the_same_request_has_the_same_answer_until_consent_is_withdrawn() -> None:
    shop = Shop(change=MARKETED, consents=agreeing("anna", purposes=(Purpose.PROFILING, Purpose.MARKETING)))
    first = shop.decide(caller(), ask(request_id="r"))
    TellConsents(shop.consents, shop.live, shop.clock)(
        caller(Mode.LIVE), "anna", [Choice(Purpose.SOCIAL, None, ConsentStatus.GRANTED)]
    )
    assert shop.decide(caller(), ask(request_id="r")) == first

    TellConsents(shop.consents, shop.live, shop.clock)(
        caller(Mode.LIVE), "anna", [Choice(Purpose.MARKETING, None, ConsentStatus.DENIED)]
    )
    with pytest.raises(InvalidRequest) as refused:
        shop.decide(caller(), ask(request_id="r"))

    assert refused.value.code == "answer-withdrawn"
    assert [offer.action for offer in shop.decide(caller(), ask(request_id="s")).placements[0].offers] == [
        "hello"
    ]


def test_another_request_under_the_id_is_told_so_though_consent_was_withdrawn_too() -> None:
    shop = Shop()
    shop.decide(caller(), ask(request_id="r"))

    with pytest.raises(InvalidRequest) as refused:
        shop.decide(caller(), ask(request_id="r", body_sha256=b"other"))

    assert refused.value.code == "request-id-reused"
