"""Masks against the plain way, name by name."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from features.contract import DType, FeatureSpec, FeatureValue
from features.contract import Purpose as DeclaredPurpose
from serving.decision.values import Consent, FeatureState, Purpose
from serving.ports import CustomerFacts
from serving.use_cases.consent_masks import FeatureMasks

PURPOSES = {
    "language": DeclaredPurpose.SERVICE,
    "spend": DeclaredPurpose.PROFILING,
    "zone": DeclaredPurpose.SERVICE,
    "place": DeclaredPurpose.LOCATION,
    "posts": DeclaredPurpose.SOCIAL,
}
MASKS = FeatureMasks(
    FeatureSpec(name, DType.INT64, "count", purpose, "Something", "crm", "profile", timedelta(days=1))
    for name, purpose in PURPOSES.items()
)

consents = st.none() | st.sets(st.sampled_from(Purpose)).map(lambda some: Consent(frozenset(some)))


@st.composite
def known(draw: st.DrawFn) -> CustomerFacts:
    """Draw facts with some of the features, in order; the real-time ones may be wanting."""
    names = [name for name in PURPOSES if draw(st.integers(0, 4))]
    values: dict[str, FeatureValue] = {name: draw(st.none() | st.integers(0, 9)) for name in names}
    absent = st.sampled_from([FeatureState.MISSING, FeatureState.EXPIRED])
    states = {name: draw(absent) for name, value in values.items() if value is None}
    return CustomerFacts(True, values, states, {})


@given(known(), consents)
def test_what_is_not_consented_to_has_neither_value_nor_another_state(
    facts: CustomerFacts, consent: Consent | None
) -> None:
    allowed = {Purpose.SERVICE} if consent is None else consent.purposes
    hidden = {name for name in facts.values if Purpose(PURPOSES[name].value) not in allowed}
    values = {name: None if name in hidden else value for name, value in facts.values.items()}
    states = {
        name: FeatureState.MASKED if name in hidden else facts.states[name]
        for name, value in values.items()
        if value is None
    }
    seen = MASKS(facts, consent)
    # In order, too: it is recorded so
    assert list(seen.values.items()) == list(values.items())
    assert list(seen.states.items()) == list(states.items())
    assert MASKS(seen, consent) == seen
