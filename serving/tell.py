"""A recorded decision in words, for a terminal."""

from __future__ import annotations

from rich.console import Console, Group, RenderableType
from rich.markup import escape
from rich.table import Table

from serving.decision.considered import Considered
from serving.decision.explanation import explain_candidate
from serving.decision.values import ProfileKind
from serving.records import DecisionRecord, FunnelCounts, RecordedOffer
from serving.use_cases.recall import Recalled

_UNSHOWN = 5


def tell(recalled: Recalled, *, as_of: str, explain: bool) -> None:
    """Print what was decided and why; with ``explain``, why not for every other candidate."""
    record = recalled.record
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"[bold]As of {as_of}[/bold]")
    console.print(_who(record))
    considered = sorted(recalled.considered(), key=_furthest_first)
    content = iter(record.personal.content if record.personal else [])
    for placement in record.placements:
        console.print(
            f"\n[bold]{escape(placement.name)}[/bold] ({len(placement.offers)} of {placement.slots} slots)"
        )
        for offer in placement.offers:
            console.print(_offer(recalled, offer, next(content, {})))
        if len(placement.offers) < placement.slots or not placement.offers:
            console.print(f"   [dim]{placement.reason.replace('_', ' ')}[/dim]")
    console.print(f"\n{_funnel(record.funnel)}")
    left_out = [item for item in considered if item.reason.name != "SHOWN"]
    console.print(_left_out(recalled, left_out if explain else left_out[:_UNSHOWN]))
    if not explain and len(left_out) > _UNSHOWN:
        console.print(f"[dim]… and {len(left_out) - _UNSHOWN} more; --explain says why for each[/dim]")
    console.print(
        f"[dim]decision {record.decision_id}, recorded in {sum(record.latency_ms.values()):.1f} ms[/dim]"
    )


def _who(record: DecisionRecord) -> str:
    customer = record.personal.customer_id if record.personal else None
    if record.profile is ProfileKind.NONE:
        who = "A visitor" if customer is None else f"Customer {escape(customer)}"
        return f"{who}, of whom nothing is known: decided from context and fallback"
    segment = f"persona [cyan]{escape(record.segment)}[/cyan]" if record.segment else "no persona"
    return f"Customer {escape(str(customer))}, {segment}, on {escape(record.channel)}"


def _offer(recalled: Recalled, offer: RecordedOffer, content: dict[str, str]) -> RenderableType:
    action = recalled.catalogue.action(offer.action)
    said = content.get("title") or action.label
    head = f" [green]{offer.rank}[/green]  [bold]{escape(said)}[/bold]  [dim]{escape(offer.action)}[/dim]"
    if offer.propensity is None or offer.priority is None:
        return Group(head, "    fallback: nothing that competes was left for this slot")
    lever = "" if offer.lever == 1 else f" x lever {offer.lever:g}"
    weight = "" if offer.context_weight == 1 else f" x weight {offer.context_weight:g}"
    rules = ", ".join(dict.fromkeys(recalled.catalogue.rule_text(use.rule_id) for use in action.rules))
    return Group(
        head,
        f"    {offer.propensity:.2%} likely x {offer.value:.2f} {recalled.catalogue.currency}{weight}{lever}"
        f" = priority {offer.priority:.4f}",
        f"    [dim]may see it: {escape(rules) or 'everybody may'}[/dim]",
    )


def _funnel(funnel: FunnelCounts) -> str:
    steps = (
        ("considered", funnel.considered),
        ("available", funnel.available),
        ("eligible", funnel.eligible),
        ("applicable", funnel.applicable),
        ("suitable", funnel.suitable),
        ("scored", funnel.scored),
        ("shown", funnel.shown),
    )
    return "Funnel: " + " → ".join(f"{count} {name}" for name, count in steps)


def _left_out(recalled: Recalled, items: list[Considered]) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for item in items:
        table.add_row(
            escape(item.candidate.action.action_id), escape(explain_candidate(item, recalled.catalogue).text)
        )
    return table


def _furthest_first(item: Considered) -> tuple[int, float, str]:
    return -item.reason.stage_number, -(item.priority or 0.0), item.candidate.action.action_id
