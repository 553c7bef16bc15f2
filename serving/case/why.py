"""The parts of a case's page that tell what was shown, and why not the rest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from serving.case.markup import Content, Html, bar, facts, join, table, tag
from serving.case.words import age_of, checked, instant, number, policy_words, value_of, verdict_word
from serving.decision.contact import Limit
from serving.decision.explanation import ExplainedCandidate
from serving.decision.values import Stage
from serving.records import RecordedOffer, RecordedPlacement
from serving.use_cases.case import Case, RuleInForce

_COMPETITORS = 12
"""How many of what competed are drawn beside one another."""

_STAGES = {
    Stage.AVAILABILITY: "Not available: dates, channel, placement, language, or all given away",
    Stage.ELIGIBLE: "Not eligible: may we? A rule or missing consent",
    Stage.APPLICABLE: "Not applicable: does it make sense now?",
    Stage.SUITABLE: "Not suitable: is it good for them?",
    Stage.CONTACT_POLICY: "Resting: limits, suppressions, quiet hours, holdout",
    Stage.PROPENSITY: "Not scored, or too unlikely to be wanted",
    Stage.ARBITRATION: "Others came first",
}


def shown(case: Case) -> Html:
    """Return each placement with its offers: what they said, their numbers, their rules."""
    record = case.recalled.record
    content = iter(record.personal.content if record.personal else ())
    parts: list[Content] = []
    for placement in record.placements:
        parts.append(tag("h3", f"{placement.name}: {len(placement.offers)} of {placement.slots} slots"))
        if placement.reason != "filled":
            parts.append(tag("p", f"Not filled by competition: {placement.reason.replace('_', ' ')}."))
        for offer in placement.offers:
            words = next(content, None) if record.personal else None
            parts.append(_offer(case, placement, offer, words))
    return join(parts)


def _offer(
    case: Case, placement: RecordedPlacement, offer: RecordedOffer, words: Mapping[str, str] | None
) -> Html:
    action = case.recalled.catalogue.action(offer.action)
    told = _told(case, placement.name, offer.treatment)
    said = (
        tag("p", "What it said is erased.", class_="none")
        if words is None
        else tag("div", facts(words.items()), class_="words")
    )
    rules = case.rules.get(offer.action, ())
    return tag(
        "article",
        tag("h4", f"{offer.rank}. {action.label} ", tag("code", offer.action)),
        said,
        tag("p", _why(offer, told)),
        facts(
            [
                ("Treatment", tag("code", offer.treatment)),
                ("In the catalogue under", f"{action.issue} > {action.group}"),
                ("Came to be", offer.kind.value),
                ("Chance of this pick (π)", number(offer.action_probability)),
                ("To be shown until", instant(offer.expires_at)),
                ("Counts as a contact until reported, at most to", instant(offer.reserved_until)),
                ("Its id in reports", tag("code", offer.tracking_id)),
            ]
        ),
        table(
            "Its rules then in force, and what they read",
            ("Question", "Written at", "Rule", "Read", "Verdict"),
            [_rule_row(rule) for rule in rules],
        ),
        class_="offer",
    )


def _told(case: Case, placement: str, treatment: str) -> ExplainedCandidate | None:
    return next(
        (
            one
            for one in case.explanation.candidates
            if (one.placement, one.treatment_id) == (placement, treatment)
        ),
        None,
    )


def _why(offer: RecordedOffer, told: ExplainedCandidate | None) -> str:
    if offer.kind == "fallback":
        return "Why: nothing that competes was left for this slot, so the placement's fallback filled it."
    ranked = None if told is None else told.ranking
    if ranked is None or offer.priority is None:
        return f"Why: {'it was picked' if told is None else told.text.partition(': ')[2]}."
    place = f"rank {ranked.rank} of {ranked.of} by priority" if ranked.rank is not None else "a priority"
    chance = "" if offer.action_probability == 1 else ", and chance had a part in the pick"
    words = told.text.partition(": ")[2] if told is not None else ""
    return f"Why: it passed every rule and limit and had {place}{chance}: {words}."


def _rule_row(rule: RuleInForce) -> Sequence[Content]:
    read = [tag("div", tag("code", name), f" = {value_of(value)}") for name, value in rule.observed.items()]
    return (rule.tier, rule.level, tag("code", rule.text), read or "nothing", checked(rule.holds))


def ranking(case: Case) -> Html:
    """Return what competed in each placement, by priority and its factors, the first of them."""
    currency = case.recalled.catalogue.currency
    parts = []
    for placement in case.recalled.record.asked:
        ranked = [
            one
            for one in case.explanation.candidates
            if one.placement == placement.name and one.ranking is not None and one.ranking.rank is not None
        ]
        ranked.sort(key=lambda one: one.ranking.rank or 0 if one.ranking else 0)
        most = _Most(
            max((one.ranking.priority for one in ranked if one.ranking), default=0.0),
            max((one.ranking.propensity for one in ranked if one.ranking), default=0.0),
        )
        rows = [_competitor(one, most) for one in ranked[:_COMPETITORS]]
        more = f"; the first {_COMPETITORS} of {len(ranked)}" if len(ranked) > _COMPETITORS else ""
        heads = (
            "Action",
            "Rank",
            "Propensity",
            f"Value ({currency})",
            "Weight",
            "Lever",
            "Priority",
            "Result",
        )
        parts.append(table(f"In {placement.name}, by priority{more}", heads, rows))
    formula = case.recalled.considered().policy.formula
    how = "propensity * value * context_weight * lever" if formula is None else formula.text
    return join([tag("p", "Priority here is ", tag("code", how), "."), parts])


@dataclass(frozen=True, slots=True)
class _Most:
    """What bars are drawn against."""

    priority: float
    propensity: float


def _share(value: float, most: float) -> float:
    return value / most if most else 0.0


def _competitor(one: ExplainedCandidate, most: _Most) -> Sequence[Content]:
    ranked = one.ranking
    if ranked is None:
        return (one.action_id,)
    won = one.stage is Stage.SHOWN
    return (
        tag("code", one.treatment_id),
        str(ranked.rank),
        [f"{ranked.propensity:.2%}", bar(_share(ranked.propensity, most.propensity), strong=won)],
        number(ranked.value),
        number(ranked.context_weight),
        number(ranked.lever),
        [number(ranked.priority), bar(_share(ranked.priority, most.priority), strong=won)],
        verdict_word("shown", "good") if won else one.reason.name.lower().replace("_", " "),
    )


def not_shown(case: Case) -> Html:
    """Return every other candidate by stage, the furthest first, each with what stopped it."""
    rest = [one for one in case.explanation.candidates if one.stage is not Stage.SHOWN]
    if not rest:
        return tag("p", "Everything that was considered was shown.", class_="none")
    parts = [
        tag(
            "p",
            "Every candidate is listed once for each placement, under the first thing that stopped it. What "
            "came furthest comes first.",
        )
    ]
    for stage, group in groupby(rest, key=lambda one: one.stage):
        stopped = list(group)
        rows = [
            (
                tag("code", one.treatment_id),
                one.placement,
                one.text.removeprefix(f"{one.stage}: "),
                list(_observed(one)),
            )
            for one in stopped
        ]
        counted = "1 candidate" if len(stopped) == 1 else f"{len(stopped)} candidates"
        listing = table(
            _STAGES[stage], ("Candidate", "Placement", "Why not", "Observed, and what it takes"), rows
        )
        heading = f"{stage.replace('_', ' ').capitalize()}: {counted}"
        parts.append(tag("details", tag("summary", heading), listing, open=True))
    return join(parts)


def _observed(one: ExplainedCandidate) -> Iterator[Html]:
    """Yield what was observed beside what it would have to be."""
    if one.rule is not None:
        for failed in one.rule.failed:
            threshold = failed.threshold
            takes = (
                ", ".join(map(value_of, threshold)) if isinstance(threshold, tuple) else value_of(threshold)
            )
            names, seen = ", ".join(failed.columns), value_of(failed.observed)
            yield tag("div", tag("code", names), f": {seen}; takes {failed.operator} {takes}")
    if one.policy is not None and one.policy.observed is not None:
        policy = one.policy
        seconds = policy.unit == "seconds left"
        seen = age_of(policy.observed) + " left" if seconds else f"{policy.observed:g} {policy.unit}"
        bound = (
            ""
            if policy.bound is None
            else f"; bound {age_of(policy.bound) if seconds else f'{policy.bound:g}'}"
        )
        yield tag("div", f"{policy.kind} {policy.name}: {seen}{bound}")
    if one.ranking is not None and one.ranking.rank is not None:
        yield tag("div", f"rank {one.ranking.rank} of {one.ranking.of}")


def rules_in_force(case: Case) -> Html:
    """Return every contact policy with what it had counted, and the contacts it looked back on."""
    told = case.recalled.record.personal
    rows = []
    for one in case.policies:
        counts = [
            tag("div", f"{count.unit}: {count.counted} of {count.most}", _full(count.counted, count.most))
            for count in one.counts
        ]
        nothing = "nothing yet" if isinstance(one.policy, Limit) else "see what rests"
        names = ", ".join(one.stopped) or "nothing"
        where = (
            policy_words(one.policy) if one.speaks else f"{policy_words(one.policy)} (not on this channel)"
        )
        rows.append((one.policy.name, where, counts or nothing, names))
    parts: list[Content] = [
        table("Contact policies", ("Policy", "It says", "It had counted before", "It stopped"), rows)
    ]
    if told is None:
        parts.append(tag("p", "What they looked back on is erased.", class_="none"))
    elif told.contacts is None or told.outcomes is None:
        parts.append(tag("p", "The contact store was gone: nothing could be looked back on."))
    else:
        contacts = [
            (
                instant(one.decided_at),
                tag("code", one.action_id),
                one.channel,
                instant(one.presented_at) if one.presented_at else "not reported shown",
                instant(one.reserved_until),
                "mandatory: counts to no limit" if one.mandatory else "",
            )
            for one in told.contacts
        ]
        heads = ("Decided", "Action", "Channel", "Shown", "Reserved until", "")
        parts.append(table("Earlier contacts they looked back on", heads, contacts))
        answers = [
            (instant(one.at), one.kind, tag("code", one.action_id), one.channel) for one in told.outcomes
        ]
        parts.append(
            table("Earlier answers they looked back on", ("At", "Answer", "Action", "Channel"), answers)
        )
    parts.append(_used(case))
    return join(parts)


def _used(case: Case) -> Html:
    rows = [
        (
            tag("code", name),
            number(one.budget_today),
            number(one.budget_total),
            str(one.volume_today),
            str(one.volume_total),
        )
        for name, one in case.recalled.record.used.items()
    ]
    heads = ("Action", "Budget today", "Budget in all", "Offers today", "Offers in all")
    return table("Budgets and volumes used by all customers", heads, rows)


def _full(counted: int, most: int) -> Html | None:
    return verdict_word(" at its bound", "warn") if counted >= most else None
