from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.sources.known_at import KnownAfter, KnownAtIngest, KnownFromColumn, parse_known_at


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("known_at", KnownFromColumn()),
        (" ingest ", KnownAtIngest()),
        ("occurred_at", KnownAfter(timedelta())),
        ("occurred_at + 1 day", KnownAfter(timedelta(days=1))),
        ("linked_at+90 minutes", KnownAfter(timedelta(minutes=90), "linked_at")),
    ],
)
def test_a_rule_is_read_from_words(text: str, rule: object) -> None:
    assert parse_known_at(text) == rule


@pytest.mark.parametrize("text", ["", "occurred_at - 1 day", "occurred_at + 1 fortnight", "1 day", "+ 1 day"])
def test_other_words_are_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no rule; write known_at, ingest or occurred_at \+ 1 day"):
        parse_known_at(text)


@given(st.integers(min_value=0, max_value=100_000))
def test_a_rule_in_words_reads_back_as_itself(minutes: int) -> None:
    rule = KnownAfter(timedelta(minutes=minutes))
    assert parse_known_at(str(rule)) == rule
