"""Every model that is still kept, found by its digest: what decided then can be asked again."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from features.contract import FeatureContract
from serving.adapters.bundles import BundleScorer, BundleSegmenter
from serving.bundles import PolicyBundle, PropensityBundle, SegmentationBundle, Trust
from serving.bundles.manifest import BundleFiles
from serving.bundles.policy import policy_of, read_policy
from serving.bundles.propensity import propensity_of, read_propensity
from serving.bundles.segmentation import read_segmentation, segmentation_of
from serving.decision.actions import Action

_DIGEST = re.compile(r"[0-9a-f]{64}")
_FOLDER_LETTERS = 12

B = TypeVar("B", PropensityBundle, SegmentationBundle, PolicyBundle)


class BundleArchive:
    """The port `ModelArchive` on the folder of bundles.

    A record cites only what this house served, and so proved in a child then; here its digest and its
    signature are asked for again.

    Parameters
    ----------
    bundles
        The folder.
    trusted
        Whose signatures are believed. None asks for none: a home from before bundles were signed, where the
        digest in the record is what vouches for them.
    """

    def __init__(self, bundles: Path, trusted: Trust | None = None) -> None:
        self._bundles = bundles
        self._trusted = trusted
        self._propensity: dict[str, PropensityBundle | None] = {}
        self._segmentation: dict[str, SegmentationBundle | None] = {}
        self._policy: dict[str, PolicyBundle | None] = {}

    def scorer(self, digest: str, actions: Sequence[Action]) -> BundleScorer | None:
        """Return the propensity model with this digest, verified."""
        bundle = self._open_propensity(digest)
        return None if bundle is None else BundleScorer(bundle, actions)

    def segmenter(self, digest: str) -> BundleSegmenter | None:
        """Return the segmentation model with this digest, verified."""
        if digest not in self._segmentation:
            self._segmentation[digest] = self._open(
                "segmentation", digest, read_segmentation, segmentation_of
            )
        bundle = self._segmentation[digest]
        return None if bundle is None else BundleSegmenter(bundle)

    def contract(self, propensity: str) -> FeatureContract | None:
        """Return the features a propensity model was trained on."""
        bundle = self._open_propensity(propensity)
        return None if bundle is None else bundle.contract

    def policy(self, digest: str) -> PolicyBundle | None:
        """Return the decision policy with this digest, verified."""
        if digest not in self._policy:
            self._policy[digest] = self._open("next-best-action", digest, read_policy, policy_of)
        return self._policy[digest]

    def _open_propensity(self, digest: str) -> PropensityBundle | None:
        if digest not in self._propensity:
            self._propensity[digest] = self._open("propensity", digest, read_propensity, propensity_of)
        return self._propensity[digest]

    def _open(
        self,
        model: str,
        digest: str,
        read: Callable[..., BundleFiles],
        parsed: Callable[[BundleFiles], B],
    ) -> B | None:
        folder = self._bundles / model / digest[:_FOLDER_LETTERS]
        if not _DIGEST.fullmatch(digest) or not folder.is_dir():
            return None
        return parsed(read(folder, trusted=self._trusted, digest=digest))
