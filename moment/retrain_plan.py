"""The steps of one retraining: what each depends on, and what it does."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from moment import retrain_pipelines
from moment.retrain_pipelines import learns_from, settings_file
from serving.lifecycle import GateVerdict, Model
from training.retrain import NOTHING_NEW, Journal, Outcome, Outcomes, Stage

if TYPE_CHECKING:
    from features.ingest import IngestReport
    from features.sources import Source
    from moment.home import Home
    from moment.offices import Offices
    from serving.lifecycle import Version

_COMPARED = 2_000
"""Decisions whose recorded features are compared with training's, the newest."""

_BACK = timedelta(weeks=8)
"""How far back the segmentation compares personas; the pipeline's setting may say less."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The steps of one retraining.

    Parameters
    ----------
    home, offices
        Where, and through whom.
    journal
        As it was begun: what was asked for, and why.
    key
        The personal key of who retrains; None: the machine.
    """

    home: Home
    offices: Offices
    journal: Journal
    key: Path | None

    def stages(self) -> Sequence[Stage]:
        """Return the steps, in order."""
        asked = self.journal.asked
        since = "all" if asked.since is None else asked.since.isoformat()
        lake = [Stage("decisions", "Recorded decisions and outcomes", lambda _: since, self._decisions)]
        if asked.source:
            # First, since decisions speak of customers the source may be the first to know
            lake.insert(0, Stage("source", f"Ingest {asked.source}", lambda _: asked.source, self._source))
        known = [
            Stage("features", "Features as they were", self._data_inputs, self._features),
            Stage("news", "Is there anything new?", self._data_inputs, self._news),
            Stage("skew", "Did decisions see what training sees?", self._data_inputs, self._skew),
            Stage("online", "The newest features online", self._data_inputs, self._online),
        ]
        trained = [stage for model in asked.models for stage in self._of_model(model)]
        return [*lake, *known, *trained]

    def _of_model(self, model: str) -> list[Stage]:
        train, enter = f"train {model}", f"enter {model}"
        return [
            Stage(
                train,
                f"Train {model}",
                lambda _: self._training_inputs(model),
                lambda before: self._train(model, before),
                stands=lambda done: not done.get("version") or Path(self._bundle(model, done)).is_dir(),
            ),
            Stage(
                enter,
                f"Enter {model} in the ledger",
                lambda before: f"{before[train].get('digest')} {before[train].get('gates')}",
                lambda before: self._enter(model, before[train]),
            ),
        ]

    # What steps depend on

    def _data_inputs(self, _: Outcomes) -> str:
        from features import lake
        from features.definitions import customer_contract

        return f"{lake.digest(self.home)} {customer_contract().digest()}"

    def _training_inputs(self, model: str) -> str:
        # Not the champion: a retraining that went on because its own first model serves would begin anew
        settings = hashlib.sha256(settings_file(model).read_bytes()).hexdigest()
        data = learns_from(model, self.home, self.catalogue)
        parts = (data, settings, str(self.journal.asked.split_on))
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    # What steps do

    def _decisions(self, _: Outcomes) -> Outcome:
        from features.sources.decision_records import DecisionRecords

        with self.offices.decided(self.home, self.journal.asked.since) as decided:
            report = self._ingested(DecisionRecords(decided))
        return _counts(report)

    def _source(self, _: Outcomes) -> Outcome:
        return _counts(self._ingested(_named_source(self.journal.asked.source)))

    def _ingested(self, source: Source) -> IngestReport:
        from features.ingest import ingest

        with self.offices.customer_ledger(self.home) as ledger:
            return ingest(self.home, source, ledger=ledger)

    def _features(self, _: Outcomes) -> Outcome:
        from features.definitions import all_views
        from features.snapshots import build, plan_asked
        from features.store import FeatureStore
        from moment.progress import step

        times = plan_asked(self.home, back=_BACK)
        with step("Build the features", total=len(times)) as bar:
            report = build(self.home, all_views(), times=times, step=bar)
        FeatureStore(self.home).apply()
        return {"times": len(report.times), "built": report.built, "reused": report.reused}

    def _news(self, _: Outcomes) -> Outcome:
        learned = {model: self._learned_from(model) for model in self.journal.asked.models}
        if self.journal.asked.anyway or not all(learned.values()):
            return {model: version or "new" for model, version in learned.items()}
        told = ", ".join(f"{model} {version}" for model, version in learned.items())
        return {NOTHING_NEW: f"there is nothing new to learn from since {told}; --anyway trains all the same"}

    def _learned_from(self, model: str) -> str:
        """Return the version that has learned from what there is now, the champion first; empty for none."""
        from serving.bundles import BundleRefused, read_manifest

        digest = learns_from(model, self.home, self.catalogue)
        with self.offices.life(self.home) as life:
            versions = [one for one in life.book().of_model(Model(model)) if one.submitted.data_digest]
        by_digest = {one.submitted.data_digest: one.version for one in versions}
        if digest in by_digest:
            return by_digest[digest]
        champion = self.champion(model)
        try:
            if champion is not None and read_manifest(champion).about.data_digest == digest:
                return champion.name
        except BundleRefused:
            pass
        return ""

    def _skew(self, _: Outcomes) -> Outcome:
        from features.store import FeatureStore
        from training.skew import compare, questions

        with self.offices.decided(self.home, self.journal.asked.since) as decided:
            recorded = list(decided.features(_COMPARED))
        if not recorded:
            return {"decisions": 0}
        store = FeatureStore(self.home)
        found = compare(recorded, store.historical(questions(recorded)), store.contract)
        worst = ", ".join(f"{name} {share:.0%}" for name, share in list(found.by_feature.items())[:5])
        return {
            "decisions": found.rows,
            "values": found.values,
            "differing": found.differing,
            "share": round(found.share, 6),
            "worst": worst,
        }

    def _online(self, _: Outcomes) -> Outcome:
        from features.store import FeatureStore

        return {"as of": FeatureStore(self.home).materialize(datetime.now(UTC)).isoformat()}

    def _train(self, model: str, before: Outcomes) -> Outcome:
        learned = before["news"].get(model)
        if learned not in (None, "new") and not self.journal.asked.anyway:
            return {"skipped": f"version {learned} has learned from all there is"}
        import msgspec

        result = retrain_pipelines.train(
            model, self.home, self.journal, catalogue=self.catalogue, champion=self.champion
        )
        return {
            "version": result.version,
            "digest": result.digest,
            "registered": result.registered,
            "data": result.data_digest,
            "gates": msgspec.json.encode(result.gates).decode(),
        }

    def _enter(self, model: str, trained: Outcome) -> Outcome:
        if trained.get("skipped"):
            return {"skipped": trained["skipped"]}
        import msgspec

        from training.entering import About, enter

        gates = msgspec.json.decode(str(trained["gates"]), type=tuple[GateVerdict, ...])
        entered = enter(
            self.offices,
            self.home,
            Path(self._bundle(model, trained)),
            gates,
            About(reason=self.journal.why, key_file=self.key),
            registered=str(trained["registered"]),
            data_digest=str(trained["data"]),
        )
        return _became(entered.version, installed=entered.installed)

    # Where things are

    def _bundle(self, model: str, trained: Outcome) -> str:
        return str(self.home.bundles / model / str(trained["version"]))

    def champion(self, model: str) -> Path | None:
        """Return the bundle a new version is held against: the champion's, else the last good one here."""
        from training.entering import champion_bundle

        return champion_bundle(self.offices, self.home, Model(model))

    def catalogue(self) -> Path | None:
        """Return the catalogue of what was presented: as told, the champion's, or None for Moment's own."""
        if self.journal.asked.catalogue:
            return Path(self.journal.asked.catalogue)
        with self.offices.life(self.home) as life:
            policy = life.book().champion(Model.NEXT_BEST_ACTION)
        if policy is None:
            return None
        file = self.home.bundles / Model.NEXT_BEST_ACTION.value / policy.version / "catalogue.yaml"
        return file if file.is_file() else None


def _named_source(name: str) -> Source:
    if name == "complete-journey":
        from features.sources.complete_journey import CompleteJourney

        return CompleteJourney.installed()
    from features.sources.folder import FolderSource

    return FolderSource.open(Path(name))


def _counts(report: IngestReport) -> Outcome:
    rows = {table.table: table.rows for table in report.tables}
    rejected = sum(table.rejected for table in report.tables)
    return {**rows, "rejected": rejected, "unchanged": report.unchanged}


def _became(version: Version, *, installed: bool) -> Outcome:
    verdict = version.verdict
    return {
        "version": version.version,
        "state": version.state.value,
        "gates": "none" if verdict is None else verdict.value,
        "open": ", ".join(f"{one.gate} {one.verdict}" for one in version.unaccepted),
        "installed": installed,
    }
