"""A case and its page: everything is told, nothing of it runs, and an erased person stays erased."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from html.parser import HTMLParser
from itertools import pairwise

import msgspec
import pytest

from serving.adapters.memory_models import MemoryModels
from serving.adapters.memory_outcomes import MemoryOutcomes
from serving.case.page import page
from serving.ports import OutcomeReport, Reporter
from serving.records import DecisionRecord, Mode, dump, load
from serving.use_cases.access import Caller
from serving.use_cases.case import Case, OpenCase
from serving.use_cases.replay import Replay
from tests.service.kit import CONTRACT, Shop, ask, caller

CANARY = '<script>alert("canary")</script>'
LIMITS = """
channels: {app: {outbound: true}}
contact_policies:
  twice: {limit: 2, window: 7d}
  no: {suppress: 9d, after: {outcome: rejected}}
  night: {quiet_hours: {from: "22:00", to: "07:00"}, channels: [app]}
"""
_VOID = frozenset({"meta", "br"})
_LOADING = frozenset({"script", "img", "link", "iframe", "object", "embed", "video", "audio", "form", "base"})


class Page(HTMLParser):
    """A page taken apart: its elements, its headings, its text; and whether all that opens closes."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self.feed(content)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in _VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append((self.open[-1] if self.open else "", data))

    def of(self, *tags: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.elements if tag in tags]

    def words(self, *tags: str) -> list[str]:
        return [data for tag, data in self.texts if tag in tags]

    @property
    def text(self) -> str:
        return " ".join(data for tag, data in self.texts if tag != "style")


def opened(shop: Shop, record: DecisionRecord, outcomes: MemoryOutcomes | None = None) -> Case:
    models = MemoryModels((shop.scorer,), (shop.live.now.champion.segmenter,), CONTRACT)
    reported = outcomes or MemoryOutcomes(shop.contacts, shop.records.find)
    replay = Replay(shop.recall, models, "test")
    return OpenCase(replay, models, reported, shop.memory_keys, shop.clock)(load(dump(record)))


def told(shop: Shop, record: DecisionRecord) -> Page:
    return Page(page(opened(shop, record)))


@pytest.fixture(scope="module")
def visited() -> tuple[Shop, DecisionRecord, Page]:
    """A third visit of a customer whom the limits know already, on a page."""
    shop = Shop(more=LIMITS)
    secret = shop.key()
    key = shop.memory_keys.all()[0]
    asker = Caller(key.key_id, key.mode, key.scopes)
    for _ in range(2):
        record = shop.decide(asker, ask(context={"weather": "rain"}))
        shop.clock.at += timedelta(minutes=1)
    outcomes = MemoryOutcomes(shop.contacts, shop.records.find)
    third = shop.decide(asker, ask(context={"weather": "rain"}))
    offer = third.placements[0].offers[0]
    reports = [
        OutcomeReport(
            offer.tracking_id, third.decision_id, "presented", "e1", shop.clock(), shop.clock(), 2.5
        )
    ]
    outcomes.append(reports, by=Reporter(key.key_id, key.mode, None), received_at=shop.clock()).result()
    content = page(opened(shop, third, outcomes))
    assert secret not in content
    assert record.decision_id != third.decision_id
    return shop, third, Page(content)


def test_every_part_of_a_complaint_is_on_the_page(visited: tuple[Shop, DecisionRecord, Page]) -> None:
    _, record, parsed = visited

    assert parsed.words("h1") == [f"Decision {record.decision_id}"]
    assert parsed.words("h2") == [
        "At a glance",
        "What was shown, and why",
        "What competed",
        "Why not the others",
        "Limits and rests then in force",
        "What was known of the customer",
        "What became of it",
        "Decided again",
        "Who asked, and chance",
        "What decided",
    ]
    text = parsed.text
    for offer in record.placements[0].offers:
        assert offer.treatment in text
        assert offer.tracking_id in text
    for words in record.personal.content if record.personal else ():
        assert set(words.values()) <= set(parsed.words("dd"))
    for digest in (record.versions.catalogue, record.versions.contract, record.versions.code):
        assert digest in text
    assert record.key_id in text
    assert str(record.seed) in text
    assert "identical" in parsed.words("span")
    assert "none: nobody had approved it" in text


def test_rules_limits_and_features_come_with_what_was_observed(
    visited: tuple[Shop, DecisionRecord, Page],
) -> None:
    _, record, parsed = visited
    text = parsed.text

    assert "context.weather = 'rain'" in parsed.words("code")
    assert " = rain" in text
    assert "At most 2 presentations in 7 days of each action. Holds for everything." in text
    assert "coupon-ham: 2 of 2" in text
    assert (
        "Nothing from 22:00 to 07:00, the customer's time. Holds for channels app. (not on this channel)"
        in text
    )
    assert "1 day" in text  # the age of the features
    assert "profiling (given)" in text
    assert "The customer's spend" in text
    assert "presented" in parsed.words("th")
    assert "2.5" in text
    assert record.personal is not None
    assert len(record.personal.contacts or ()) == 4
    assert "Earlier contacts they looked back on" in parsed.words("caption")


def test_every_candidate_that_was_not_shown_is_under_its_stage(
    visited: tuple[Shop, DecisionRecord, Page],
) -> None:
    shop, record, parsed = visited
    recalled = shop.recall(caller(Mode.TEST), record.decision_id)
    rest = [one for one in recalled.considered() if one.stage != "shown"]
    stages = {one.stage.replace("_", " ").capitalize() for one in rest}

    summaries = parsed.words("summary")
    assert rest
    assert {summary.partition(":")[0] for summary in summaries} == stages
    assert sum(int(summary.partition(": ")[2].split()[0]) for summary in summaries) == len(rest)
    assert all("open" in attributes for attributes in parsed.of("details"))  # so that it prints


def test_the_page_is_whole_by_itself_and_runs_nothing(visited: tuple[Shop, DecisionRecord, Page]) -> None:
    _, _, parsed = visited

    assert not parsed.open
    assert not parsed.of(*_LOADING)
    for attributes in (attributes for _, attributes in parsed.elements):
        assert not any(name.startswith("on") or name in {"src", "srcset", "style"} for name in attributes)
        assert (attributes.get("href") or "#").startswith("#")
    policies = [one["content"] or "" for one in parsed.of("meta") if "http-equiv" in one]
    assert policies == ["default-src 'none'; style-src 'unsafe-inline'"]
    style = "".join(parsed.words("style"))
    assert "url(" not in style
    assert "@import" not in style
    assert "prefers-color-scheme: dark" in style
    assert "@media print" in style


def test_the_page_can_be_read_aloud(visited: tuple[Shop, DecisionRecord, Page]) -> None:
    _, _, parsed = visited

    assert parsed.of("html")[0]["lang"] == "en"
    assert parsed.words("title")
    levels = [int(tag[1]) for tag, _ in parsed.elements if tag in {"h1", "h2", "h3", "h4"}]
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert len(parsed.of("caption")) == len(parsed.of("table"))
    assert all(attributes["scope"] in {"col", "row"} for attributes in parsed.of("th"))
    assert all(
        attributes.get("aria-hidden") == "true" or attributes.get("aria-label")
        for attributes in parsed.of("svg")
    )
    targets = {attributes["id"] for _, attributes in parsed.elements if "id" in attributes}
    assert {(attributes["href"] or "")[1:] for attributes in parsed.of("a")} == targets


def everywhere(record: DecisionRecord) -> Iterator[DecisionRecord]:
    """Yield the record with the canary in each place a customer or a channel fills."""
    person = record.personal
    assert person is not None
    for changed in (
        {"customer_id": CANARY},
        {"content": [{"title": CANARY, CANARY: "x"} for _ in person.content]},
        {"features": person.features | {"size": CANARY}},
        {"context": person.context | {"weather": CANARY}},
        {"timezone": CANARY},
        {"language": CANARY},
    ):
        yield msgspec.structs.replace(record, personal=msgspec.structs.replace(person, **changed))
    yield msgspec.structs.replace(record, request_id=CANARY)
    yield msgspec.structs.replace(record, segment=CANARY)
    yield msgspec.structs.replace(record, key_id=CANARY)
    yield msgspec.structs.replace(record, degraded=(CANARY,))


def test_what_looks_like_a_script_stays_text_wherever_it_comes_from() -> None:
    shop = Shop()
    record = shop.decide(caller(), ask(context={"weather": "rain"}))

    for spoiled in everywhere(record):
        parsed = told(shop, spoiled)
        assert not parsed.of("script")
        assert CANARY in parsed.text


def test_what_a_catalogue_says_stays_text() -> None:
    shop = Shop(change=("label: Tea & cake", f"label: '{CANARY}'"))
    record = shop.decide(caller(), ask())

    parsed = told(shop, record)

    assert not parsed.of("script")
    assert CANARY in parsed.text


def test_what_was_erased_is_not_on_the_page() -> None:
    shop = Shop(more=LIMITS)
    record = msgspec.structs.replace(shop.decide(caller(), ask()), personal=None, request_id=None)

    parsed = told(shop, record)

    assert "erased" in parsed.words("span")
    assert "What it said is erased." in parsed.text
    assert "anna" not in parsed.text
    assert "large" not in parsed.text
    assert record.placements[0].offers[0].action in parsed.text


def test_a_difference_is_told_with_its_name() -> None:
    shop = Shop()
    record = msgspec.structs.replace(shop.decide(caller(), ask()), seed=7)

    parsed = told(shop, record)

    assert "different" in parsed.words("span")
    assert "seed" in parsed.words("th")


def test_missing_stores_groups_and_forced_words_are_warned_of() -> None:
    shop = Shop(more="\ncontrol: {share: 1.0, salt: c}\n")
    record = shop.decide(caller(Mode.LIVE), ask())
    person = record.personal
    assert person is not None
    gone = msgspec.structs.replace(person, contacts=None, outcomes=None, purposes=None)

    parsed = told(shop, msgspec.structs.replace(record, personal=gone, degraded=("consents", "contacts")))

    heads = " ".join(parsed.words("strong"))
    for warned in ("Limits could not be read", "Consents could not be read", "Decided without", "comparison"):
        assert warned in heads
    assert "the control group" in parsed.text


def test_a_limit_that_was_passed_would_be_told() -> None:
    shop = Shop(more=LIMITS)
    for _ in range(3):
        record = shop.decide(caller(), ask(context={"weather": "rain"}))
    first = shop.records.find("decision-1")
    assert first is not None
    assert first.personal is not None
    assert record.personal is not None
    before = msgspec.structs.replace(first.personal, contacts=record.personal.contacts)

    case = opened(shop, msgspec.structs.replace(first, personal=before))

    assert {name for one in case.policies for name in one.passed} == {
        offer.action for offer in first.placements[0].offers
    }
    assert "A limit was passed" in " ".join(Page(page(case)).words("strong"))
    honest = opened(shop, record)
    assert not any(one.passed for one in honest.policies)
