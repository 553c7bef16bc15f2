"""The segmentation model as serving opens it: verified, then one nearest centre per customer."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from features.contract import FeatureContract, FeatureValue
from serving.bundles.manifest import (
    UNREADABLE,
    About,
    BundleFiles,
    BundleRefused,
    Manifest,
    Refusal,
    brief,
    canonical_json,
    current,
    sha256,
    write_bundle,
)
from serving.bundles.personas import Persona, Personas
from serving.bundles.reading import check_read_as, read_bundle
from serving.bundles.signing import Trust

MODEL = "segmentation"
KIND = "centres"

GOLDEN_TOLERANCE = 1e-9
"""Largest difference between a golden customer's coordinates and their recomputation."""

_FILES = frozenset({"model.json", "contract.json", "golden.json"})


@dataclass(frozen=True, slots=True)
class SegmentationBundle:
    """An opened segmentation.

    Parameters
    ----------
    folder
        Where it was opened.
    manifest
        What it states about itself.
    contract
        The customer features it was trained on.
    model
        Axes, centres and personas.
    """

    folder: Path
    manifest: Manifest
    contract: FeatureContract
    model: Personas

    @property
    def version(self) -> str:
        """Short id made from the digest."""
        return self.manifest.version

    @property
    def digest(self) -> str:
        """SHA-256 of everything that decides a customer's persona."""
        return self.manifest.digest

    @property
    def personas(self) -> tuple[Persona, ...]:
        """All personas, in the order of their indices."""
        return self.model.personas

    def assign(self, values: Mapping[str, FeatureValue]) -> Persona | None:
        """Return the customer's persona, or None when none of the features it reads is known."""
        if all(values.get(axis.name) is None for axis in self.model.axes):
            return None
        return self.model.personas[self.model.place(values)]


def write_segmentation(
    bundles: Path,
    *,
    model: Personas,
    contract: FeatureContract,
    golden: Sequence[Mapping[str, FeatureValue]],
    about: About,
) -> Path:
    """Write a segmentation bundle, keep where the golden customers fall, and return its folder.

    Parameters
    ----------
    golden
        Values of some customers, missing ones as None.
    """
    names = [axis.name for axis in model.axes]
    customers = [{name: customer.get(name) for name in names} for customer in golden]
    return write_bundle(
        bundles,
        model=MODEL,
        kind=KIND,
        files={
            "model.json": canonical_json(model.to_json()),
            "contract.json": contract.dumps().encode(),
            "golden.json": canonical_json(
                {
                    "customers": customers,
                    "points": [model.point(customer).tolist() for customer in customers],
                    "personas": [model.place(customer) for customer in customers],
                    "read_as": _read_as(model, contract),
                }
            ),
        },
        libraries={"numpy": np.__version__},
        about=about,
    )


def read_segmentation(
    folder: Path, *, trusted: Trust | None = None, digest: str | None = None
) -> BundleFiles:
    """Verify a segmentation bundle without parsing any of its files; raises as `read_bundle` does."""
    return read_bundle(folder, model=MODEL, files=_files_of, trusted=trusted, digest=digest)


def segmentation_of(files: BundleFiles) -> SegmentationBundle:
    """Parse a verified segmentation bundle and let its golden customers fall where they fell.

    Raises
    ------
    BundleRefused
        ``format`` or ``golden``.
    """
    folder, contents = files.folder, files.contents
    try:
        model = Personas.from_json(json.loads(contents["model.json"]))
        contract = FeatureContract.loads(contents["contract.json"].decode())
        golden = json.loads(contents["golden.json"])
        read_as, stated = _read_as(model, contract), golden.get("read_as")
        reproduced = _reproduces(model, golden)
    except UNREADABLE as error:
        raise BundleRefused(folder, Refusal.FORMAT, f"a file cannot be parsed ({brief(error)})") from error
    if len(model.centres) != len(model.personas) or not model.personas:
        raise BundleRefused(folder, Refusal.FORMAT, "it has not one centre for each persona")
    if not reproduced:
        detail = f"a golden customer falls elsewhere (allowed is {GOLDEN_TOLERANCE:.0e})"
        raise BundleRefused(folder, Refusal.GOLDEN, detail)
    check_read_as(files, stated, read_as)
    return SegmentationBundle(folder, files.manifest, contract, model)


def open_segmentation(folder: Path, *, trusted: Trust | None = None) -> SegmentationBundle:
    """Verify and open a segmentation bundle.

    Raises
    ------
    BundleRefused
        With the reason.
    """
    return segmentation_of(read_segmentation(folder, trusted=trusted))


def open_current_segmentation(bundles: Path) -> SegmentationBundle:
    """Open the model that ``CURRENT`` names; :class:`~moment.errors.StepMissing` where there is none."""
    return open_segmentation(current(bundles, MODEL))


def _files_of(kind: str) -> frozenset[str] | None:
    return _FILES if kind == KIND else None


def _read_as(model: Personas, contract: FeatureContract) -> dict[str, str]:
    return {
        "model": sha256(canonical_json(model.to_json())),
        "contract": sha256(contract.dumps().encode()),
    }


def _reproduces(model: Personas, golden: Mapping[str, list[object]]) -> bool:
    customers = golden["customers"]
    points = np.array([model.point(customer) for customer in customers if isinstance(customer, Mapping)])
    personas = [model.place(customer) for customer in customers if isinstance(customer, Mapping)]
    stated = np.array(golden["points"], dtype=np.float64)
    return (
        points.shape == stated.shape
        and points.size > 0
        and bool((np.abs(points - stated) <= GOLDEN_TOLERANCE).all())
        and personas == golden["personas"]
    )
