"""A catalogue in words: what is offered where, under which policies."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from serving.catalogue.words import allowance_in_words, exclusion_in_words, policy_in_words, span

if TYPE_CHECKING:
    from serving.decision.actions import Action, Placement
    from serving.decision.catalogue import Catalogue
    from serving.decision.experiments import Arm, Layer, Share


def summary(found: Catalogue) -> str:
    """Return how much there is of what, in one line."""
    groups = {(action.issue, action.group) for action in found.actions}
    issues = {action.issue for action in found.actions}
    return (
        f"{len(found.actions)} actions in {len(groups)} groups of {len(issues)} issues, "
        f"{len(found.rules)} rules, {len(found.contact_policies)} contact policies, "
        f"{len(found.placements)} placements on {', '.join(found.channels)}; version {found.version}"
    )


def catalogue_lines(found: Catalogue) -> Iterator[str]:
    """Yield the whole catalogue, one line a thing."""
    yield f"{found.name}: {summary(found)}"
    yield f"  values in {found.currency}, days and hours in {found.timezone}, language {found.language}"
    formula = "propensity * value * context_weight * lever" if found.formula is None else found.formula.text
    yield f"  sorted by {formula}, propensity floor {found.propensity_floor:g}"
    yield f"  exploration {found.exploration.name}"
    yield from _titled("placements", (_placement(place, found) for place in found.placements))
    yield from _titled(
        "context",
        (f"{one.name} ({one.type}, set by {one.set_by}): {one.meaning}" for one in found.context),
    )
    yield from _titled("actions", _tree(found))
    yield from _titled(
        "contact policies", (f"{one.name}: {policy_in_words(one)}" for one in found.contact_policies)
    )
    yield from _titled("exclusions", _exclusions(found))
    yield from _titled("customers drawn apart", _shares(found))
    yield from _titled("experiments", (line for layer in found.layers for line in _layer(layer)))
    yield from _titled("rules", _rules(found))


def action_lines(found: Catalogue, action: Action) -> Iterator[str]:
    """Yield one action whole."""
    yield f"{action.action_id}: {action.label} ({action.issue} > {action.group})"
    days = action.window.total_seconds() / 86400
    yield f"  {action.positive_outcome} within {days:g} days is worth {action.value:g} {found.currency}"
    yield from (f"  {line}" for line in _terms(found, action))
    for name, value in action.attributes.items():
        yield f"  action.{name} = {value}"
    for use in action.rules:
        yield f"  {use.tier} ({use.level}): rule {use.rule_id} `{found.rule_text(use.rule_id)}`"
    for one in action.weightings:
        yield f"  context weight {one.weight:g} where `{found.rule_text(one.rule_id)}`"
    for treatment in action.treatments:
        places = ", ".join(treatment.placements)
        yield f"  {treatment.treatment_id} on {treatment.channel} {places}, in {treatment.language}"
        for name, template in treatment.content.items():
            yield f"    {name}: {template}"


def _terms(found: Catalogue, action: Action) -> Iterator[str]:
    if action.mandatory is not None:
        yield f"mandatory: {action.mandatory.replace('_', ' ')}"
    elif action.purposes:
        yield f"needs consent to {', '.join(sorted(action.purposes))}"
    if action.starts_at or action.ends_at:
        yield f"available from {action.starts_at or 'ever'} until {action.ends_at or 'ever'}"
    if action.lever != 1.0:
        yield f"lever {action.lever:g}"
    if action.budget is not None:
        amount = allowance_in_words(action.budget)
        yield f"budget {amount} {found.currency}, each offer costs {action.cost:g}"
    if action.volume is not None:
        yield f"volume {allowance_in_words(action.volume)}"
    if action.exclusions:
        yield f"excludes the others of {', '.join(action.exclusions)}"


def _titled(title: str, lines: Iterator[str]) -> Iterator[str]:
    """Yield the lines under their title, or nothing where there are none."""
    for position, line in enumerate(lines):
        if not position:
            yield title
        yield f"  {line}"


def _placement(place: Placement, found: Catalogue) -> str:
    outbound = " (outbound)" if place.channel in found.outbound else ""
    slots = f"{place.slots} slots, distinct by {place.distinct}"
    fallback = f", else {place.fallback.action.action_id}" if place.fallback else ""
    times = f"offers live {span(place.lifetime)}, reported within {span(place.report_within)}"
    return f"{place.channel} {place.name}{outbound}: {slots}{fallback}; {times}"


def _tree(found: Catalogue) -> Iterator[str]:
    groups: dict[tuple[str, str], list[Action]] = {}
    for action in found.actions:
        groups.setdefault((action.issue, action.group), []).append(action)
    for (issue, group), actions in sorted(groups.items()):
        worth = " to ".join(f"{pick(action.value for action in actions):g}" for pick in (min, max))
        yield f"{issue} > {group}: {len(actions)} actions, worth {worth} {found.currency}"
        for action in actions:
            lever = f", lever {action.lever:g}" if action.lever != 1.0 else ""
            mandatory = ", mandatory" if action.mandatory else ""
            yield f"  {action.action_id}: {action.label}{lever}{mandatory}"


def _exclusions(found: Catalogue) -> Iterator[str]:
    for exclusion in found.exclusions:
        members = (action.action_id for action in found.actions if exclusion.name in action.exclusions)
        yield f"{exclusion.name}: {exclusion_in_words(exclusion, members)}"


def _shares(found: Catalogue) -> Iterator[str]:
    shares: tuple[tuple[str, Share | None, str], ...] = (
        ("control", found.control, "every slot uniform"),
        ("holdout", found.holdout, "no marketing"),
    )
    for name, share, what in shares:
        if share is not None:
            yield f"{name}: {share.share:.4g} of customers, {what} (salt {share.salt})"


def _layer(layer: Layer) -> Iterator[str]:
    yield f"layer {layer.name} (salt {layer.salt})"
    for experiment in layer.experiments:
        yield f"  {experiment.name}"
        for arm in experiment.arms:
            yield f"    {arm.name}: {arm.share:.4g} of customers, {', '.join(_changes(arm)) or 'as it is'}"


def _changes(arm: Arm) -> Iterator[str]:
    changes = arm.changes
    levers: dict[float, list[str]] = {}
    for action_id, lever in changes.levers.items():
        levers.setdefault(lever, []).append(action_id)
    for lever, names in sorted(levers.items()):
        yield f"lever x {lever:g} on {names[0] if len(names) == 1 else f'{len(names)} actions'}"
    if changes.formula is not None:
        yield f"sorted by {changes.formula.text}"
    if changes.exploration is not None:
        yield f"exploration {changes.exploration.name}"
    if changes.propensity_floor is not None:
        yield f"propensity floor {changes.propensity_floor:g}"


def _rules(found: Catalogue) -> Iterator[str]:
    counts: dict[int, int] = {}
    for action in found.actions:
        used = {use.rule_id for use in action.rules} | {one.rule_id for one in action.weightings}
        for rule_id in used:
            counts[rule_id] = counts.get(rule_id, 0) + 1
    for rule in found.rules:
        yield f"{rule.rule_id:>3} `{rule.text}` ({counts.get(rule.rule_id, 0)} actions)"
