"""What of a customer a training row may hold: what they had consented to by then."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features import lake
from features.contract import FeatureContract
from moment.home import Home
from serving.decision.consent_ledger import ConsentEntry, ConsentStatus, resolve
from serving.decision.masks import masked_names
from serving.decision.values import Consent, Purpose

_CONSENTS = "SELECT customer_id, purpose, channel, status, valid_from, valid_to, known_at FROM consents"


@dataclass(frozen=True, slots=True)
class MaskedFeatures:
    """Features as consents let them be seen.

    Parameters
    ----------
    features
        As given, with missing values where a purpose was not consented to.
    statement
        One line for people: what was masked, or what is assumed.
    """

    features: pd.DataFrame
    statement: str


def read_consents(home: Home) -> dict[str, list[ConsentEntry]]:
    """Return every entry of the lake's consents, by customer."""
    found: dict[str, list[ConsentEntry]] = defaultdict(list)
    with lake.connect(home) as connection:
        for who, purpose, channel, status, since, until, known_at in connection.execute(_CONSENTS).fetchall():
            found[who].append(
                ConsentEntry(
                    Purpose(purpose),
                    channel,
                    ConsentStatus(status),
                    _utc(since),
                    None if until is None else _utc(until),
                    _utc(known_at),
                )
            )
    return dict(found)


def mask(
    features: pd.DataFrame,
    asked: pd.DataFrame,
    channels: Sequence[frozenset[str]],
    contract: FeatureContract,
    consents: Mapping[str, Sequence[ConsentEntry]],
    *,
    recorded: Sequence[frozenset[Purpose] | None] | None = None,
) -> MaskedFeatures:
    """Return features masked by the consents known at each row's time.

    Parameters
    ----------
    features
        One row per question, the contract's columns.
    asked
        The questions, aligned: ``customer_id`` and ``at``.
    channels
        The channels each question's rows were presented on, aligned; what one of them may not see is masked.
    contract
        Has the purpose of each feature.
    consents
        Entries by customer; where there are none at all, nothing is masked, and the statement says so.
    recorded
        What each question's customer had consented to by the record of the decision, aligned; it holds before
        the entries. None: no decision of ours.
    """
    recorded = [None] * len(asked) if recorded is None else recorded
    if not consents and not any(one is not None for one in recorded):
        return MaskedFeatures(
            features,
            "No source tells consents: every feature was used, as if all had agreed. Decisions see them "
            "masked until consents are told.",
        )
    purposes = {spec.name: Purpose(spec.purpose.value) for spec in contract}
    rows: dict[str, list[int]] = defaultdict(list)
    places = zip(asked["customer_id"], asked["at"], channels, recorded, strict=True)
    for place, (who, at, seen_on, agreed) in enumerate(places):
        if agreed is None and not consents:
            continue
        known = _consent(consents.get(who, ()), seen_on, at.to_pydatetime())
        for name in masked_names(purposes, known if agreed is None else Consent(agreed)):
            rows[name].append(place)
    masked = features.copy()
    for name, hidden in rows.items():
        masked[name] = masked[name].mask(pd.Series(range(len(masked)), index=masked.index).isin(hidden))
    count = len({place for hidden in rows.values() for place in hidden})
    return MaskedFeatures(
        masked,
        f"Consents as known at each time: of {len(asked):,} looked up, {count:,} were masked in part.",
    )


def recorded_purposes(
    words: pd.Series, position: NDArray[np.intp], questions: int
) -> list[frozenset[Purpose] | None]:
    """Return what each question's customer had consented to by the decisions' records; None: none says it.

    Parameters
    ----------
    words
        ``purposes`` of each row, as the lake has them, shape (n,).
    position
        Each row's question, shape (n,). Where its rows differ, what all of them say counts.
    questions
        How many there are.
    """
    found: list[frozenset[Purpose] | None] = [None] * questions
    for place, text in zip(position[words.notna()], words.dropna(), strict=True):
        told = frozenset(Purpose(word) for word in text.split(",") if word != "none")
        earlier = found[place]
        found[place] = told if earlier is None else earlier & told
    return found


def _consent(entries: Sequence[ConsentEntry], channels: frozenset[str], at: datetime) -> Consent:
    found = [resolve([entries], channel=channel, now=at).purposes for channel in sorted(channels)]
    return Consent(frozenset.intersection(*found))


def _utc(instant: datetime) -> datetime:
    return instant.replace(tzinfo=UTC)
