"""The consent ledger: its resolution against brute force, and what it does to decisions."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moment.errors import InvalidRequest
from serving.decision.consent_ledger import ConsentEntry, ConsentStatus, resolve
from serving.decision.reasons import Reason
from serving.decision.values import FeatureState, Purpose
from serving.ports import Identity, IdentityKind, Scope
from serving.records import Mode
from serving.use_cases.consents import Choice, TellConsents
from tests.service.kit import NOW, Shop, agreeing, ask, caller, spent

GRANTED, DENIED = ConsentStatus.GRANTED, ConsentStatus.DENIED
CHANNELS = ("web", "app")
HOURS = st.integers(-3, 3).map(lambda hours: NOW + timedelta(hours=hours))
ENTRIES = st.lists(
    st.builds(
        ConsentEntry,
        purpose=st.sampled_from([Purpose.SERVICE, Purpose.MARKETING]),
        channel=st.sampled_from([None, *CHANNELS]),
        status=st.sampled_from(ConsentStatus),
        valid_from=HOURS,
        valid_to=st.none() | HOURS,
        known_at=HOURS,
    ),
    max_size=6,
)


def brute_force(
    entries: Sequence[ConsentEntry], purpose: Purpose, channel: str, now: datetime
) -> bool | None:
    """Read the rule word by word; None where nothing is recorded."""
    known = [one for one in entries if one.known_at <= now and one.valid_from <= now]
    about = [
        one for one in known if one.purpose is purpose and (one.channel is None or one.channel == channel)
    ]
    if not about:
        return None
    newest = [one for one in about if one.valid_from == max(other.valid_from for other in about)]
    denials = [one for one in newest if one.status is DENIED]
    if denials:
        lasting = any(one.valid_to is None or one.valid_to > now for one in denials)
        return False if lasting else None
    return all(one.valid_to is None or one.valid_to > now for one in newest)


@given(st.lists(ENTRIES, max_size=3), st.sampled_from(CHANNELS), HOURS)
def test_resolution_is_what_the_rule_says(
    profiles: list[list[ConsentEntry]], channel: str, now: datetime
) -> None:
    consent = resolve(profiles, channel=channel, now=now)
    for purpose in Purpose:
        said = {brute_force(entries, purpose, channel, now) for entries in profiles} - {None}
        expected = said == {True} or (not said and purpose is Purpose.SERVICE)
        assert (purpose in consent.purposes) is expected
    assert consent.opted_out is (Purpose.SERVICE not in consent.purposes)


@given(ENTRIES, ENTRIES, st.sampled_from(CHANNELS), HOURS)
def test_order_does_not_matter_and_what_is_not_known_yet_changes_nothing(
    entries: list[ConsentEntry], more: list[ConsentEntry], channel: str, now: datetime
) -> None:
    later = [one for one in more if one.known_at > now]
    there = resolve([entries], channel=channel, now=now)
    assert resolve([[*later, *reversed(entries)]], channel=channel, now=now) == there


MARKETED = ("purposes: []", "purposes: [marketing]")


def tell(shop: Shop, purpose: Purpose, status: ConsentStatus, channel: str | None = None) -> None:
    choices = [Choice(purpose, channel, status)]
    TellConsents(shop.consents, shop.live, shop.clock)(caller(Mode.LIVE), "anna", choices)


def test_a_withdrawal_holds_from_the_next_request() -> None:
    shop = Shop(change=MARKETED, consents=agreeing("anna", purposes=(Purpose.PROFILING, Purpose.MARKETING)))
    before = shop.decide(caller(), ask())
    tell(shop, Purpose.MARKETING, DENIED)
    after = shop.decide(caller(), ask())
    assert before.placements[0].offers[0].action == "coupon-tea"
    assert {Reason.NO_CONSENT.value} & set(after.considered.reason)
    assert [offer.action for offer in after.placements[0].offers] == ["hello"]


def test_a_decision_for_a_time_long_past_does_not_bring_a_consent_back() -> None:
    shop = Shop()
    tell(shop, Purpose.PROFILING, DENIED)
    record = shop.decide(caller(), ask(time=NOW - timedelta(days=30)))
    assert record.personal is not None
    assert record.personal.features["spend"] is None


def test_what_is_not_consented_to_is_masked_before_rules_model_and_record() -> None:
    shop = Shop(change=('    eligible: "spend >= 10"', '    eligible: "spend IS NULL"'))
    tell(shop, Purpose.PROFILING, DENIED, "web")
    record = shop.decide(caller(), ask())
    told = record.personal
    assert told is not None
    assert set(told.features.values()) == {None}
    assert set(told.states.values()) == {FeatureState.MASKED}
    assert record.segment is None
    assert "large &amp; loud" not in str(told.content)
    app = shop.decide(caller(), ask(channel="app")).personal
    assert app is not None
    assert app.features["spend"] == 80.0


def test_an_opt_out_is_a_refusal_of_service_on_the_channel() -> None:
    shop = Shop()
    tell(shop, Purpose.SERVICE, DENIED, "web")
    record = shop.decide(caller(), ask())
    assert record.personal is not None
    assert record.personal.opted_out
    assert set(record.considered.reason) == {Reason.OPTED_OUT.value}
    app = shop.decide(caller(), ask(channel="app")).personal
    assert app is not None
    assert not app.opted_out


def test_without_the_ledger_there_is_no_marketing_and_no_profile() -> None:
    shop = Shop(change=MARKETED, consents=agreeing("anna", purposes=tuple(Purpose)))
    shop.consents.is_gone = True
    record = shop.decide(caller(), ask())
    assert record.degraded == ("consents",)
    assert record.personal is not None
    assert record.personal.purposes is None
    assert set(record.personal.features.values()) == {None}
    assert [offer.action for offer in record.placements[0].offers] == ["hello"]


def test_what_a_channel_sends_of_a_person_is_unknown_without_their_consent() -> None:
    declared = "  weather: {type: string, set_by: channel, meaning: the weather there, values: [sun, rain]}"
    located = declared.replace("}", ", purpose: location}")
    shop = Shop(change=(declared, located))
    asked = ask(context={"weather": "rain"})
    before = shop.decide(caller(), asked).personal
    tell(shop, Purpose.LOCATION, GRANTED)
    after = shop.decide(caller(), asked).personal
    assert before is not None
    assert after is not None
    assert (before.context["weather"], after.context["weather"]) == (None, "rain")


def test_a_test_key_tells_for_test_traffic_alone() -> None:
    shop = Shop()
    TellConsents(shop.consents, shop.live, shop.clock)(
        caller(Mode.TEST), "anna", [Choice(Purpose.PROFILING, None, DENIED)]
    )
    values = []
    for mode in (Mode.TEST, Mode.LIVE):
        personal = shop.decide(caller(mode), ask()).personal
        assert personal is not None
        values.append(personal.features["spend"])
    assert values == [None, 80.0]


def test_a_keys_channel_bounds_what_it_may_grant_but_not_what_it_may_refuse() -> None:
    shop = Shop()
    tell_it = TellConsents(shop.consents, shop.live, shop.clock)
    bound = caller(Mode.LIVE, channel="web")
    for channel in (None, "app"):
        with pytest.raises(InvalidRequest, match="another channel"):
            tell_it(bound, "anna", [Choice(Purpose.MARKETING, channel, GRANTED)])
    tell_it(
        bound, "anna", [Choice(Purpose.MARKETING, None, DENIED), Choice(Purpose.PROFILING, "web", GRANTED)]
    )
    with pytest.raises(InvalidRequest, match="told twice"):
        tell_it(
            bound,
            "anna",
            [Choice(Purpose.MARKETING, "web", GRANTED), Choice(Purpose.MARKETING, "web", DENIED)],
        )
    with pytest.raises(InvalidRequest, match="scope"):
        tell_it(caller(scopes=frozenset({Scope.DECIDE})), "anna", [Choice(Purpose.MARKETING, None, DENIED)])


def test_of_linked_identities_the_stricter_holds() -> None:
    shop = Shop()
    cookie = Identity(IdentityKind.COOKIE, "c1")
    profile = shop.identities.resolve(cookie, mode=Mode.TEST).profile
    TellConsents(shop.consents, shop.live, shop.clock)(
        caller(Mode.LIVE),
        profile,
        [Choice(Purpose.PROFILING, None, DENIED), Choice(Purpose.SOCIAL, None, GRANTED)],
    )
    shop.desk().identify.link(caller(), cookie, "anna")
    told = shop.decide(caller(), ask()).personal
    assert told is not None
    assert told.purposes == (Purpose.SERVICE, Purpose.SOCIAL)


@pytest.mark.parametrize("status", ConsentStatus)
def test_a_choice_for_a_channel_nobody_has_is_refused_with_the_nearest(status: ConsentStatus) -> None:
    shop = Shop()
    with pytest.raises(InvalidRequest, match="did you mean `web`") as refused:
        tell(shop, Purpose.SERVICE, status, "webb")
    assert (refused.value.code, refused.value.field) == ("unknown-channel", "consents[0].channel")


def test_a_refusal_is_taken_from_whoever_has_asked_about_too_many() -> None:
    shop = Shop()
    say = TellConsents(shop.consents, shop.live, shop.clock)
    say(spent(Mode.LIVE), "anna", [Choice(Purpose.MARKETING, None, DENIED)])
    both = [Choice(Purpose.SERVICE, None, DENIED), Choice(Purpose.MARKETING, None, GRANTED)]
    with pytest.raises(InvalidRequest) as refused:
        say(spent(Mode.LIVE), "anna", both)
    assert refused.value.code == "too-many-customers"
