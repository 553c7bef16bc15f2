"""What is known of a customer, as far as their consents let it be seen."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from features.contract import FeatureSpec
from serving.decision.masks import allowed_purposes, masked_names, without
from serving.decision.values import Consent, FeatureState, Purpose
from serving.ports import CustomerFacts


class FeatureMasks:
    """Masks features by the purpose each is declared for; prepared once, for every decision.

    No feature Moment computes reads other members of a household than the customer: those of a household are
    of the customer's own row. So the customer's own consent covers them.
    """

    def __init__(self, specs: Iterable[FeatureSpec]) -> None:
        self._purposes = {spec.name: Purpose(spec.purpose.value) for spec in specs}
        self._masked: dict[frozenset[Purpose], frozenset[str]] = {}

    def names(self, consent: Consent | None) -> frozenset[str]:
        """Return the names of the features that must not be seen."""
        allowed = allowed_purposes(consent)
        known = self._masked.get(allowed)
        if known is None:
            known = self._masked[allowed] = masked_names(self._purposes, consent)
        return known

    def __call__(self, facts: CustomerFacts, consent: Consent | None) -> CustomerFacts:
        """Return the facts with None, of state masked, for what is not consented to."""
        hidden = self.names(consent) & facts.values.keys()
        if not hidden:
            return facts
        values = without(facts.values, hidden)
        states = {
            name: FeatureState.MASKED if name in hidden else facts.states.get(name, FeatureState.MISSING)
            for name, value in values.items()
            if value is None
        }
        return replace(facts, values=values, states=states)
