"""What is known of a customer, and what models make of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from features.contract import FeatureContract, FeatureValue
from serving.decision.actions import Candidate
from serving.decision.decision import Scores
from serving.decision.values import FeatureState, Scalar


@dataclass(frozen=True, slots=True)
class CustomerFacts:
    """What the feature store knows of one customer at a time.

    Parameters
    ----------
    found
        Whether it knows the customer at all.
    values
        Every feature of the contract by name; None where missing, expired or masked. Empty when not found.
    states
        Why each value that is None is so; the others are present.
    event_times
        Per feature view, the time its values are as of, UTC.
    """

    found: bool
    values: Mapping[str, FeatureValue]
    states: Mapping[str, FeatureState]
    event_times: Mapping[str, datetime]

    def joined(self, realtime: CustomerFacts) -> CustomerFacts:
        """Return these facts with real-time features beside them; whether the customer is found stays."""
        return CustomerFacts(
            found=self.found,
            values={**self.values, **realtime.values},
            states={**self.states, **realtime.states},
            event_times={**self.event_times, **realtime.event_times},
        )


NOBODY = CustomerFacts(found=False, values={}, states={}, event_times={})
"""What is known of a customer nobody knows."""


class CustomerFeatures(Protocol):
    """The feature store as a decision sees it."""

    @property
    def contract(self) -> FeatureContract:
        """The features it serves."""
        ...

    def read(self, customer_id: str, now: datetime) -> CustomerFacts:
        """Return what is known of the customer at ``now``; DependencyError when the store cannot say."""
        ...

    def newest(self) -> datetime:
        """Return the time of the newest features; StepMissing when there are none."""
        ...


class Scorer(Protocol):
    """The propensity model."""

    @property
    def version(self) -> str:
        """Digest of the bundle."""
        ...

    def score(
        self,
        customer: CustomerFacts,
        contenders: Sequence[Candidate],
        context: Mapping[str, Scalar],
        slots: int,
    ) -> Scores:
        """Score all contenders in one call; ``slots`` is how many offers are asked for together."""
        ...


class Segmenter(Protocol):
    """The segmentation model."""

    @property
    def version(self) -> str:
        """Digest of the bundle."""
        ...

    def assign(self, customer: CustomerFacts) -> str | None:
        """Return the name of the customer's persona, or None when too little is known."""
        ...
