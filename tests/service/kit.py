"""A small shop to decide in: a catalogue, a contract, customers; and the use cases on stores in memory."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path

from features.contract import DType, FeatureContract, FeatureSpec, FeatureValue, Purpose
from features.realtime_features import REALTIME_V1
from serving.adapters.memory import (
    CountingIds,
    FixedClock,
    MemoryCatalogues,
    MemoryFeatures,
    MemoryKeys,
    MemoryRecords,
    RuleSegmenter,
    TableScorer,
)
from serving.adapters.memory_consents import (
    MemoryConsents,
    MemoryErasures,
    MemoryHeld,
    MemoryIdentities,
    MemoryTurns,
)
from serving.adapters.memory_contacts import MemoryContacts
from serving.adapters.memory_events import MemoryEvents
from serving.adapters.memory_life import MemoryLife
from serving.adapters.memory_models import MemoryModels
from serving.adapters.personal_signing import MachineSigner, PersonalSigner
from serving.adapters.vault import Vault
from serving.catalogue import load
from serving.catalogue.feature_columns import feature_columns
from serving.decision.catalogue import Catalogue
from serving.decision.consent_ledger import ConsentEntry, ConsentStatus
from serving.decision.values import FeatureState
from serving.decision.values import Purpose as ConsentPurpose
from serving.ports import Bounds, CustomerFacts, Keys, Role, Scope, Scorer, Segmenter, Told
from serving.ports.life import Signer
from serving.records import Mode, Versions
from serving.use_cases.access import Access, Caller
from serving.use_cases.allowance import PersonalAllowance
from serving.use_cases.asking import Ask
from serving.use_cases.consents import TellConsents
from serving.use_cases.customers import ViewCustomer
from serving.use_cases.decide import Decide
from serving.use_cases.desk import Desk
from serving.use_cases.erase import EraseCustomer
from serving.use_cases.events import TakeEvents
from serving.use_cases.export import ExportCustomer
from serving.use_cases.identity import Identify
from serving.use_cases.keys import create_key, create_personal_key
from serving.use_cases.life import Life
from serving.use_cases.outcomes import TakeOutcomes
from serving.use_cases.recall import Recall
from serving.use_cases.tracking import LABEL, Tracking
from serving.use_cases.version_set import Live, LiveState, VersionSet

NOW = datetime(2026, 5, 1, 18, 30, tzinfo=UTC)
SNAPSHOT = NOW - timedelta(days=1)
VAULT = Vault(bytes(range(32)))
"""What seals in tests; each database has keys of its own."""

MACHINE = MachineSigner(VAULT)
"""Signs what nobody does by name."""

TRACKING = Tracking(VAULT.derived_key(LABEL))

CATALOGUE = """
catalogue: corner shop
currency: EUR
timezone: UTC
context:
  hour: {type: int64, set_by: moment, meaning: hour of the day}
  weather: {type: string, set_by: channel, meaning: the weather there, values: [sun, rain]}
  basket_value: {type: float64, set_by: channel, meaning: what is in the basket}
placements:
  web:
    home: {slots: 2, fallback: hello}
    checkout: {slots: 1}
  app:
    home: {slots: 1, fallback: hello}
exploration: greedy
defaults:
  window_days: 14
  purposes: []
fallbacks:
  hello:
    label: Hello
    treatments:
      web: {channel: web, placements: [home], content: {title: Welcome}}
      app: {channel: app, placements: [home], content: {title: Welcome}}
issues:
  sales:
    treatments:
      web:
        channel: web
        placements: [home, checkout]
        content:
          title: "{{ action.label }} for {{ customer.size }}"
          link: "/offers?for={{ customer.size }}&weather={{ context.weather }}"
    groups:
      grocery:
        actions:
          coupon-tea:
            label: Tea & cake
            value: 3.0
            attributes: {category: TEA, department: GROCERY}
            eligible: "spend >= 10"
          coupon-jam:
            label: Jam
            value: 2.0
            eligible: "context.hour BETWEEN 6 AND 22"
      deli:
        actions:
          coupon-ham:
            label: Ham
            value: 5.0
            eligible: "age >= 18 AND spend > 50"
          coupon-soup:
            label: Soup
            value: 4.0
            eligible: "context.weather = 'rain'"
"""


def _spec(name: str, dtype: DType, unit: str, categories: tuple[str, ...] = ()) -> FeatureSpec:
    meaning = f"The customer's {name}"
    return FeatureSpec(
        name, dtype, unit, Purpose.PROFILING, meaning, "owner", "profile", timedelta(days=8), categories
    )


CONTRACT = FeatureContract(
    "customer_v1",
    (
        _spec("spend", DType.FLOAT64, "currency"),
        _spec("age", DType.INT64, "years"),
        _spec("size", DType.STRING, "category", ("<small>", "large & loud")),
        _spec("category_names", DType.STRING_LIST, "category"),
    ),
)


def facts(**values: FeatureValue) -> CustomerFacts:
    """Return a known customer; what is not named is missing."""
    complete: dict[str, FeatureValue] = {spec.name: values.get(spec.name) for spec in CONTRACT}
    states = {name: FeatureState.MISSING for name, value in complete.items() if value is None}
    return CustomerFacts(True, complete, states, {"profile": SNAPSHOT})


CUSTOMERS: Mapping[str, CustomerFacts] = {
    "anna": facts(spend=80.0, age=40, size="large & loud", category_names=("TEA", "HAM")),
    "ben": facts(spend=20.0, age=17, size="<small>", category_names=()),
    "cleo": facts(age=70),
}


@lru_cache
def catalogue(more: str = "", change: tuple[str, str] = ("", "")) -> Catalogue:
    """Return the shop's catalogue with one text in place of another, and more written at its end."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "shop.yaml"
        path.write_text(CATALOGUE.replace(*change, 1) + more, encoding="utf-8")
        return load(path, feature_columns(CONTRACT) | feature_columns(REALTIME_V1))


def version_set(decides: Catalogue, scorer: Scorer, segmenter: Segmenter, *, policy: str = "") -> VersionSet:
    """Return what decides in the shop."""
    versions = Versions(
        catalogue=decides.digest,
        contract=CONTRACT.digest(),
        propensity=scorer.version,
        segmentation=segmenter.version,
        code="test",
        policy=policy,
    )
    return VersionSet(decides, scorer, segmenter, versions)


def caller(
    mode: Mode = Mode.TEST,
    *,
    channel: str | None = None,
    key_id: str = "key_1",
    scopes: frozenset[Scope] = frozenset(Scope),
) -> Caller:
    """Return someone who may ask."""
    return Caller(key_id, mode, scopes, channel)


class NoMore:
    """The port `Allowance` of who has asked about as many customers as they may."""

    def take(self, key_id: str, bounds: Bounds, now: datetime) -> float:  # noqa: ARG002
        """Let every request through."""
        return 0.0

    def ask_about(self, key_id: str, customer_id: str, bounds: Bounds, now: datetime) -> float:  # noqa: ARG002
        """Let nobody more be asked about for a minute."""
        return 60.0


def spent(mode: Mode = Mode.TEST) -> Caller:
    """Return someone who may ask about nobody more."""
    allowance = PersonalAllowance("key_1", Bounds(customers_per_hour=1), NoMore(), lambda: NOW)
    return replace(caller(mode), allowance=allowance)


def ask(customer_id: str | None = "anna", **changes: object) -> Ask:
    """Return a request for the web's home page."""
    fields: dict[str, object] = {"channel": "web", "placements": (("home", None),), "body_sha256": b"body"}
    return Ask(customer_id=customer_id, **(fields | changes))  # type: ignore[arg-type]


def agreeing(
    *customer_ids: str, purposes: tuple[ConsentPurpose, ...] = (ConsentPurpose.PROFILING,)
) -> MemoryConsents:
    """Return a ledger in which these have agreed to some purposes, on every channel."""
    ledger = MemoryConsents()
    granted, since = ConsentStatus.GRANTED, NOW - timedelta(days=365)
    entries = [ConsentEntry(purpose, None, granted, since, None, since) for purpose in purposes]
    ledger.append([Told(one, entry) for one in customer_ids for entry in entries], mode=Mode.LIVE)
    return ledger


@dataclass
class Shop:
    """The use cases on stores in memory, and the stores to look into.

    `more` and `change` are the catalogue's.
    """

    more: str = ""
    change: tuple[str, str] = ("", "")

    features: MemoryFeatures = field(default_factory=lambda: MemoryFeatures(CONTRACT, CUSTOMERS))
    scorer: Scorer = field(default_factory=lambda: TableScorer({"coupon-tea": 0.3, "coupon-ham": 0.1}))
    contacts: MemoryContacts = field(default_factory=MemoryContacts)
    memory_keys: Keys = field(default_factory=MemoryKeys)
    clock: FixedClock = field(default_factory=lambda: FixedClock(NOW))
    events: MemoryEvents = field(default_factory=MemoryEvents)
    consents: MemoryConsents = field(default_factory=lambda: agreeing("anna", "ben", "cleo"))
    tracking: Tracking = TRACKING

    erasures: MemoryErasures = field(default_factory=MemoryErasures)
    bundles: Path = Path("bundles")

    def __post_init__(self) -> None:
        self.identities = MemoryIdentities(self.contacts)
        self.lives = MemoryLife(MACHINE, self.memory_keys, self.clock)
        self.consents.same = self.contacts.members
        self.catalogue = catalogue(self.more, self.change)
        self.records = MemoryRecords(self.contacts)
        segmenter = RuleSegmenter(lambda known: "Families" if known.values.get("age") else None)
        self.live = LiveState(Live(version_set(self.catalogue, self.scorer, segmenter)))
        self.decide = Decide(
            live=self.live,
            features=self.features,
            ledger=self.contacts,
            records=self.records,
            clock=self.clock,
            ids=CountingIds(),
            consents=self.consents,
            identities=self.identities,
            tracking=self.tracking,
            realtime=self.events,
        )
        self.models = MemoryModels((self.scorer,), (segmenter,), CONTRACT)
        self.recall = Recall(self.records, MemoryCatalogues((self.catalogue,)))
        self.view_customer = ViewCustomer(
            self.features, self.live, self.records, self.consents, self.clock, self.events
        )
        self.refusal: Exception | None = None

    def swap(
        self,
        *,
        catalogue: Catalogue | None = None,
        scorer: Scorer | None = None,
        segmenter: Segmenter | None = None,
    ) -> None:
        """Let another catalogue or model decide from the next request on."""
        now = self.live.now
        before = now.champion
        champion = version_set(
            catalogue or before.catalogue, scorer or before.scorer, segmenter or before.segmenter
        )
        self.live.swap(replace(now, champion=champion))

    @property
    def keys(self) -> Keys:
        """The store of keys, as the API asks for it."""
        return self.memory_keys

    @property
    def access(self) -> Access:
        """The door, as the API asks for it."""
        return Access(self.memory_keys, self.clock)

    @property
    def life(self) -> Life:
        """The life of models, as the API asks for it."""
        return Life(self.lives, self.bundles, self.clock, MACHINE)

    def signer(self, secret: str) -> Signer:
        """Return the person whose own key this is, as the API asks for it."""
        return PersonalSigner(secret, self.memory_keys, self.clock)

    def desk(self) -> Desk:
        """Return the open desk, as the API asks for it, or the refusal that was set."""
        if self.refusal is not None:
            raise self.refusal
        return Desk(
            decide=self.decide,
            recall=self.recall,
            view_customer=self.view_customer,
            take_events=TakeEvents(self.events, self.clock),
            take_outcomes=TakeOutcomes(self.records.outcomes, self.tracking, self.clock, self.live.kinds),
            identify=Identify(self.identities, self.records, self.live, self.clock),
            tell_consents=TellConsents(self.consents, self.live, self.clock),
            erase=EraseCustomer(self.erasures, (), MemoryTurns(), self.clock),
            export=ExportCustomer(
                self.features,
                self.events,
                self.consents,
                self.identities,
                self.records,
                MemoryHeld(),
                self.erasures,
                self.clock,
            ),
            contract=CONTRACT,
            models=self.models,
        )

    def personal_key(self, person: str, role: Role, mode: Mode = Mode.LIVE) -> str:
        """Make a person's own key and return its secret."""
        return create_personal_key(
            self.memory_keys, person=person, role=role, now=self.clock(), mode=mode
        ).secret

    def key(
        self,
        mode: Mode = Mode.TEST,
        *,
        scopes: frozenset[Scope] = frozenset(Scope),
        channel: str | None = None,
    ) -> str:
        """Make a key and return its secret."""
        made = create_key(
            self.memory_keys, mode=mode, scopes=scopes, channel=channel, label="", now=self.clock()
        )
        return made.secret
