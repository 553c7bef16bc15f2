"""From open bundles and the ledger's book to what is live: champions, challengers' arms, shadows, stops."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace

from serving.adapters.bundles import BundleScorer, BundleSegmenter
from serving.adapters.shelf import Bundle
from serving.bundles import PropensityBundle, SegmentationBundle
from serving.bundles.policy import PolicyBundle
from serving.decision.catalogue import Catalogue
from serving.lifecycle import Book, Model
from serving.records import Versions
from serving.use_cases.standstill import Standstill
from serving.use_cases.version_set import Challenger, Live, VersionSet

Key = tuple[Model, str]
"""A model and the digest of a bundle of it."""

_log = logging.getLogger("moment.succession")


@dataclass(frozen=True, slots=True, eq=False)
class Pieces:
    """The bundles that decide; `policy` is None where the catalogue came in none."""

    segmentation: SegmentationBundle
    propensity: PropensityBundle
    policy: PolicyBundle | None
    catalogue: Catalogue

    def digest(self, model: Model) -> str:
        """Return the digest of a model's bundle, empty where there is none."""
        if model is Model.NEXT_BEST_ACTION:
            return "" if self.policy is None else self.policy.digest
        return self.segmentation.digest if model is Model.SEGMENTATION else self.propensity.digest

    def having(self, bundle: Bundle) -> Pieces:
        """Return them with another bundle in the place of its model's."""
        if isinstance(bundle, SegmentationBundle):
            return replace(self, segmentation=bundle)
        if isinstance(bundle, PropensityBundle):
            return replace(self, propensity=bundle)
        return replace(self, policy=bundle, catalogue=bundle.catalogue)


class LineUp:
    """Puts together what is live.

    Parameters
    ----------
    code_version
        Version of Moment, for the record.
    opened
        The bundles that are open now.
    """

    def __init__(self, code_version: str, opened: Mapping[Key, Bundle]) -> None:
        self._code_version = code_version
        self._open = opened
        self._scorers: dict[tuple[str, str], BundleScorer] = {}
        self._told: set[Key] = set()

    def live(self, pieces: Pieces, book: Book, before: Live | None = None) -> Live:
        """Return what the pieces and the book come to; challengers that are not open yet are left out."""
        champion = self._set(pieces, book, None if before is None else before.champion)
        challenging = [
            (one, self._set(pieces.having(bundle), book))
            for model in Model
            for one in book.challengers(model)
            if (one.routed or one.shadow) and (bundle := self._open.get((model, one.digest))) is not None
        ]
        return Live(
            champion=champion,
            arms=tuple(
                Challenger(one.model, one.digest, one.routed, by)
                for one, by in challenging
                if one.routed
                and not book.held_back(one)
                and self._may_decide(one.model, one.digest, champion, by)
            ),
            shadows=tuple(
                Challenger(one.model, one.digest, one.shadow, by) for one, by in challenging if one.shadow
            ),
            standstill=Standstill.of(book.stops.values()),
            seq=book.seq,
            earlier=frozenset() if before is None else before.earlier.union(before.kinds),
        )

    def put_back(self, live: Live) -> None:
        """Let go of scorers that nothing uses any more."""
        sets = (live.champion, *(one.versions for one in (*live.arms, *live.shadows)))
        used = {(one.versions.propensity, one.versions.catalogue) for one in sets}
        for key in self._scorers.keys() - used:
            del self._scorers[key]

    def _set(self, pieces: Pieces, book: Book, before: VersionSet | None = None) -> VersionSet:
        """Return pieces as a version set; the one before where it is of the same versions."""
        versions = Versions(
            catalogue=pieces.catalogue.digest,
            contract=pieces.propensity.contract.digest(),
            propensity=pieces.propensity.digest,
            segmentation=pieces.segmentation.digest,
            code=self._code_version,
            policy=pieces.digest(Model.NEXT_BEST_ACTION),
        )
        known = {model: book.find(model, pieces.digest(model)) for model in Model}
        approvals = {model: None if one is None else one.approval for model, one in known.items()}
        if before is not None and before.versions == versions:
            return replace(before, approvals=approvals)
        key = versions.propensity, versions.catalogue
        if key not in self._scorers:
            self._scorers[key] = BundleScorer(pieces.propensity, pieces.catalogue.actions)
        segmenter = BundleSegmenter(pieces.segmentation)
        return VersionSet(pieces.catalogue, self._scorers[key], segmenter, versions, approvals)

    def _may_decide(self, model: Model, digest: str, champion: VersionSet, by: VersionSet) -> bool:
        """Whether a challenger can be given customers; that it cannot is told once."""
        if answers_all(champion.catalogue, by.catalogue):
            return True
        if (model, digest) not in self._told:
            self._told.add((model, digest))
            _log.warning(
                "challenger %s %s decides for nobody: it lacks a placement, slots or context that the "
                "champion's catalogue has, and would refuse requests",
                model.value,
                digest[:12],
            )
        return False


def answers_all(champion: Catalogue, challenger: Catalogue) -> bool:
    """Whether a challenger's catalogue takes every request that the champion's takes."""
    if not _fields(champion) <= _fields(challenger):
        return False
    for place in champion.placements:
        other = challenger.placement(place.channel, place.name)
        if other is None or other.slots < place.slots:
            return False
    return True


def _fields(catalogue: Catalogue) -> set[tuple[object, ...]]:
    return {(one.name, one.type, one.set_by, one.categories) for one in catalogue.context}
