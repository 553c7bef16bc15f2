"""A recorded decision in words, for a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from rich.console import Console, Group, RenderableType
from rich.markup import escape

from serving.decision.decision import OfferKind
from serving.decision.explanation import ExplainedCandidate, Explanation, Ranking, funnel_text
from serving.decision.values import ProfileKind, Stage
from serving.records import DecisionRecord, RecordedOffer
from serving.use_cases.recall import Recalled

_WHYS = 5
"""How many different reasons of a stage are told unless all are wanted."""
_NAMES = 6
"""How many actions that share a reason are named unless all are wanted."""


def tell(
    recalled: Recalled, explanation: Explanation, *, as_of: str, explain: bool, everything: bool
) -> None:
    """Print what was decided and why.

    With ``explain``, why not for the other candidates too: by stage, the furthest first; with ``everything``,
    for every one of them.
    """
    record = recalled.record
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"[bold]As of {as_of}[/bold]")
    for line in _who(record):
        console.print(line)
    content = iter(record.personal.content if record.personal else [])
    for placement in record.placements:
        console.print(
            f"\n[bold]{escape(placement.name)}[/bold] ({len(placement.offers)} of {placement.slots} slots)"
        )
        for offer in placement.offers:
            ranking = _ranking(explanation, placement.name, offer)
            console.print(_offer(recalled, offer, next(content, {}), ranking))
        if len(placement.offers) < placement.slots or not placement.offers:
            console.print(f"   [dim]{placement.reason.replace('_', ' ')}[/dim]")
    console.print(f"\nFunnel: {funnel_text(explanation.funnel)}")
    if explain:
        _tell_why_not(console, explanation, everything=everything)
    elif any(one.stage is not Stage.SHOWN for one in explanation.candidates):
        console.print("[dim]--explain says why not for every other candidate[/dim]")
    console.print(_made(record))


def tell_about(recalled: Recalled, explanation: Explanation, *, as_of: str) -> None:
    """Print why one action is shown or not, in every placement asked for, with all that was observed."""
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"[bold]As of {as_of}[/bold]")
    for line in _who(recalled.record):
        console.print(line)
    for one in explanation.candidates:
        where = f"in {escape(one.placement)}, as {escape(one.treatment_id)}"
        console.print(f"\n[bold]{escape(one.action_id)}[/bold] {where}")
        console.print(f"  {escape(one.text)}")
        for line in _details(one):
            console.print(f"  [dim]{escape(line)}[/dim]")
    console.print(f"\nFunnel: {funnel_text(explanation.funnel)}")
    console.print(_made(recalled.record))


def _who(record: DecisionRecord) -> Iterator[str]:
    customer = record.personal.customer_id if record.personal else None
    if record.profile is ProfileKind.NONE:
        who = "A visitor" if customer is None else f"Customer {escape(customer)}"
        yield f"{who}, of whom nothing is known: decided from context and fallback"
    else:
        segment = f"persona [cyan]{escape(record.segment)}[/cyan]" if record.segment else "no persona"
        yield f"Customer {escape(str(customer))}, {segment}, on {escape(record.channel)}"
    for arm in record.experiments:
        yield f"In experiment {escape(arm.experiment)} of {escape(arm.layer)}, arm {escape(arm.arm)}"
    if record.control:
        yield "In the control group: every slot is filled uniformly among what may be shown"
    if record.held_out:
        yield "In the no-marketing holdout"
    if record.degraded:
        yield f"[yellow]Degraded: {', '.join(record.degraded)}[/yellow]"


def _offer(
    recalled: Recalled, offer: RecordedOffer, content: dict[str, str], ranking: Ranking | None
) -> RenderableType:
    action = recalled.catalogue.action(offer.action)
    said = content.get("title") or action.label
    head = f" [green]{offer.rank}[/green]  [bold]{escape(said)}[/bold]  [dim]{escape(offer.action)}[/dim]"
    if offer.kind is OfferKind.FALLBACK:
        return Group(head, "    fallback: nothing that competes was left for this slot")
    rules = ", ".join(dict.fromkeys(recalled.catalogue.rule_text(use.rule_id) for use in action.rules))
    may = f"    [dim]may see it: {escape(rules) or 'everybody may'}[/dim]"
    if action.mandatory is not None:
        return Group(head, f"    mandatory: {action.mandatory.replace('_', ' ')}", may)
    if offer.propensity is None or offer.priority is None:
        return Group(head, may)
    rank = "" if ranking is None or ranking.rank is None else f", rank {ranking.rank} of {ranking.of}"
    chance = (
        "" if offer.action_probability == 1 else f", picked with probability {offer.action_probability:.3g}"
    )
    lever = "" if offer.lever == 1 else f" x lever {offer.lever:g}"
    weight = "" if offer.context_weight == 1 else f" x weight {offer.context_weight:g}"
    worth = f"{offer.propensity:.2%} likely x {offer.value:.2f} {recalled.catalogue.currency}{weight}{lever}"
    formula = "" if ranking is None or ranking.formula is None else f" by `{escape(ranking.formula)}`"
    return Group(head, f"    {worth} = priority {offer.priority:.4f}{formula}{rank}{chance}", may)


def _ranking(explanation: Explanation, placement: str, offer: RecordedOffer) -> Ranking | None:
    return next(
        (
            one.ranking
            for one in explanation.candidates
            if (one.placement, one.treatment_id) == (placement, offer.treatment)
        ),
        None,
    )


def _tell_why_not(console: Console, explanation: Explanation, *, everything: bool) -> None:
    """Print the other candidates by placement and stage, those with one reason together."""
    left_out = [one for one in explanation.candidates if one.stage is not Stage.SHOWN]
    placements = dict.fromkeys(one.placement for one in left_out)
    for placement in placements:
        where = f" in {escape(placement)}" if len(placements) > 1 else ""
        mine = [one for one in left_out if one.placement == placement]
        for stage, group in groupby(mine, key=lambda one: one.stage):
            stopped = list(group)
            console.print(f"\n[bold]Why not{where}: {stage.replace('_', ' ')}[/bold] ({len(stopped)})")
            for line in _whys(stopped, everything=everything):
                console.print(line)


def _whys(stopped: Sequence[ExplainedCandidate], *, everything: bool) -> Iterator[str]:
    """Yield the reasons of one stage, each with the actions it stopped, the most of them first."""
    by_reason: dict[str, list[ExplainedCandidate]] = {}
    for one in stopped:
        by_reason.setdefault(_why(one), []).append(one)
    ordered = sorted(by_reason.items(), key=lambda item: -len(item[1]))
    shown = ordered if everything else ordered[:_WHYS]
    width = max((len(ones[0].action_id) for _, ones in shown if len(ones) == 1), default=0)
    for why, ones in shown:
        names = escape(_names([one.action_id for one in ones], everything=everything))
        gap = "\n     " if len(ones) > 1 else " " * (width - len(ones[0].action_id) + 2)
        yield f" {names}{gap}[dim]{escape(why)}[/dim]"
    rest = sum(len(ones) for _, ones in ordered[len(shown) :])
    if rest:
        yield f" [dim]… and {rest} more; --all tells every one, --action one of them[/dim]"


def _why(one: ExplainedCandidate) -> str:
    ranking = one.ranking
    rank = "" if ranking is None or ranking.rank is None else f"rank {ranking.rank} of {ranking.of}: "
    return rank + one.text.removeprefix(f"{one.stage}: ")


def _names(names: Iterable[str], *, everything: bool) -> str:
    unique = list(dict.fromkeys(names))
    told = unique if everything else unique[:_NAMES]
    more = f", … {len(unique) - len(told)} more" if len(unique) > len(told) else ""
    return ", ".join(told) + more


def _details(one: ExplainedCandidate) -> Iterator[str]:
    """Yield what was observed beside what it would have to be."""
    if one.rule is not None:
        for failed in one.rule.failed:
            observed = "not known" if failed.observed is None else failed.observed
            yield f"{', '.join(failed.columns)}: {observed}, must be {failed.operator} {failed.threshold}"
    if one.policy is not None and one.policy.observed is not None:
        bound = "" if one.policy.bound is None else f" of {one.policy.bound:g}"
        yield f"{one.policy.kind} {one.policy.name}: {one.policy.observed:g}{bound} {one.policy.unit}"
    if one.ranking is not None and one.ranking.rank is not None:
        yield f"rank {one.ranking.rank} of {one.ranking.of} that competed"


def _made(record: DecisionRecord) -> str:
    again = "" if record.attempt == 1 else f" at attempt {record.attempt}"
    return (
        f"[dim]decision {record.decision_id}, made{again} in {sum(record.latency_ms.values()):.1f} ms[/dim]"
    )
