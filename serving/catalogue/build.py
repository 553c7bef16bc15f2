"""From a file to the parts of a catalogue: everything that refers to something else is looked up."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from serving.catalogue.actions import attribute_columns, check_ids, make_action
from serving.catalogue.arbitration import Language, read_arbitration
from serving.catalogue.drafts import DraftAction, Frame, read_actions, read_fallbacks
from serving.catalogue.experiments import Playground, check_salts, read_layers, read_share
from serving.catalogue.exploration import read_exploration
from serving.catalogue.fields import read_context, read_customer
from serving.catalogue.names import Names
from serving.catalogue.placements import (
    DraftPlacement,
    places_of,
    read_outbound,
    read_placements,
    with_fallback,
)
from serving.catalogue.policies import Surroundings, read_exclusions, read_policies
from serving.catalogue.rulebook import RuleBook
from serving.catalogue.section import Section
from serving.catalogue.treatments import check_treatments, read_language
from serving.decision.actions import Action, ContextField, Exclusion, Placement
from serving.decision.attributes import ACTION_PREFIX
from serving.decision.catalogue import Catalogue
from serving.decision.columns import Column
from serving.decision.contact import ContactPolicy
from serving.decision.context import CONTEXT_PREFIX
from serving.decision.experiments import Layer, Share
from serving.decision.exploration import Exploration
from serving.decision.explorations import DEFAULT_EXPLORATION
from serving.decision.formula import Formula
from serving.decision.rules import Rule

OUTCOMES = frozenset({"accepted", "clicked", "converted", "rejected"})
"""Kinds of outcome every catalogue may name, besides the positive outcomes of its own actions."""


@dataclass(frozen=True, slots=True)
class Checked:
    """The parts of a catalogue. When there are faults, they must not become one."""

    name: str
    currency: str
    timezone: str
    language: str
    context: tuple[ContextField, ...]
    actions: tuple[Action, ...]
    placements: tuple[Placement, ...]
    rules: tuple[Rule, ...]
    propensity_floor: float
    formula: Formula | None
    exploration: Exploration
    outbound: frozenset[str]
    contact_policies: tuple[ContactPolicy, ...]
    exclusions: tuple[Exclusion, ...]
    layers: tuple[Layer, ...]
    control: Share | None
    holdout: Share | None

    def catalogue(self) -> Catalogue:
        """Return the catalogue of these parts, compiled."""
        return Catalogue(
            name=self.name,
            currency=self.currency,
            timezone=self.timezone,
            actions=self.actions,
            placements=self.placements,
            context=self.context,
            rules=self.rules,
            propensity_floor=self.propensity_floor,
            exploration=self.exploration,
            language=self.language,
            formula=self.formula,
            outbound=self.outbound,
            contact_policies=self.contact_policies,
            exclusions=self.exclusions,
            layers=self.layers,
            control=self.control,
            holdout=self.holdout,
        )


@dataclass(frozen=True, slots=True)
class _Drafts:
    """What other parts refer to."""

    actions: tuple[DraftAction, ...]
    fallbacks: tuple[DraftAction, ...]
    placements: tuple[DraftPlacement, ...]
    names: Names


def check(root: Section, features: Mapping[str, Column] | None) -> Checked:
    """Read the file whole; what is wrong is noted with the section it is in."""
    timezone, language = _timezone(root), read_language(root, "en")
    exclusions = read_exclusions(root)
    frame = Frame(timezone, language, Names({"exclusions": [one.exclusion.name for one in exclusions]}))
    drafts = _drafts(root, frame)
    for exclusion in exclusions:
        exclusion.check(drafts.actions)
    context = read_context(root)
    spoken = _language(root, drafts, context, features)
    actions, placements, rules = _actions(drafts, spoken)
    floor, formula = read_arbitration(root, spoken)
    outbound = read_outbound(root, places_of(drafts.placements))
    outcomes = OUTCOMES | {action.positive_outcome for action in actions}
    around = Surroundings(drafts.actions, drafts.names, outbound, outcomes)
    layers = read_layers(root, Playground(drafts.actions, drafts.names, spoken))
    control, holdout = read_share(root, "control"), read_share(root, "holdout")
    check_salts(root, layers, control=control, holdout=holdout)
    checked = Checked(
        name=root.text("catalogue"),
        currency=_currency(root),
        timezone=timezone.key,
        language=language,
        context=context,
        actions=actions,
        placements=placements,
        rules=rules,
        propensity_floor=floor,
        formula=formula,
        exploration=read_exploration(root) or DEFAULT_EXPLORATION,
        outbound=outbound,
        contact_policies=read_policies(root, around),
        exclusions=tuple(draft.exclusion for draft in exclusions),
        layers=layers,
        control=control,
        holdout=holdout,
    )
    root.entry("shared")  # texts for YAML aliases: they count where they are used
    root.finish()
    return checked


def _drafts(root: Section, frame: Frame) -> _Drafts:
    actions = read_actions(root, frame)
    fallbacks = read_fallbacks(root, frame.language)
    placements = read_placements(root)
    check_ids((*actions, *fallbacks))
    names = {
        "issues": {action.issue for action in actions},
        "groups": {action.group for action in actions},
        "actions": {action.action_id for action in actions},
        "channels": places_of(placements),
    }
    return _Drafts(actions, fallbacks, placements, Names(names))


def _language(
    root: Section,
    drafts: _Drafts,
    context: tuple[ContextField, ...],
    features: Mapping[str, Column] | None,
) -> Language:
    columns = {
        **read_customer(root, features),
        **{CONTEXT_PREFIX + field.name: Column(field.type, field.categories) for field in context},
        **{ACTION_PREFIX + name: column for name, column in attribute_columns(drafts.actions).items()},
    }
    return Language(columns, closed=features is not None)


def _actions(
    drafts: _Drafts, spoken: Language
) -> tuple[tuple[Action, ...], tuple[Placement, ...], tuple[Rule, ...]]:
    """Return actions, placements with their fallbacks, and the rules of all actions."""
    everything = (*drafts.actions, *drafts.fallbacks)
    treatments = [one for action in everything for one in action.inherited.treatments.values()]
    check_treatments(treatments, places_of(drafts.placements), spoken.columns, closed=spoken.closed)
    book = RuleBook(spoken.columns, closed=spoken.closed)
    for action in drafts.actions:
        book.read(use.rule for use in action.inherited.rules)
        book.read(weight.rule for weight in action.inherited.weights)
    rules = book.number()
    fallbacks = {action.action_id: make_action(action, book) for action in drafts.fallbacks}
    return (
        tuple(make_action(action, book) for action in drafts.actions),
        tuple(with_fallback(draft, fallbacks) for draft in drafts.placements),
        rules,
    )


def _timezone(root: Section) -> ZoneInfo:
    name = root.text("timezone", "UTC")
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        root.fault("timezone", f"`{name}` is no time zone; write one such as Europe/Berlin")
        return ZoneInfo("UTC")


def _currency(root: Section) -> str:
    currency = root.text("currency")
    if currency and not re.fullmatch(r"[A-Z]{3}", currency):
        root.fault("currency", "is three capital letters such as EUR")
    return currency
