"""People, gates, bundles and a whole house of models for the tests of their lives."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from serving.adapters.memory import MemoryKeys
from serving.adapters.memory_life import MemoryLife
from serving.adapters.personal_signing import MachineSigner, PersonalSigner
from serving.adapters.vault import Vault
from serving.bundles import About, read_manifest, write_bundle
from serving.lifecycle import GateVerdict, Model, Verdict, Version
from serving.ports import Keys, Role
from serving.ports.life import LifeLedger, Signer
from serving.use_cases.keys import create_personal_key
from serving.use_cases.life import Life

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
MACHINE = MachineSigner(Vault(bytes(range(32))))
PROPENSITY, POLICY = Model.PROPENSITY, Model.NEXT_BEST_ACTION
PASSED = (GateVerdict(gate="auc", title="AUC, at least 0.7", verdict=Verdict.PASS, value=0.8, at_least=0.7),)
UNSURE = (*PASSED, GateVerdict(gate="slope", title="Slope", verdict=Verdict.INCONCLUSIVE, value=1.2))
FAILED = (*PASSED, GateVerdict(gate="slope", title="Slope", verdict=Verdict.FAIL, note="no number"))


@dataclass
class Clock:
    """A clock that is set."""

    now: datetime = NOW

    def __call__(self) -> datetime:
        """Return the time it is set to."""
        return self.now

    def forward(self, **span: float) -> None:
        """Set it forward."""
        self.now += timedelta(**span)


def personal(keys: Keys, person: str, role: Role) -> PersonalSigner:
    """Return a person with a new key of their own."""
    secret = create_personal_key(keys, person=person, role=role, now=NOW).secret
    return PersonalSigner(secret, keys, lambda: NOW)


def bundle(bundles: Path, content: str, model: Model = PROPENSITY) -> Path:
    """Write a bundle that holds one file; other content, another version."""
    about = About(created_at=NOW.isoformat(), run_id="run-1")
    return write_bundle(
        bundles, model=model, kind="test", files={"a.json": content.encode()}, libraries={}, about=about
    )


@dataclass
class House:
    """A ledger in memory, the people who work there, and what they do all day."""

    bundles: Path
    clock: Clock = field(default_factory=Clock)
    keys: MemoryKeys = field(default_factory=MemoryKeys)
    ledger: LifeLedger = field(init=False)

    def __post_init__(self) -> None:
        self.ledger = MemoryLife(MACHINE, self.keys, self.clock)
        self.life = Life(self.ledger, self.bundles, self.clock, MACHINE)
        self.ada = personal(self.keys, "Ada Byron", Role.RISK_OFFICER)
        self.rosa = personal(self.keys, "Rosa Luxemburg", Role.RISK_OFFICER)
        self.carl = personal(self.keys, "Carl Gauss", Role.DATA_SCIENTIST)
        self.olga = personal(self.keys, "Olga Ladyzhenskaya", Role.OPERATOR)
        self.sam = personal(self.keys, "Sam Foster", Role.SUPPORT)

    def candidate(self, content: str, by: Signer | None = None, model: Model = PROPENSITY) -> Version:
        """Submit a version; Carl's, where nobody else is named."""
        return self.life.submit(bundle(self.bundles, content, model), by or self.carl)

    def challenger(
        self, content: str, gates: tuple[GateVerdict, ...] = PASSED, by: Signer | None = None
    ) -> Version:
        """Submit a version and tell its gates."""
        made = self.candidate(content, by)
        return self.life.judge(made.model, made.digest, gates, by or self.carl)

    def approved(self, content: str, days: int = 365) -> Version:
        """Bring a version of Carl's to Ada's approval."""
        made = self.challenger(content)
        return self.life.approve(made.model, made.digest, reason="read the report", days=days, by=self.ada)

    def champion(self, content: str, days: int = 365) -> Version:
        """Bring a version of Carl's to serve."""
        made = self.approved(content, days)
        return self.life.promote(made.model, made.digest, "better", self.olga)


def digest_of(folder: Path) -> str:
    """Return a bundle's digest."""
    return read_manifest(folder).digest
