"""All use cases together, as a caller finds them once everything they need is open."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from features.contract import FeatureContract
from features.realtime_features import REALTIME_V1
from serving.records import Versions
from serving.use_cases.customers import ViewCustomer
from serving.use_cases.decide import Decide
from serving.use_cases.events import TakeEvents
from serving.use_cases.recall import Recall


@dataclass(frozen=True)
class Desk:
    """The use cases.

    Parameters
    ----------
    decide, recall, view_customer, take_events
        The use cases.
    contract
        The features they know of a customer.
    """

    decide: Decide
    recall: Recall
    view_customer: ViewCustomer
    take_events: TakeEvents
    contract: FeatureContract

    def check(self) -> None:
        """Ask every store whether it answers; DependencyError when one does not."""
        self.decide.features.read("readiness", self.decide.clock())
        self.decide.records.find("readiness")

    @property
    def versions(self) -> Versions:
        """What decides."""
        return self.decide.versions

    @cached_property
    def views(self) -> dict[str, str]:
        """The view of each feature."""
        return {spec.name: spec.view for spec in (*self.contract, *REALTIME_V1)}
