"""A catalogue as plain values: what ``show --json`` prints and what a difference is taken of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from serving.catalogue.words import policy_in_words, span
from serving.decision.contact import Limit, QuietHours, Suppression

if TYPE_CHECKING:
    from serving.decision.actions import Action, Allowance, Exclusion, Placement, Treatment
    from serving.decision.catalogue import Catalogue
    from serving.decision.contact import ContactPolicy
    from serving.decision.experiments import Arm, Layer, Share

Json = bool | int | float | str | None | Sequence["Json"] | Mapping[str, "Json"]


def catalogue_view(found: Catalogue) -> dict[str, Json]:
    """Return everything a catalogue says."""
    return {
        "catalogue": found.name,
        "digest": found.digest,
        "currency": found.currency,
        "timezone": found.timezone,
        "language": found.language,
        "outbound": sorted(found.outbound),
        "exploration": found.exploration.name,
        "propensity_floor": found.propensity_floor,
        "formula": None if found.formula is None else found.formula.text,
        "control": _share(found.control),
        "holdout": _share(found.holdout),
        "placements": [_placement(place) for place in found.placements],
        "context": [
            {
                "name": field.name,
                "type": field.type,
                "set_by": field.set_by,
                "meaning": field.meaning,
                "values": list(field.categories),
                "purpose": field.purpose,
            }
            for field in found.context
        ],
        "contact_policies": [policy_view(policy) for policy in found.contact_policies],
        "exclusions": [_exclusion(one, found) for one in found.exclusions],
        "experiments": [_layer(layer) for layer in found.layers],
        "rules": [rule.text for rule in found.rules],
        "actions": [action_view(found, action) for action in found.actions],
        "fallbacks": [action_view(found, action) for action in found.fallbacks],
    }


def action_view(found: Catalogue, action: Action) -> dict[str, Json]:
    """Return everything a catalogue says of one action."""
    return {
        "action_id": action.action_id,
        "label": action.label,
        "issue": action.issue,
        "group": action.group,
        "value": action.value,
        "lever": action.lever,
        "positive_outcome": action.positive_outcome,
        "window_days": action.window.total_seconds() / 86400,
        "purposes": sorted(action.purposes),
        "mandatory": action.mandatory,
        "cost": action.cost,
        "budget": _allowance(action.budget),
        "volume": _allowance(action.volume),
        "exclusions": list(action.exclusions),
        "attributes": dict(action.attributes),
        "starts_at": action.starts_at.isoformat() if action.starts_at else None,
        "ends_at": action.ends_at.isoformat() if action.ends_at else None,
        "rules": [
            {"tier": use.tier, "level": use.level, "rule": use.rule_id, "text": found.rule_text(use.rule_id)}
            for use in action.rules
        ],
        "context_weights": [
            {"when": found.rule_text(one.rule_id), "weight": one.weight} for one in action.weightings
        ],
        "treatments": [_treatment(treatment) for treatment in action.treatments],
    }


def policy_view(policy: ContactPolicy) -> dict[str, Json]:
    """Return everything a catalogue says of one contact policy."""
    told: dict[str, Json] = {
        "name": policy.name,
        "kind": type(policy).__name__,
        "in_words": policy_in_words(policy),
        **{kind: sorted(getattr(policy.scope, kind)) for kind in ("issues", "groups", "actions", "channels")},
    }
    if isinstance(policy, QuietHours):
        return told | {"from": f"{policy.starts:%H:%M}", "to": f"{policy.ends:%H:%M}"}
    told |= {"per": policy.per, "per_channel": policy.per_channel}
    if isinstance(policy, Limit):
        window = policy.window if isinstance(policy.window, str) else span(policy.window)
        return told | {"limit": policy.most, "window": window, "counts": policy.counts}
    if isinstance(policy, Suppression):
        within = None if policy.within is None else span(policy.within)
        told |= {"outcome": policy.outcome, "times": policy.after, "within": within}
    return told | {"rests": span(policy.lasts)}


def _placement(place: Placement) -> dict[str, Json]:
    return {
        "channel": place.channel,
        "name": place.name,
        "slots": place.slots,
        "distinct": place.distinct,
        "fallback": place.fallback.action.action_id if place.fallback else None,
        "lifetime": span(place.lifetime),
        "report_within": span(place.report_within),
    }


def _exclusion(exclusion: Exclusion, found: Catalogue) -> dict[str, Json]:
    members = [action.action_id for action in found.actions if exclusion.name in action.exclusions]
    return {"name": exclusion.name, "rests": span(exclusion.rests), "actions": members}


def _layer(layer: Layer) -> dict[str, Json]:
    return {
        "layer": layer.name,
        "salt": layer.salt,
        "experiments": [
            {"experiment": one.name, "arms": [_arm(arm) for arm in one.arms]} for one in layer.experiments
        ],
    }


def _arm(arm: Arm) -> dict[str, Json]:
    changes = arm.changes
    return {
        "arm": arm.name,
        "share": arm.share,
        "levers": {str(action_id): lever for action_id, lever in sorted(changes.levers.items())},
        "formula": None if changes.formula is None else changes.formula.text,
        "exploration": None if changes.exploration is None else changes.exploration.name,
        "propensity_floor": changes.propensity_floor,
    }


def _treatment(treatment: Treatment) -> dict[str, Json]:
    return {
        "treatment_id": treatment.treatment_id,
        "channel": treatment.channel,
        "placements": list(treatment.placements),
        "language": treatment.language,
        "content": dict(treatment.content),
    }


def _allowance(allowance: Allowance | None) -> Json:
    return None if allowance is None else {"total": allowance.total, "per_day": allowance.per_day}


def _share(share: Share | None) -> Json:
    return None if share is None else {"share": share.share, "salt": share.salt}
