from __future__ import annotations

from datetime import timedelta

import pytest

from features.realtime_features import REALTIME_V1
from moment.errors import InvalidRequest
from serving.decision.values import FeatureState, ProfileKind, Purpose
from serving.ports import Identity, IdentityKind
from serving.records import Mode
from tests.service.kit import CONTRACT, NOW, Shop, agreeing, ask, caller


def test_a_known_customer_shows_features_persona_and_latest_decisions() -> None:
    shop = Shop()
    made = [shop.decide(caller(), ask()).decision_id for _ in range(12)]
    view = shop.view_customer(caller(), "anna")
    assert view.profile is ProfileKind.KNOWN
    assert view.segment == "Families"
    assert view.specs == (*CONTRACT.features, *REALTIME_V1.features)
    assert [record.decision_id for record in view.decisions] == made[::-1][:10]


def test_only_decisions_of_the_callers_mode_and_channel_are_shown() -> None:
    shop = Shop()
    shop.decide(caller(), ask())
    on_app = shop.decide(caller(), ask(channel="app"))
    shop.decide(caller(Mode.LIVE), ask())
    seen = shop.view_customer(caller(channel="app"), "anna").decisions
    assert [record.decision_id for record in seen] == [on_app.decision_id]


def test_a_customer_nobody_knows_has_the_same_shape_with_nothing_in_it() -> None:
    view = Shop().view_customer(caller(), "nobody", NOW - timedelta(days=1))
    assert (view.profile, view.segment, view.specs, view.decisions) == (ProfileKind.NONE, None, (), ())
    assert view.as_of == NOW - timedelta(days=1)


def test_a_live_key_may_not_look_at_another_time() -> None:
    with pytest.raises(InvalidRequest) as refused:
        Shop().view_customer(caller(Mode.LIVE), "anna", NOW)
    assert (refused.value.code, refused.value.field) == ("test-only", "time")


def test_what_consents_keep_from_decisions_is_kept_from_the_view_and_the_persona() -> None:
    shop = Shop(consents=agreeing("anna", purposes=(Purpose.MARKETING,)))
    view = shop.view_customer(caller(), "anna")
    decided = shop.decide(caller(), ask()).personal
    assert decided is not None
    assert view.segment is None
    assert {view.facts.values[name] for name in CONTRACT.names} == {None}
    assert set(view.facts.states.values()) == {FeatureState.MASKED}
    assert all(view.facts.values[name] == value for name, value in decided.features.items())


def test_decisions_of_a_linked_visitor_are_the_customers_until_the_link_is_undone() -> None:
    shop = Shop()
    cookie = Identity(IdentityKind.COOKIE, "c1")
    early = shop.decide(caller(), ask(None, identity=cookie))
    desk, own = shop.desk(), shop.decide(caller(), ask())
    assert [one.decision_id for one in shop.view_customer(caller(), "anna").decisions] == [own.decision_id]
    desk.identify.link(caller(), cookie, "anna")
    both = [own.decision_id, early.decision_id]
    assert [one.decision_id for one in shop.view_customer(caller(), "anna").decisions] == both
    assert [one.decision_id for one in desk.export(caller(), "anna").decisions] == both
    desk.identify.unlink(caller(), cookie, "anna")
    assert [one.decision_id for one in shop.view_customer(caller(), "anna").decisions] == [own.decision_id]


def test_of_a_customer_without_features_the_decisions_are_shown() -> None:
    shop = Shop()
    made = shop.decide(caller(), ask("new here"))
    view = shop.view_customer(caller(), "new here")
    assert (view.profile, [one.decision_id for one in view.decisions]) == (
        ProfileKind.NONE,
        [made.decision_id],
    )
