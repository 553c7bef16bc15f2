"""The facts and grains features are built on: baskets, stores, categories, offers, campaigns.

Each ``*_FACTS`` is computed once from the canonical tables; each grain reads what was known of them at a
time. Nothing in a row of facts may come from a row known later than it: what becomes known bit by bit is
several rows, of which flags and ``superseded_at`` say what counts when.
"""

from __future__ import annotations

from datetime import datetime

import ibis

from features.definition import KEYS, Facts, Grain, Table, Tables, Value

YEAR = 365
"""Days lists look back; it bounds their length."""

POSITIVE_OUTCOMES = ("accepted", "converted", "redeemed")
"""Kinds of outcome that answer a presentation positively."""

DEPARTMENTS = (
    "GROCERY",
    "DRUG GM",
    "PRODUCE",
    "MEAT-PCKGD",
    "MEAT",
    "DELI",
    "PASTRY",
    "NUTRITION",
    "FUEL",
    "SEAFOOD-PCKGD",
    "COSMETICS",
)
"""Departments with a share of spend of their own."""


def slug(department: str) -> str:
    """Return a department's name as a part of a column's name."""
    return department.lower().replace(" ", "_").replace("-", "_")


def _line_facts(tables: Tables) -> Table:
    """One row per customer, basket, department and category: what was bought, as it became known.

    ``first`` and ``first_coupon`` mark the row by which the category in that basket became known, and known
    as bought with a coupon.
    """
    lines = tables["transactions"]
    lines = lines.mutate(basket_id=ibis.coalesce(lines["basket_id"], lines["transaction_id"]))
    couponed = lines["coupon_discount"].fill_null(0) > 0
    discount = lines["discount"].fill_null(0)
    parts = lines.group_by(
        "customer_id", "basket_id", "department", "category", "location_id", "known_at"
    ).aggregate(
        occurred_at=lines["occurred_at"].min(),
        amount=lines["amount"].sum(),
        discount=discount.sum(),
        coupon_discount=lines["coupon_discount"].fill_null(0).sum(),
        lines=lines.count(),
        private_amount=lines["amount"].sum(where=lines["brand"] == "Private").fill_null(0),
        display_lines=lines.count(where=lines["on_display"]),
        mailer_lines=lines.count(where=lines["in_mailer"]),
        couponed=couponed.any(),
    )
    order = [parts["known_at"], parts["department"], parts["location_id"]]
    group = ["customer_id", "basket_id", "category"]
    coupon_order = [parts["couponed"].desc(), *order]
    return parts.mutate(
        first=ibis.row_number().over(group_by=group, order_by=order) == 0,
        first_coupon=parts["couponed"] & (ibis.row_number().over(group_by=group, order_by=coupon_order) == 0),
    )


_BASKET_SUMS = (
    "amount",
    "discount",
    "coupon_discount",
    "lines",
    "private_amount",
    "display_lines",
    "mailer_lines",
    *(f"amount_{slug(department)}" for department in DEPARTMENTS),
)


def _basket_facts(tables: Tables) -> Table:
    """One row per basket and time at which more of it became known, with everything known of it by then.

    ``superseded_at`` is when the next such row became known, so that at any time one row a basket holds.
    """
    parts = tables[LINE_FACTS.name]
    by_department = {
        f"amount_{slug(department)}": parts["amount"]
        .sum(where=parts["department"] == department)
        .fill_null(0)
        for department in DEPARTMENTS
    }
    news = parts.group_by("customer_id", "basket_id", "known_at").aggregate(
        occurred_at=parts["occurred_at"].min(),
        location_id=parts["location_id"].min(),
        **{name: parts[name].sum() for name in _BASKET_SUMS if name not in by_department},
        **by_department,
    )
    basket = {"group_by": ["customer_id", "basket_id"], "order_by": news["known_at"]}
    so_far = ibis.cumulative_window(**basket)
    versions = news.mutate(
        superseded_at=news["known_at"].lead().over(**basket),
        occurred_at=news["occurred_at"].min().over(so_far),
        location_id=news["location_id"].min().over(so_far),
        **{name: news[name].sum().over(so_far) for name in _BASKET_SUMS},
    )
    local = _local_time(versions, tables)
    return local.mutate(weekday=local["local_at"].day_of_week.index(), hour=local["local_at"].hour())


@ibis.udf.scalar.builtin(name="timezone")
def _moved(zone: str, at: datetime) -> datetime:
    """DuckDB's own: an instant's local time in a zone."""
    raise NotImplementedError  # pragma: no cover - only its signature is read


def _local_time(facts: Table, tables: Tables) -> Table:
    """Add ``local_at``: when it happened on the clock of the customer's zone as then known, else UTC's."""
    customers = tables["customers"]
    zones = customers.filter(customers["timezone"].notnull()).select("customer_id", "known_at", "timezone")
    zoned = facts.asof_join(zones, on="known_at", predicates="customer_id")
    zoned = zoned.drop("customer_id_right", "known_at_right")
    instant = zoned["occurred_at"].cast("timestamp('UTC')")
    local = _moved(zoned["timezone"].fill_null("UTC"), instant).cast("timestamp")
    return zoned.mutate(local_at=local).drop("timezone")


def _baskets(facts: Table) -> Table:
    """One row per basket."""
    return facts.filter(facts["superseded_at"].isnull() | (facts["superseded_at"] > facts["at"]))


def _intervals(facts: Table) -> Table:
    """One row per basket but the first of the last year: ``gap``, the days since the one before."""
    baskets = _baskets(facts)
    baskets = baskets.filter(baskets["age"] < YEAR).select(*KEYS, "basket_id", "occurred_at", "age")
    before = (
        baskets["age"]
        .lag()
        .over(group_by=list(KEYS), order_by=[baskets["occurred_at"], baskets["basket_id"]])
    )
    return baskets.mutate(gap=before - baskets["age"])


def _stores(facts: Table) -> Table:
    """One row per store: baskets there in the last year."""
    baskets = _baskets(facts)
    recent = baskets.filter((baskets["age"] < YEAR) & baskets["location_id"].notnull())
    return recent.group_by(*KEYS, "location_id").aggregate(baskets=recent.count())


def _departments(facts: Table) -> Table:
    """One row per department bought from in the last year."""
    recent = facts.filter((facts["age"] < YEAR) & facts["department"].notnull())
    return recent.group_by(*KEYS, "department").aggregate(spend_365d=recent["amount"].sum().round(2))


def _categories(facts: Table) -> Table:
    """One row per category bought in the last year."""
    recent = facts.filter((facts["age"] < YEAR) & facts["category"].notnull())
    return recent.group_by(*KEYS, "category").aggregate(
        baskets_90d=_count(recent["first"] & (recent["age"] < 90)),
        baskets_365d=_count(recent["first"]),
        coupon_baskets_365d=_count(recent["first_coupon"]),
        spend_365d=recent["amount"].sum().round(2),
        days_since=recent["age"].min().floor(),
    )


def _count(condition: Value) -> Value:
    return condition.cast("int64").sum().fill_null(0)


def _offer_facts(tables: Tables) -> Table:
    """One row per presentation, with when its first positive answer became known.

    Where exposure is imputed, ``shown`` is the expected number of times it was shown: offers sent together
    over the offers that may have been among them.
    """
    presentations, outcomes = tables["presentations"], tables["outcomes"]
    positive = outcomes.filter(outcomes["kind"].isin(POSITIVE_OUTCOMES))
    answers = positive.group_by("presentation_id").aggregate(
        answer_known_at=positive["known_at"].min(),
        answer_at=positive["occurred_at"].first(order_by=[positive["known_at"], positive["occurred_at"]]),
    )
    offers = presentations.left_join(answers, "presentation_id").drop("presentation_id_right")
    pool = offers.count().over(group_by=["customer_id", "campaign_id", "known_at"])
    expected = (offers["offers_together"] / pool).clip(upper=1)
    return offers.mutate(
        shown=ibis.ifelse(offers["exposure"] == "imputed", expected, 1.0).fill_null(1.0),
        action_group=offers["action_group"].fill_null("other"),
    ).select(
        "customer_id",
        "action_id",
        "action_group",
        "campaign_id",
        "occurred_at",
        "known_at",
        "shown",
        "answer_known_at",
        "answer_at",
    )


def _with_answers(facts: Table) -> Table:
    """Let an answer count only from when it was known; ``answer_age`` in days, null where there is none."""
    answered = facts["answer_known_at"] <= facts["at"]
    seconds = facts["at"].epoch_seconds() - facts["answer_at"].epoch_seconds()
    return facts.mutate(
        answered=answered.fill_null(False),
        answer_age=ibis.ifelse(answered, seconds / 86_400, ibis.null("float64")),
    )


def _offers(facts: Table) -> Table:
    """One row per action ever presented to the customer."""
    offers = _with_answers(facts)
    return offers.group_by(*KEYS, "action_id").aggregate(
        presented=offers["shown"].sum(), answered=_count(offers["answered"])
    )


def _groups(facts: Table) -> Table:
    """One row per group of actions ever presented to the customer."""
    return _presented(_with_answers(facts), "action_group")


def _campaigns(facts: Table) -> Table:
    """One row per campaign the customer was in."""
    offers = _with_answers(facts)
    return _presented(offers.filter(offers["campaign_id"].notnull()), "campaign_id")


def _presented(offers: Table, key: str) -> Table:
    return offers.group_by(*KEYS, key).aggregate(
        presented=offers["shown"].sum(),
        presented_90d=offers["shown"].sum(where=offers["age"] < 90).fill_null(0),
        answered=_count(offers["answered"]),
        answered_90d=_count(offers["answered"] & (offers["answer_age"] < 90)),
        age=offers["age"].min(),
        answer_age=offers["answer_age"].min(),
    )


def _redemption_facts(tables: Tables) -> Table:
    """One row per positive outcome: one presentation may be answered several times."""
    presentations, outcomes = tables["presentations"], tables["outcomes"]
    positive = outcomes.filter(outcomes["kind"].isin(POSITIVE_OUTCOMES))
    shown = presentations.select("presentation_id", "customer_id", shown_known_at=presentations["known_at"])
    joined = positive.inner_join(shown, "presentation_id")
    return joined.select(
        "customer_id",
        "occurred_at",
        known_at=ibis.greatest(joined["known_at"], joined["shown_known_at"]),
    )


def _customer_facts(tables: Tables) -> Table:
    customers = tables["customers"]
    return customers.mutate(occurred_at=customers["known_at"])


def _itself(facts: Table) -> Table:
    return facts


LINE_FACTS = Facts("line_facts", _line_facts)
BASKET_FACTS = Facts("basket_facts", _basket_facts, after=(LINE_FACTS,))
OFFER_FACTS = Facts("offer_facts", _offer_facts)
REDEMPTION_FACTS = Facts("redemption_facts", _redemption_facts)
CUSTOMER_FACTS = Facts("customer_facts", _customer_facts)

BASKETS = Grain("baskets", BASKET_FACTS, _baskets)
INTERVALS = Grain("intervals", BASKET_FACTS, _intervals)
STORES = Grain("stores", BASKET_FACTS, _stores)
CATEGORIES = Grain("categories", LINE_FACTS, _categories)
DEPARTMENT_ROWS = Grain("departments", LINE_FACTS, _departments)
OFFERS = Grain("offers", OFFER_FACTS, _offers)
GROUPS = Grain("groups", OFFER_FACTS, _groups)
CAMPAIGNS = Grain("campaigns", OFFER_FACTS, _campaigns)
REDEMPTIONS = Grain("redemptions", REDEMPTION_FACTS, _itself)
CUSTOMERS = Grain("customers", CUSTOMER_FACTS, _itself)
"""Versions of the customer's row, each known from its ``known_at`` on; the newest counts."""


def presence(tables: Tables) -> Table:
    """Return every customer of customers, transactions and presentations, with the first ``known_at``."""
    named = [
        tables[name].select("customer_id", "known_at")
        for name in ("customers", "transactions", "presentations")
    ]
    together = ibis.union(*named)
    return together.group_by("customer_id").aggregate(known_at=together["known_at"].min())
