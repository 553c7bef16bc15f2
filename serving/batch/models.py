"""The models and the catalogue a batch decides by: the champions as it begins, the same to its end."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from moment import __version__
from moment.errors import DependencyError
from moment.home import Home
from serving.bootstrap import catalogue_columns
from serving.decision.catalogue import Catalogue
from serving.lifecycle import Approval, Book, Model
from serving.records import Versions

if TYPE_CHECKING:
    from features.contract import FeatureContract
    from serving.adapters.shelf import Bundle, Shelf
    from serving.bundles import PropensityBundle, SegmentationBundle
    from serving.bundles.policy import PolicyBundle

_log = logging.getLogger("moment.batch")


@dataclass(frozen=True, slots=True)
class Models:
    """The bundles in use; `policy` is None where the catalogue comes in none."""

    segmentation: SegmentationBundle
    propensity: PropensityBundle
    policy: PolicyBundle | None = None
    approvals: Mapping[Model, Approval | None] = field(default_factory=lambda: dict.fromkeys(Model))

    @classmethod
    def open(cls, home: Home, contract: FeatureContract) -> Models:
        """Open the ledger's champions; where it has none, or it is refused, the last good one of the model.

        Raises
        ------
        StepMissing, DependencyError
            There is none, or it is refused: damaged, unsigned, made for other features.
        """
        book, shelf = book_of(home), _shelf(home, contract)
        has_policy = book.champion(Model.NEXT_BEST_ACTION) is not None
        opened = {
            model: _champion(shelf, book, model)
            for model in Model
            if has_policy or model is not Model.NEXT_BEST_ACTION
        }
        return cls._of(opened, book)

    @classmethod
    def reopen(cls, home: Home, contract: FeatureContract, versions: Versions) -> Models:
        """Open the very bundles a batch began with, whatever is the champion now."""
        shelf = _shelf(home, contract)
        wanted = {Model.SEGMENTATION: versions.segmentation, Model.PROPENSITY: versions.propensity}
        if versions.policy:
            wanted[Model.NEXT_BEST_ACTION] = versions.policy
        return cls._of({model: shelf.open(model, digest) for model, digest in wanted.items()}, Book())

    @classmethod
    def _of(cls, opened: Mapping[Model, Bundle], book: Book) -> Models:
        known = {model: book.find(model, bundle.digest) for model, bundle in opened.items()}
        approvals = {model: None if one is None else one.approval for model, one in known.items()}
        return cls(
            segmentation=opened[Model.SEGMENTATION],  # type: ignore[arg-type]  # the shelf knows which is which
            propensity=opened[Model.PROPENSITY],  # type: ignore[arg-type]
            policy=opened.get(Model.NEXT_BEST_ACTION),  # type: ignore[arg-type]
            approvals=dict.fromkeys(Model) | approvals,
        )

    def versions(self, catalogue: Catalogue) -> Versions:
        """Return what decides, with a catalogue."""
        return Versions(
            catalogue=catalogue.digest,
            contract=self.propensity.contract.digest(),
            propensity=self.propensity.digest,
            segmentation=self.segmentation.digest,
            code=__version__,
            policy="" if self.policy is None else self.policy.digest,
        )

    def approved(self, now: datetime) -> dict[str, str]:
        """Return of each model by name whether it is approved at a time: none, approved or expired."""
        return {
            model.value: "none" if one is None else "approved" if one.holds(now) else "expired"
            for model, one in self.approvals.items()
        }


def book_of(home: Home) -> Book:
    """Return the book of a home's models; an empty one where there is no database yet."""
    from serving.life_room import open_life

    if not home.database.exists():
        return Book()
    with open_life(home) as life:
        return life.book()


def _shelf(home: Home, contract: FeatureContract) -> Shelf:
    from serving.adapters.catalogue_files import CatalogueFiles
    from serving.adapters.shelf import Shelf
    from serving.bundles.signing import Trust

    archive = CatalogueFiles(home.root / "catalogues")
    return Shelf(home.bundles, Trust.of_home(home.keys), contract, catalogue_columns(contract), archive)


def _champion(shelf: Shelf, book: Book, model: Model) -> Bundle:
    champion = book.champion(model)
    if champion is not None:
        try:
            return shelf.open(model, champion.digest)
        except DependencyError as refusal:
            _log.warning("%s; the last good %s decides", str(refusal).partition("\n")[0], model.value)
    return shelf.open_current(model)
