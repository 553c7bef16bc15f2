"""What people and the machine do to models: one method an act, each held to the rules under the ledger's lock."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path

from serving.lifecycle import (
    Book,
    Finding,
    GateVerdict,
    Model,
    Severity,
    Stop,
    StopKind,
    Version,
)
from serving.ports import Clock
from serving.ports.life import LifeLedger, Signer


class Life:
    """The life of all models: `moment.offices.LifeOffice`, and everything a person may do.

    Parameters
    ----------
    ledger
        Keeps what is done.
    bundles
        Where bundles lie: ``<model>/<version>/``.
    clock
        Tells the time.
    machine
        Signs what nobody does by name.
    sign
        Signs a bundle's folder with the machine's bundle key, where it is not signed yet.
    person
        Returns the signer whose personal key lies in a file.
    """

    def __init__(
        self,
        ledger: LifeLedger,
        bundles: Path,
        clock: Clock,
        machine: Signer,
        *,
        sign: Callable[[Path], None] | None = None,
        person: Callable[[Path], Signer] | None = None,
    ) -> None:
        raise NotImplementedError

    @property
    def machine(self) -> Signer:
        """Who signs where no person does."""
        raise NotImplementedError

    def book(self) -> Book:
        """Return the state of everything."""
        raise NotImplementedError

    def seq(self) -> int:
        """Return how many acts there are: one small read, to see whether anything is new."""
        raise NotImplementedError

    def verify(self) -> int:
        """Check the whole ledger; return the number of acts in it."""
        raise NotImplementedError

    def find(self, model: Model, version: str) -> Version:
        """Return the one version whose digest begins like this; a refusal names the nearest."""
        raise NotImplementedError

    def submit(
        self,
        bundle: Path,
        by: Signer,
        *,
        run_id: str = "",
        registered: str = "",
        tier: int = 2,
        use_class: str = "marketing",
        owner: str = "",
        data_digest: str = "",
        reason: str = "",
    ) -> Version:
        """Make a bundle a candidate."""
        raise NotImplementedError

    def judge(
        self, model: Model, digest: str, gates: Sequence[GateVerdict], by: Signer, *, reason: str = ""
    ) -> Version:
        """Tell what the gates found; without a failure it is a challenger."""
        raise NotImplementedError

    def accept(self, model: Model, digest: str, gates: Sequence[str], reason: str, by: Signer) -> Version:
        """Take upon oneself what gates found, failed or inconclusive."""
        raise NotImplementedError

    def challenge(
        self,
        model: Model,
        digest: str,
        *,
        shadow: float = 0.0,
        routed: float = 0.0,
        by: Signer,
        reason: str = "",
    ) -> Version:
        """Set a challenger's shares."""
        raise NotImplementedError

    def approve(self, model: Model, digest: str, *, days: int = 365, reason: str, by: Signer) -> Version:
        """Approve a version that somebody else made, for a number of days."""
        raise NotImplementedError

    def reject(self, model: Model, digest: str, reason: str, by: Signer) -> Version:
        """Say that a version shall not serve."""
        raise NotImplementedError

    def promote(self, model: Model, digest: str, reason: str, by: Signer) -> Version:
        """Make a version the champion."""
        raise NotImplementedError

    def roll_back(self, model: Model, digest: str | None, reason: str, by: Signer) -> Version:
        """Make a former champion the champion again; without a digest the one before the present one."""
        raise NotImplementedError

    def retire(self, model: Model, digest: str, reason: str, by: Signer) -> Version:
        """Say that a version is of no use any more."""
        raise NotImplementedError

    def add_finding(
        self,
        model: Model,
        digest: str | None = None,
        *,
        severity: Severity,
        section: str,
        blocks: bool = False,
        reason: str,
        by: Signer,
    ) -> Finding:
        """Write down what is wrong with a model, or with one version of it."""
        raise NotImplementedError

    def close_finding(self, finding_id: str, reason: str, by: Signer) -> Finding:
        """Close a finding: mended or borne."""
        raise NotImplementedError

    def stop(self, kind: StopKind, name: str, reason: str, by: Signer) -> Stop:
        """Take something off at once."""
        raise NotImplementedError

    def resume(self, stop_id: str, by: Signer, *, reason: str = "") -> Stop | None:
        """Ask for a stop to be lifted, or agree with who asked: then it is lifted, and None comes back."""
        raise NotImplementedError

    def enter(
        self,
        bundle: Path,
        gates: Sequence[GateVerdict],
        *,
        registered: str = "",
        data_digest: str = "",
        tier: int = 2,
        use_class: str = "marketing",
        owner: str = "",
        reason: str = "",
        key_file: Path | None = None,
    ) -> Version:
        """Sign a bundle, submit it and tell what its gates found (`moment.offices.LifeOffice`)."""
        raise NotImplementedError

    def install(self, model: Model, digest: str, *, reason: str) -> Version:
        """Make a version the champion without a person, where no person is in charge of the model."""
        raise NotImplementedError
