"""What a file says of policies, bounds, arms and who may set what is what the core gets."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from moment.errors import ConfigurationError, InvalidRequest
from serving.catalogue import load
from serving.catalogue.feature_columns import missing_columns
from serving.decision.actions import Allowance, Exclusion, LawfulBasis, SetBy, Weighting
from serving.decision.catalogue import Catalogue
from serving.decision.columns import Column, ColumnType
from serving.decision.contact import (
    CalendarWindow,
    CoolOff,
    Counting,
    Limit,
    Per,
    QuietHours,
    Scope,
    Suppression,
)
from serving.decision.context import complete_context
from serving.decision.epsilon_uniform import EpsilonUniform
from serving.decision.experiments import Share
from serving.decision.explorations import DEFAULT_EXPLORATION
from serving.decision.softmax import Softmax
from serving.decision.thompson import Thompson
from serving.decision.values import ActionId, PlacementRequest, Purpose, Request
from tests.unit.serving.catalogue.test_loading import SOUND, written
from tests.unit.serving.catalogue.whole import WHOLE

FEATURES = {"age": Column(ColumnType.INT), "city": Column(ColumnType.STRING)}


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Catalogue:
    return load(written(WHOLE, tmp_path_factory.mktemp("bank")), FEATURES)


def test_contact_policies(bank: Catalogue) -> None:
    assert bank.contact_policies == (
        Suppression(
            "after-noes",
            outcome="rejected",
            lasts=timedelta(days=30),
            after=2,
            within=timedelta(days=90),
            per=Per.GROUP,
            scope=Scope(groups=frozenset({"loans"})),
        ),
        Suppression("after-signing", outcome="signed", lasts=timedelta(weeks=52)),
        CoolOff(
            "breathing-space",
            lasts=timedelta(days=1),
            per=Per.ISSUE,
            scope=Scope(issues=frozenset({"growth"})),
        ),
        Limit(
            "five-a-day",
            most=5,
            window=CalendarWindow.DAY,
            counts=Counting.DECISIONS,
            per=Per.ALL,
            per_channel=True,
            scope=Scope(channels=frozenset({"web"})),
        ),
        QuietHours("night", time(21), time(8, 30), scope=Scope(actions=frozenset({"rates"}))),
        Limit("three-a-week", most=3, window=timedelta(days=7)),
    )
    assert bank.outbound == {"email"}
    assert bank.exclusions == (Exclusion("credit", timedelta(days=7)), Exclusion("letters"))


def test_actions_inherit_what_is_nearest_multiply_levers_and_add_weights_up(bank: Catalogue) -> None:
    personal, car = bank.action("personal-loan"), bank.action("car-loan")
    terms, rates = bank.action("terms"), bank.action("rates")
    weights = {bank.rule_text(one.rule_id): one.weight for one in personal.weightings}

    assert [personal.lever, car.lever, terms.lever] == [1.5, 3.0, 1.0]
    assert [personal.positive_outcome, car.positive_outcome, terms.positive_outcome] == [
        "signed",
        "accepted",
        "accepted",
    ]
    assert [personal.cost, car.cost] == [2.0, 0.0]
    assert (personal.budget, personal.volume) == (Allowance(10_000, 500), Allowance(None, 50))
    assert [personal.exclusions, rates.exclusions] == [("credit",), ("credit", "letters")]
    assert weights == {
        "context.branch_km < 2": 1.5,
        "context.approved": 3.0,
        "credit_ok AND age >= 18": 0.5,
    }
    assert personal.weightings == car.weightings
    assert personal.purposes == {Purpose.MARKETING}
    assert car.purposes == {Purpose.MARKETING, Purpose.PROFILING}
    assert [set(terms.purposes), set(rates.purposes)] == [{Purpose.SERVICE}, set()]
    assert terms.mandatory is LawfulBasis.LEGAL_OBLIGATION


def test_a_rule_that_is_also_a_weight_is_one_rule(bank: Catalogue) -> None:
    number = [rule.text for rule in bank.rules].index("credit_ok AND age >= 18")

    assert bank.action("car-loan").rules[0].rule_id == number
    assert Weighting(number, 0.5) in bank.action("car-loan").weightings


def test_a_cool_off_is_of_everything_unless_it_says_otherwise(tmp_path: Path) -> None:
    text = WHOLE.replace("{cool_off: 24h, per: issue,", "{cool_off: 24h,")
    bank = load(written(text, tmp_path), FEATURES)

    assert [policy.per for policy in bank.contact_policies if isinstance(policy, CoolOff)] == [Per.ALL]


def test_words_of_a_column_are_those_of_the_features(tmp_path: Path) -> None:
    text = WHOLE.replace("  credit_ok:", "  city: {type: string, values: [Bonn, Ulm]}\n  credit_ok:")
    features = FEATURES | {"city": Column(ColumnType.STRING, ("Ulm", "Bonn"))}
    loose = text.replace(", values: [Bonn, Ulm]", "").replace("credit_ok AND", "city = 'Ulm' AND")

    assert missing_columns(load(written(text, tmp_path), features), features) == ("credit_ok",)
    assert missing_columns(load(written(loose, tmp_path), features), features) == ()
    with pytest.raises(ConfigurationError, match="values: `city` holds Ulm, Köln in the feature contract"):
        load(written(text, tmp_path), FEATURES | {"city": Column(ColumnType.STRING, ("Ulm", "Köln"))})
    with pytest.raises(ConfigurationError, match="`city` is never 'Ulm'"):
        load(written(loose, tmp_path), FEATURES | {"city": Column(ColumnType.STRING, ("Bonn",))})


def test_placements_and_the_default_of_their_times(bank: Catalogue) -> None:
    home, weekly = bank.placement("web", "home"), bank.placement("email", "weekly")

    assert home is not None
    assert weekly is not None
    assert (home.lifetime, home.report_within) == (timedelta(minutes=45), timedelta(seconds=90))
    assert (weekly.lifetime, weekly.report_within) == (timedelta(minutes=30), timedelta(minutes=10))


def test_languages(bank: Catalogue) -> None:
    spoken = {treatment.channel: treatment.language for treatment in bank.action("terms").treatments}

    assert bank.language == "de"
    assert spoken == {"web": "de", "email": "en"}


def test_arbitration_and_exploration(bank: Catalogue) -> None:
    assert bank.propensity_floor == 0.01
    assert bank.formula is not None
    assert bank.formula.text == "propensity * value * lever"
    assert bank.exploration == EpsilonUniform(0.1, Softmax(0.5))


def test_what_says_nothing_explores_a_little_and_asks_for_marketing(tmp_path: Path) -> None:
    shop = load(written(SOUND.replace("NOT vegan", "city = 'x'"), tmp_path), FEATURES)

    assert shop.exploration == DEFAULT_EXPLORATION == EpsilonUniform(0.05)
    assert {action.purposes for action in shop.actions} == {frozenset({Purpose.MARKETING})}


def test_shares_and_layers(bank: Catalogue) -> None:
    ranking, ways = bank.layers
    as_is, pushed = ranking.experiments[0].arms
    (warm,) = ways.experiments[0].arms

    assert (bank.control, bank.holdout) == (Share(0.05, "ctrl-2026"), Share(0.02, "holdout"))
    assert (ranking.name, ranking.salt, ways.salt) == ("ranking", "r1", "ways")
    assert (as_is.name, as_is.share, as_is.changes.parts) == ("as-is", 0.25, frozenset())
    assert pushed.changes.levers == {ActionId("personal-loan"): 3.0, ActionId("car-loan"): 12.0}
    assert warm.changes.exploration == Thompson(200)
    assert warm.changes.formula is not None
    assert warm.changes.parts == {"exploration", "formula", "propensity_floor"}


def test_columns_the_features_lack_are_known(bank: Catalogue) -> None:
    assert missing_columns(bank, FEATURES) == ("credit_ok",)
    assert missing_columns(bank, {}) == ("age", "credit_ok")
    assert missing_columns(bank, {"age", "credit_ok"}) == ()


def test_the_digest_is_the_same_with_and_without_features(bank: Catalogue, tmp_path: Path) -> None:
    assert load(written(WHOLE, tmp_path)).digest == bank.digest


@pytest.mark.parametrize("formula", ["propensity * account_age", "value"])
def test_columns_of_a_formula_count_in_arms_too(formula: str, tmp_path: Path) -> None:
    text = WHOLE.replace("formula: value}", f"formula: {formula}}}").replace(
        "  credit_ok:", "  account_age: {type: int64}\n  credit_ok:"
    )
    lacking = missing_columns(load(written(text, tmp_path), FEATURES), FEATURES)

    assert ("account_age" in lacking) is ("account_age" in formula)


def test_only_a_trusted_caller_asserts_what_a_system_sets(bank: Catalogue) -> None:
    now, zone = datetime(2026, 3, 4, 12, tzinfo=UTC), ZoneInfo("Europe/Berlin")
    asked = Request("web", (PlacementRequest("home", 1),), {"approved": True, "branch_km": 2})
    fields = {field.name: field.set_by for field in bank.context}

    assert fields == {"approved": SetBy.SYSTEM, "branch_km": SetBy.CHANNEL, "hour": SetBy.MOMENT}
    with pytest.raises(InvalidRequest, match=r"`context.approved` is for systems") as refused:
        complete_context(asked, bank.context, now, zone)
    assert refused.value.code == "context-not-settable"
    assert complete_context(replace(asked, trusted=True), bank.context, now, zone)["approved"] is True
    with pytest.raises(InvalidRequest, match=r"`context.hour` is derived by Moment"):
        complete_context(replace(asked, context={"hour": 3}, trusted=True), bank.context, now, zone)


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        (
            "  email: {outbound: true}",
            "  email: {outbound: false}",
            "night, quiet_hours: no channel is outbound; write channels: {email: {outbound: true}}",
        ),
        (
            "type: int64, meaning: Years",
            "type: float64, meaning: Years",
            "customer age, type: `age` is int64 in",
        ),
        ('from: "21:00"', 'from: "08:30"', "quiet_hours, to: is the same as from"),
        ('from: "21:00"', "from: 9pm", 'quiet_hours, from: must be a time of day in quotes, such as "21:00"'),
        (
            "salt: r1",
            "salt: ctrl-2026",
            "experiments: layer ranking has the salt of control; give it its own",
        ),
        ("salt: r1", "salt: ways", "experiments: layer ways has the salt of layer ranking"),
        (
            "warm: {share: 0.1,",
            "warm: {share: 0.1, levers: {actions: {rates: 2}},",
            "arm warm, levers: layer ranking changes levers as well",
        ),
        ("as-is: {share: 0.25}", "as-is: {share: 0.76}", "layer ranking: shares of its arms sum to 1.01"),
        ("as-is: {share: 0.25}", "as-is: 0.25", "arm as-is: must be a mapping of names to values"),
        ("temperature: 0.5", "warmth: 0.5", "base, temperature: is None; it is a number above 0"),
        (
            "temperature: 0.5",
            "temperature: 0",
            "exploration, base, temperature: is 0; it is a number above 0",
        ),
        (
            "exploration: {policy: epsilon_uniform, share: 0.1, base: {policy: softmax, temperature: 0.5}}",
            "exploration: softmax",
            "exploration: `softmax` needs its temperature; write {policy: softmax, temperature: …}",
        ),
        ("limit: 3", "limit: 3.5", "contact policy three-a-week, limit: must be a whole number, 1 or more"),
        (
            "outcome: signed}",
            "outcome: sigend}",
            "after, outcome: nothing is called `sigend`; did you mean `signed`?",
        ),
        (
            "credit: {rests: 1w}",
            "credit: {rests: 1y}",
            "exclusion credit, rests: must be a time span such as",
        ),
        (
            "volume: {per_day: 50}",
            "volume: {per_day: 0.5}",
            "volume, per_day: must be a whole number, 1 or more",
        ),
        (
            "  letters: {}",
            "  lonely: {}\n  letters: {}",
            "exclusion lonely: holds no action; name it under `exclusions` of two actions or more",
        ),
        (
            "exclusions: [letters, credit]}",
            "exclusions: [credit]}",
            "exclusion letters: holds only terms; name it under `exclusions` of two actions or more",
        ),
        ("volume: {per_day: 1000}", "volume: {total: 1000}", "a total cannot stop a mandatory message"),
        ("weight: 1.5", "weight: -1", "issue growth, context weight, weight: must be more than 0"),
        (
            "{when: context.branch_km < 2, weight: 1.5}",
            "[1.5]",
            "issue growth, context weight: must be a mapping",
        ),
        ("context.approved, weight", "context.aproved, weight", "did you mean `context.approved`?"),
        ("formula: value}", "formula: valeu}", "arm warm, formula: there is no column `valeu`; did you mean"),
        ("formula: value}", "formula: age > 3}", "arm warm, formula: "),
        ("per_channel: true", "per_channel: yes please", "five-a-day, per_channel: must be true or false"),
    ],
)
def test_a_mistake_is_named_where_it_is(old: str, new: str, fault: str, tmp_path: Path) -> None:
    assert old in WHOLE
    line = WHOLE[: WHOLE.index(old)].count("\n") + 1
    with pytest.raises(ConfigurationError) as caught:
        load(written(WHOLE.replace(old, new, 1), tmp_path), FEATURES)

    told = [str(found) for found in caught.value.faults]
    assert any(fault in one for one in told), told
    if not any(word in f"{old} {fault}" for word in ("salt", "outbound", "shares", "holds only")):
        assert any(one.startswith(f"shop.yaml:{line}:") for one in told), (line, told)
