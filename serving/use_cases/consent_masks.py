"""What is known of a customer, as far as their consents let it be seen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from features.contract import FeatureSpec
from serving.decision.masks import allowed_purposes, masked_names
from serving.decision.values import Consent, FeatureState, Purpose
from serving.ports import CustomerFacts


class FeatureMasks:
    """Masks features by the purpose each is declared for; prepared once, for every decision.

    No feature Moment computes reads other members of a household than the customer: those of a household are
    of the customer's own row. So the customer's own consent covers them.
    """

    def __init__(self, specs: Iterable[FeatureSpec]) -> None:
        self._purposes = {spec.name: Purpose(spec.purpose.value) for spec in specs}
        self._masks: dict[frozenset[Purpose], _Mask] = {}

    def names(self, consent: Consent | None) -> frozenset[str]:
        """Return the names of the features that must not be seen."""
        return self._mask(consent).names

    def __call__(self, facts: CustomerFacts, consent: Consent | None) -> CustomerFacts:
        """Return the facts with None, of state masked, for what is not consented to."""
        mask, values = self._mask(consent), facts.values
        hidden: Mapping[str, None] = mask.values
        whole = len(values) == len(self._purposes)
        if not whole:
            hidden = {name: None for name in hidden if name in values}
        if not hidden:
            return facts
        if whole and mask.names.issuperset(facts.states):
            # Of those that may be seen none is absent
            states = mask.states
        else:
            absent = {**facts.states, **dict.fromkeys(hidden, FeatureState.MASKED)}
            states = {name: absent[name] for name in values if name in absent}
        return CustomerFacts(facts.found, {**values, **hidden}, states, facts.event_times)

    def _mask(self, consent: Consent | None) -> _Mask:
        allowed = allowed_purposes(consent)
        known = self._masks.get(allowed)
        if known is None:
            names = masked_names(self._purposes, consent)
            known = self._masks[allowed] = _Mask.of([name for name in self._purposes if name in names])
        return known


class _Mask(NamedTuple):
    """What must not be seen under some consents: names, and what stands for value and state of each."""

    names: frozenset[str]
    values: Mapping[str, None]
    states: Mapping[str, FeatureState]

    @classmethod
    def of(cls, names: Sequence[str]) -> _Mask:
        return cls(frozenset(names), dict.fromkeys(names), dict.fromkeys(names, FeatureState.MASKED))
