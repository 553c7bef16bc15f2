"""The next-best-action model: a decision policy as a bundle, the whole catalogue and how it answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from serving.bundles.manifest import About, BundleFiles, Manifest
from serving.bundles.signing import Trust

if TYPE_CHECKING:
    from serving.decision.catalogue import Catalogue
    from serving.decision.columns import Column

MODEL = "next-best-action"
KIND = "catalogue"


@dataclass(frozen=True, slots=True)
class PolicyBundle:
    """An opened decision policy.

    Parameters
    ----------
    folder
        Where it was opened; ``catalogue.yaml`` lies in it as it was written.
    manifest
        What it states about itself.
    catalogue
        Checked and compiled for `columns`.
    columns
        The customer's columns its rules may read, with their types.
    source
        The text of the catalogue.
    golden
        The golden decisions (YAML, ``serving.catalogue.golden``); empty where there are none.
    """

    folder: Path
    manifest: Manifest
    catalogue: Catalogue
    columns: Mapping[str, Column]
    source: bytes
    golden: bytes

    @property
    def version(self) -> str:
        """Short id made from the digest."""
        return self.manifest.version

    @property
    def digest(self) -> str:
        """SHA-256 of everything the policy decides by."""
        return self.manifest.digest


def write_policy(
    bundles: Path,
    source: Path,
    catalogue: Catalogue,
    columns: Mapping[str, Column],
    *,
    golden: bytes = b"",
    about: About,
) -> Path:
    """Write a policy bundle, keep what some fixed requests come out as, and return its folder."""
    raise NotImplementedError


def open_policy(folder: Path, *, trusted: Trust | None = None) -> PolicyBundle:
    """Verify and open a policy bundle."""
    raise NotImplementedError


def open_current_policy(bundles: Path) -> PolicyBundle:
    """Open the policy that ``CURRENT`` names; :class:`~moment.errors.StepMissing` where there is none."""
    raise NotImplementedError


def read_policy(folder: Path, *, trusted: Trust | None = None, digest: str | None = None) -> BundleFiles:
    """Verify a policy bundle without parsing any of its files."""
    raise NotImplementedError


def policy_of(files: BundleFiles) -> PolicyBundle:
    """Parse a verified policy bundle."""
    raise NotImplementedError
