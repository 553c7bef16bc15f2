"""A bundle is proved in a child process that may die of it, before it is parsed where decisions are made."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from serving.bundles.manifest import BundleFiles
from serving.bundles.policy import PolicyBundle
from serving.bundles.propensity import PropensityBundle
from serving.bundles.segmentation import SegmentationBundle
from serving.bundles.signing import Trust

SECONDS = 20.0
"""How long a proof may take, the start of the child included."""

MEMORY_MIB = 2048
"""How much address space a proof may take."""


@dataclass(frozen=True, slots=True)
class Proved:
    """A bundle that a child opened and whose golden predictions it reproduced.

    Parameters
    ----------
    digest
        Of the bundle.
    files
        The very bytes that were proved: what is opened is these, not what lies on the disk later.
    """

    digest: str
    files: BundleFiles


def prove(
    folder: Path,
    *,
    model: str,
    trusted: Trust | None,
    digest: str | None = None,
    seconds: float = SECONDS,
    memory_mib: int | None = MEMORY_MIB,
) -> Proved:
    """Verify digest and signature of a bundle, and let a child parse it and reproduce its golden predictions.

    Parameters
    ----------
    folder
        The bundle.
    model
        What it must be: ``propensity``, ``segmentation`` or ``next-best-action``.
    trusted
        Whose signatures are believed; None asks for no signature (only to sign it afterwards).
    digest
        What its digest must be, as the ledger or a record states it; None takes what its folder's name says.
    seconds, memory_mib
        What the proof may take.

    Raises
    ------
    BundleRefused
        With the reason; ``crashed``, ``timeout`` and ``memory`` are the child's end.
    """
    raise NotImplementedError


def open_proved_propensity(folder: Path, trusted: Trust, *, digest: str | None = None) -> PropensityBundle:
    """Prove and open a propensity bundle."""
    raise NotImplementedError


def open_proved_segmentation(
    folder: Path, trusted: Trust, *, digest: str | None = None
) -> SegmentationBundle:
    """Prove and open a segmentation bundle."""
    raise NotImplementedError


def open_proved_policy(folder: Path, trusted: Trust, *, digest: str | None = None) -> PolicyBundle:
    """Prove and open a policy bundle."""
    raise NotImplementedError
