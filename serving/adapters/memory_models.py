"""The archive of models in memory: for tests and trying things out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from features.contract import FeatureContract
from serving.decision.actions import Action
from serving.ports import Scorer, Segmenter


@dataclass(frozen=True, slots=True)
class MemoryModels:
    """The port `ModelArchive` on models held by nobody else; any of them may be missing."""

    scorers: tuple[Scorer, ...] = ()
    segmenters: tuple[Segmenter, ...] = ()
    trained_on: FeatureContract | None = None

    def scorer(self, digest: str, actions: Sequence[Action]) -> Scorer | None:  # noqa: ARG002 - they know all
        """Return the propensity model of this version."""
        return next((one for one in self.scorers if one.version == digest), None)

    def segmenter(self, digest: str) -> Segmenter | None:
        """Return the segmentation model of this version."""
        return next((one for one in self.segmenters if one.version == digest), None)

    def contract(self, propensity: str) -> FeatureContract | None:
        """Return what all of them were trained on."""
        known = any(one.version == propensity for one in self.scorers)
        return self.trained_on if known else None
