"""All use cases together, as a caller finds them once everything they need is open."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

from features.contract import FeatureContract
from features.realtime_features import REALTIME_V1
from serving.ports import ModelArchive
from serving.records import Versions
from serving.use_cases.consents import TellConsents
from serving.use_cases.customers import ViewCustomer, ViewHistory
from serving.use_cases.deadline import Aside
from serving.use_cases.decide import Decide
from serving.use_cases.erase import EraseCustomer
from serving.use_cases.erasing import Erasing
from serving.use_cases.events import TakeEvents
from serving.use_cases.explain import Explain
from serving.use_cases.export import ExportCustomer
from serving.use_cases.identity import Identify
from serving.use_cases.outcomes import TakeOutcomes
from serving.use_cases.recall import Recall
from serving.use_cases.replay import Present, Replay


@dataclass(frozen=True)
class Desk:
    """The use cases.

    Parameters
    ----------
    decide, recall, view_customer, take_events, take_outcomes, identify, tell_consents, erase, export
        The use cases.
    contract
        The features they know of a customer.
    models
        Every model that is still kept, to replay by.
    aside
        Does what reads stores in threads of its own: ``await desk.aside(lambda: ...)``.
    """

    decide: Decide
    recall: Recall
    view_customer: ViewCustomer
    take_events: TakeEvents
    take_outcomes: TakeOutcomes
    identify: Identify
    tell_consents: TellConsents
    erase: EraseCustomer
    export: ExportCustomer
    contract: FeatureContract
    models: ModelArchive
    aside: Aside = field(default_factory=Aside)

    def check(self) -> None:
        """Ask what no answer can do without; DependencyError when it does not answer.

        What decisions can do without is not asked: without it they are degraded, not down.
        """
        self.decide.records.find("readiness")

    @property
    def versions(self) -> Versions:
        """What decides."""
        return self.decide.live.now.champion.versions

    @cached_property
    def erasing(self) -> Erasing:
        """Erases for who asks over HTTP: ``await desk.erasing(caller, customer_id)``."""
        return Erasing(self.erase, self.aside)

    @cached_property
    def view_history(self) -> ViewHistory:
        """A customer's decisions, page by page."""
        return ViewHistory(self.decide.records)

    @cached_property
    def explain(self) -> Explain:
        """Why a recorded decision came out as it did."""
        return Explain(self.recall)

    @property
    def replay(self) -> Replay:
        """Decides a recorded decision again; against the present, by what is live now."""
        now = self.decide.live.now.champion
        present = Present(now.catalogue, now.scorer, now.segmenter, now.versions)
        return Replay(self.recall, self.models, now.versions.code, present)

    @cached_property
    def views(self) -> dict[str, str]:
        """The view of each feature."""
        return {spec.name: spec.view for spec in (*self.contract, *REALTIME_V1)}
