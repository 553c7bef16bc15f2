"""Every model that is still kept, found by its digest: what decided then can be asked again."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from features.contract import FeatureContract
from moment.errors import DependencyError
from serving.adapters.bundles import BundleScorer, BundleSegmenter
from serving.bundles import PropensityBundle, SegmentationBundle, open_propensity, open_segmentation
from serving.decision.actions import Action

_DIGEST = re.compile(r"[0-9a-f]{64}")
_FOLDER_LETTERS = 12

B = TypeVar("B", PropensityBundle, SegmentationBundle)


class BundleArchive:
    """The port `ModelArchive` on the folder of bundles."""

    def __init__(self, bundles: Path) -> None:
        self._bundles = bundles
        self._propensity: dict[str, PropensityBundle | None] = {}
        self._segmentation: dict[str, SegmentationBundle | None] = {}

    def scorer(self, digest: str, actions: Sequence[Action]) -> BundleScorer | None:
        """Return the propensity model with this digest, verified."""
        bundle = self._open_propensity(digest)
        return None if bundle is None else BundleScorer(bundle, actions)

    def segmenter(self, digest: str) -> BundleSegmenter | None:
        """Return the segmentation model with this digest, verified."""
        if digest not in self._segmentation:
            self._segmentation[digest] = self._open("segmentation", digest, open_segmentation)
        bundle = self._segmentation[digest]
        return None if bundle is None else BundleSegmenter(bundle)

    def contract(self, propensity: str) -> FeatureContract | None:
        """Return the features a propensity model was trained on."""
        bundle = self._open_propensity(propensity)
        return None if bundle is None else bundle.contract

    def _open_propensity(self, digest: str) -> PropensityBundle | None:
        if digest not in self._propensity:
            self._propensity[digest] = self._open("propensity", digest, open_propensity)
        return self._propensity[digest]

    def _open(self, model: str, digest: str, opens: Callable[[Path], B]) -> B | None:
        folder = self._bundles / model / digest[:_FOLDER_LETTERS]
        if not _DIGEST.fullmatch(digest) or not folder.is_dir():
            return None
        bundle = opens(folder)
        if bundle.manifest.digest != digest:
            raise DependencyError(
                f"{model} bundle {digest[:_FOLDER_LETTERS]} was changed; restore its folder"
            )
        return bundle
