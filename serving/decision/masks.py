"""Which values a consent lets be seen. What is not consented to is unknown to rules, models and records."""

from __future__ import annotations

from collections.abc import Mapping

from serving.decision.values import Consent, Purpose, Scalar


def allowed_purposes(consent: Consent | None) -> frozenset[Purpose]:
    """Return the purposes data may be used for; while consents cannot be read, service alone."""
    return frozenset({Purpose.SERVICE}) if consent is None else consent.purposes


def masked_names(purposes: Mapping[str, Purpose], consent: Consent | None) -> frozenset[str]:
    """Return the names of the values that must not be seen.

    Parameters
    ----------
    purposes
        What each value is for, by its name.
    consent
        What the customer allows; None while that cannot be read.

    Examples
    --------
    >>> sorted(masked_names({"spend": Purpose.PROFILING, "language": Purpose.SERVICE}, Consent()))
    ['spend']
    """
    allowed = allowed_purposes(consent)
    return frozenset(name for name, purpose in purposes.items() if purpose not in allowed)


def masked_context(
    context: Mapping[str, Scalar], purposes: Mapping[str, Purpose], consent: Consent | None
) -> dict[str, Scalar]:
    """Return what a channel sent, with None for what the customer does not allow to be used."""
    names = masked_names(purposes, consent)
    return {name: None if name in names else value for name, value in context.items()}
