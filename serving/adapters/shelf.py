"""The bundles that decide, taken from their folder: proved in a child, and fitting what is served."""

from __future__ import annotations

from pathlib import Path

from features.contract import FeatureContract
from moment.errors import DependencyError
from serving.adapters.catalogue_files import CatalogueFiles
from serving.bundles import PropensityBundle, SegmentationBundle, current, make_current
from serving.bundles.policy import PolicyBundle
from serving.bundles.proving import open_proved_policy, open_proved_propensity, open_proved_segmentation
from serving.bundles.signing import Trust
from serving.catalogue.feature_columns import missing_columns
from serving.decision.columns import Column
from serving.lifecycle import Model

Bundle = SegmentationBundle | PropensityBundle | PolicyBundle

_FOLDER_LETTERS = 12


class Unfit(DependencyError):
    """A bundle is sound, but was made for other features than are served."""

    reason = "contract"


class Shelf:
    """Opens bundles; it remembers none.

    Parameters
    ----------
    bundles
        Folder of all bundles.
    trusted
        Whose signatures are believed.
    contract, columns
        The features that are served, and what rules may read of them.
    archive
        Keeps the catalogue of every policy that is opened, so that what it decides can be read again.
    """

    def __init__(
        self,
        bundles: Path,
        trusted: Trust,
        contract: FeatureContract,
        columns: dict[str, Column],
        archive: CatalogueFiles | None = None,
    ) -> None:
        self._bundles = bundles
        self._trusted = trusted
        self._contract = contract
        self._columns = columns
        self._archive = archive

    def open(self, model: Model, digest: str) -> Bundle:
        """Open the bundle with this digest. It takes a second or more: a child proves it first.

        Raises
        ------
        BundleRefused, Unfit
            It is not what its digest says, nobody who is trusted signed it, it does not do what it states, or
            it was made for other features.
        """
        return self._open(model, self._bundles / model.value / digest[:_FOLDER_LETTERS], digest)

    def open_current(self, model: Model) -> Bundle:
        """Open the last good bundle of a model; StepMissing where there is none."""
        return self._open(model, current(self._bundles, model.value), None)

    def serves(self, model: Model, digest: str) -> None:
        """Note that a bundle was taken into service: it is the last good one from now on."""
        folder = self._bundles / model.value / digest[:_FOLDER_LETTERS]
        pointer = folder.parent / "CURRENT"
        if not pointer.is_file() or pointer.read_text("utf-8").strip() != folder.name:
            make_current(folder)

    def _open(self, model: Model, folder: Path, digest: str | None) -> Bundle:
        """Open a bundle that fits what is served; the catalogue of a policy is archived."""
        bundle = self._proved(model, folder, digest)
        if isinstance(bundle, PolicyBundle):
            self._check_columns(bundle)
            if self._archive is not None:
                self._archive.keep(folder / "catalogue.yaml", bundle.catalogue, bundle.columns)
        elif bundle.contract.digest() != self._contract.digest():
            raise Unfit(
                f"the {model} model {folder.name} was trained on other features than are served; "
                f"run `moment train {model}` again"
            )
        return bundle

    def _proved(self, model: Model, folder: Path, digest: str | None) -> Bundle:
        match model:
            case Model.SEGMENTATION:
                return open_proved_segmentation(folder, self._trusted, digest=digest)
            case Model.PROPENSITY:
                return open_proved_propensity(folder, self._trusted, digest=digest)
            case Model.NEXT_BEST_ACTION:
                return open_proved_policy(folder, self._trusted, digest=digest)

    def _check_columns(self, policy: PolicyBundle) -> None:
        missing = missing_columns(policy.catalogue, self._columns)
        if missing:
            raise Unfit(
                f"the policy {policy.folder.name} reads {', '.join(missing)} of the customer, which the "
                "features do not have; define them as features, or submit a catalogue without them"
            )
