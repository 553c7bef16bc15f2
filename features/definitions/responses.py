"""What a customer was presented with before, and what came of it.

Where exposure is imputed (the campaign is known, what was shown is not), a presentation counts as the
expected number of times it was shown, so that these numbers describe what a customer saw, not what was
possible.
"""

from __future__ import annotations

from functools import partial

from features.contract import DType, Purpose
from features.definition import Feature, Table, Value, View
from features.definitions.shared import listed, number, ratio
from features.grains import CAMPAIGNS, GROUPS, OFFERS, REDEMPTIONS, slug

INT, FLOAT = DType.INT64, DType.FLOAT64
NAMES, NUMBERS = DType.STRING_LIST, DType.FLOAT_LIST

TOP_GROUPS = ("GROCERY", "DRUG GM", "PRODUCE", "MEAT")
"""Groups of actions with features of their own."""


def _total(rows: Table, column: str) -> Value:
    return rows[column].sum().fill_null(0)


def _of_group(rows: Table, column: str, group: str) -> Value:
    return rows[column].sum(where=rows["action_group"] == group).fill_null(0)


def _answer_rate(rows: Table) -> Value:
    return ratio(rows["answered"].sum(), rows["presented"].sum())


def _days(rows: Table, column: str) -> Value:
    return rows[column].min().floor()


_offers = partial(Feature, grain=GROUPS)


def _action_list(name: str, dtype: DType, unit: str, meaning: str, *, column: str) -> Feature:
    return Feature(name, dtype, unit, meaning, partial(listed, key="action_id", column=column), OFFERS)


def _group_list(name: str, dtype: DType, unit: str, meaning: str, *, column: str) -> Feature:
    return Feature(name, dtype, unit, meaning, partial(listed, key="action_group", column=column), GROUPS)


def _group_counts(group: str) -> tuple[Feature, ...]:
    name = slug(group)
    return (
        Feature(
            f"{name}_presented_total",
            FLOAT,
            "presentations",
            f"Actions of {group.title()} presented so far, expected number",
            grain=GROUPS,
            value=partial(_of_group, column="presented", group=group),
            empty=0,
        ),
        Feature(
            f"{name}_answered_total",
            INT,
            "answers",
            f"Actions of {group.title()} answered so far",
            grain=GROUPS,
            value=partial(_of_group, column="answered", group=group),
            empty=0,
        ),
    )


VIEW = View(
    name="responses",
    meaning="What a customer was presented with before, and what came of it",
    owner="customer-insight",
    purpose=Purpose.MARKETING,
    features=(
        _offers(
            "presented_total",
            FLOAT,
            "presentations",
            "Actions presented so far, expected number",
            partial(_total, column="presented"),
            empty=0,
        ),
        _offers(
            "presented_90d",
            FLOAT,
            "presentations",
            "Actions presented in the last 90 days, expected number",
            partial(_total, column="presented_90d"),
            empty=0,
        ),
        _offers(
            "answered_total",
            INT,
            "answers",
            "Presentations answered so far",
            partial(_total, column="answered"),
            empty=0,
        ),
        _offers(
            "answered_90d",
            INT,
            "answers",
            "Presentations answered in the last 90 days",
            partial(_total, column="answered_90d"),
            empty=0,
        ),
        _offers("answer_rate", FLOAT, "share", "Answers relative to presentations so far", _answer_rate),
        _offers(
            "days_since_presented",
            INT,
            "days",
            "Whole days since the newest presentation",
            partial(_days, column="age"),
        ),
        _offers(
            "days_since_answer",
            INT,
            "days",
            "Whole days since the newest answer",
            partial(_days, column="answer_age"),
        ),
        Feature(
            "redemptions_365d",
            INT,
            "answers",
            "Positive outcomes of the last year; one presentation may bring several",
            grain=REDEMPTIONS,
            value=partial(number, days=365),
            empty=0,
        ),
        Feature(
            "campaigns_total",
            INT,
            "campaigns",
            "Campaigns received so far",
            grain=CAMPAIGNS,
            value=lambda rows: rows.count(),
            empty=0,
        ),
        Feature(
            "campaigns_90d",
            INT,
            "campaigns",
            "Campaigns received in the last 90 days",
            grain=CAMPAIGNS,
            value=partial(number, days=90),
            empty=0,
        ),
        Feature(
            "campaigns_answered_total",
            INT,
            "campaigns",
            "Campaigns answered at least once so far",
            grain=CAMPAIGNS,
            value=lambda rows: rows.count(where=rows["answered"] > 0),
            empty=0,
        ),
        Feature(
            "campaign_answer_rate",
            FLOAT,
            "share",
            "Share of campaigns answered at least once",
            grain=CAMPAIGNS,
            value=lambda rows: ratio(rows.count(where=rows["answered"] > 0), rows.count()),
        ),
        *(feature for group in TOP_GROUPS for feature in _group_counts(group)),
        _action_list("action_names", NAMES, "action", "Actions ever presented, by name", column="action_id"),
        _action_list(
            "action_presented",
            NUMBERS,
            "presentations",
            "How often each was presented, expected number",
            column="presented",
        ),
        _action_list("action_answered", NUMBERS, "answers", "How often each was answered", column="answered"),
        _group_list(
            "group_names",
            NAMES,
            "group",
            "Groups of the actions ever presented, by name",
            column="action_group",
        ),
        _group_list(
            "group_presented",
            NUMBERS,
            "presentations",
            "How often actions of each were presented, expected number",
            column="presented",
        ),
        _group_list(
            "group_answered", NUMBERS, "answers", "How often actions of each were answered", column="answered"
        ),
    ),
)
