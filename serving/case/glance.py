"""The checks and the funnel at the top of a case's page."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict

from serving.case.markup import Content, Html, join, tag
from serving.decision.explanation import funnel_text
from serving.records import RecordedOffer
from serving.use_cases.case import Case
from serving.use_cases.replay import ReplayVerdict


def glance(case: Case) -> Html:
    """Return the checks a risk officer makes first, each with its verdict in words."""
    return join([tag("ul", [_check(*one) for one in _checks(case)], class_="checks"), funnel(case)])


def _check(state: str, head: str, text: str) -> Html:
    mark = {"good": "✓ ", "warn": "! ", "bad": "✗ "}[state]
    return tag("li", tag("strong", mark, head), text, class_=state)


def _checks(case: Case) -> Iterator[tuple[str, str, str]]:
    record, told = case.recalled.record, case.recalled.record.personal
    yield _replay_check(case)
    yield from _rule_checks(case)
    yield from _limit_checks(case)
    if told is not None and told.purposes is None:
        yield "warn", "Consents could not be read", "So there was no marketing."
    elif told is not None and told.purposes is not None:
        given = ", ".join(told.purposes) or "nothing"
        out = " The customer wants nothing on this channel." if told.opted_out else ""
        masked = sum(feature.state == "masked" for feature in case.features)
        hidden = f" {masked} values without consent were hidden from rules and models." if masked else ""
        yield ("warn" if told.opted_out else "good"), "Consent", f"Given for {given}.{out}{hidden}"
    if record.degraded:
        yield "warn", "Decided without", f"{', '.join(record.degraded)}: gone or too slow at that moment."
    else:
        yield "good", "Nothing was missing", "Every store and model answered in time."
    if record.control or record.held_out or record.experiments:
        yield "warn", "Part of a comparison", _comparison(case)


def _rule_checks(case: Case) -> Iterator[tuple[str, str, str]]:
    rules = [rule for found in case.rules.values() for rule in found]
    failed = sum(rule.holds is not True for rule in rules)
    if case.recalled.record.personal is None:
        yield "warn", "Rules cannot be checked", "What they read of the customer is erased."
    elif failed and any(_forced(case)):
        yield "warn", "An offer was forced", f"By a test key, past {failed} rules that are not true."
    elif failed:
        yield "bad", "A rule did not hold", f"{failed} of {len(rules)} rules of what was shown are not true."
    elif rules:
        yield "good", "Rules held", f"Each of the {len(rules)} rules of what was shown is true."
    else:
        yield "good", "Rules held", "What was shown has no rules: everybody may see it."


def _limit_checks(case: Case) -> Iterator[tuple[str, str, str]]:
    told = case.recalled.record.personal
    passed = sorted({name for one in case.policies for name in one.passed if one.speaks})
    reached = sum(count.counted >= count.most for one in case.policies if one.speaks for count in one.counts)
    if told is None:
        yield "warn", "Limits cannot be checked", "What they looked back on is erased."
    elif told.contacts is None:
        yield "warn", "Limits could not be read", "The contact store was gone, so marketing rested."
    elif passed:
        yield "bad", "A limit was passed", f"{', '.join(passed)}: shown as often as allowed already."
    else:
        held = f"{len(case.policies)} contact policies were in force, {reached} of their counts at the bound."
        yield "good", "Limits held", f"{held} Nothing shown goes past one."


def _forced(case: Case) -> Iterator[RecordedOffer]:
    for placement in case.recalled.record.placements:
        yield from (offer for offer in placement.offers if offer.kind == "forced")


def _comparison(case: Case) -> str:
    record = case.recalled.record
    arms = [f"arm {one.arm} of {one.experiment}" for one in record.experiments]
    groups = [
        *(["the control group"] if record.control else []),
        *(["the holdout"] if record.held_out else []),
    ]
    return f"The customer was in {', '.join([*groups, *arms])}."


def _replay_check(case: Case) -> tuple[str, str, str]:
    match case.replayed.verdict:
        case ReplayVerdict.IDENTICAL:
            return (
                "good",
                "Replays identical",
                "Decided again from the record, it comes out the same, bit for bit.",
            )
        case ReplayVerdict.ERASED:
            return "warn", "Cannot be replayed", "What was known of the customer is erased."
        case ReplayVerdict.IMPOSSIBLE:
            return "bad", "Cannot be replayed", "What decided is gone; see “Decided again”."
        case _:
            count = len(case.replayed.differences)
            return "bad", "Replays differently", f"{count} differences are named under “Decided again”."


def funnel(case: Case) -> Html:
    """Return how many actions came how far, as a picture with its numbers in words below."""
    counts = asdict(case.explanation.funnel)
    widest = max(counts["considered"], 1)
    rows: list[Content] = []
    before = counts["considered"]
    for place, (stage, count) in enumerate(counts.items()):
        top = place * 26
        lost = f"-{before - count}" if count < before else ""
        rows.append(
            [
                tag("text", stage.replace("_", " "), x=0, y=top + 15),
                tag("rect", x=170, y=top + 3, width=380, height=16, rx=2, class_="track"),
                tag(
                    "rect",
                    x=170,
                    y=top + 3,
                    width=round(380 * count / widest, 1),
                    height=16,
                    rx=2,
                    class_="strong" if stage == "shown" else "part",
                ),
                tag("text", str(count), x=560, y=top + 15),
                tag("text", lost, x=600, y=top + 15, class_="lost"),
            ]
        )
        before = count
    words = funnel_text(case.explanation.funnel)
    drawing = tag(
        "svg", rows, viewBox="0 0 660 212", class_="funnel", role="img", aria_label=f"Funnel: {words}"
    )
    return tag("figure", drawing, tag("figcaption", f"Actions: {words}"))
