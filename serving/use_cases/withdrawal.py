"""Whether an answer may be given again: not after what it rests on was erased or withdrawn."""

from __future__ import annotations

from serving.decision.values import Consent, Purpose
from serving.records import DecisionRecord

_ALWAYS = frozenset({Purpose.SERVICE})


def still_stands(record: DecisionRecord, consent: Consent | None) -> bool:
    """Whether the customer still allows all they allowed when it was decided.

    Parameters
    ----------
    record
        What was answered.
    consent
        What they allow now; None where nobody can say: then only what needs no consent stands.
    """
    told = record.personal
    if told is None:
        return False
    rested_on = frozenset(told.purposes or ())
    if consent is None:
        return rested_on <= _ALWAYS
    return rested_on <= consent.purposes and (told.opted_out or not consent.opted_out)
