"""Deciding again from what a record holds, and naming whatever comes out differently. Without side effects.

By default the very catalogue and models that decided do it again, found by their digests: then a difference
says that a record, a catalogue, a model or Moment itself is not what it was. Against what decides today, the
same inputs tell what would come out now, and which rules and models make the difference.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum

import msgspec

from moment.errors import ConfigurationError, DependencyError, InvalidRequest
from serving.decision.catalogue import Catalogue
from serving.ports import ModelArchive, Scorer, Segmenter
from serving.records import MARKED, DecisionRecord, Versions
from serving.use_cases.access import Caller
from serving.use_cases.decide import seed_of
from serving.use_cases.deciding_again import Again, Models, ScoresFrom, decide_again
from serving.use_cases.differences import Difference, DifferenceKind, differences
from serving.use_cases.recall import Recall, Recalled


class ReplayVerdict(StrEnum):
    """What a replay came to.

    `impossible`: the catalogue is gone, was changed, or has not what the record names, so nothing could be
    decided again.
    """

    IDENTICAL = "identical"
    DIFFERENT = "different"
    ERASED = "erased"
    IMPOSSIBLE = "impossible"


class Against(StrEnum):
    """What decides again: the recorded versions, or those of today."""

    RECORDED = "recorded"
    CURRENT = "current"


@dataclass(frozen=True, slots=True)
class Present:
    """What decides today."""

    catalogue: Catalogue
    scorer: Scorer
    segmenter: Segmenter
    versions: Versions


@dataclass(frozen=True, slots=True)
class Replayed:
    """What came of a replay.

    Parameters
    ----------
    decision_id, verdict
        Of which decision, and what it came to.
    differences
        What is not as recorded, causes before effects. None where it is identical.
    scores
        Whether the model was asked again, or the scores were taken from the record.
    notes
        What else one must know to trust the verdict, in sentences.
    recorded, replayed
        The versions that decided, and those that decided again; None where nothing was.
    """

    decision_id: str
    verdict: ReplayVerdict
    differences: tuple[Difference, ...]
    scores: ScoresFrom
    notes: tuple[str, ...]
    recorded: Versions
    replayed: Versions | None


@dataclass(slots=True)
class _Findings:
    """What turns up while everything is brought together; local to one replay."""

    found: list[Difference] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def differ(self, kind: DifferenceKind, subject: str, recorded: str | None, replayed: str | None) -> None:
        self.found.append(Difference(kind, subject, recorded, replayed))


@dataclass(frozen=True, slots=True)
class Replay:
    """The use case.

    Parameters
    ----------
    recall
        Finds records and their catalogues.
    models
        Every model that is still kept.
    code_version
        Version of this Moment.
    present
        What decides today; None where nothing is open that does.
    """

    recall: Recall
    models: ModelArchive
    code_version: str
    present: Present | None = None

    def __call__(self, caller: Caller, decision_id: str, against: Against = Against.RECORDED) -> Replayed:
        """Decide a decision its caller may see again, and compare.

        Raises
        ------
        InvalidRequest
            ``not-found``, as in `Recall`.
        DependencyError
            The store of records does not answer, or nothing decides today that it could be held against.
        """
        return self.of(self.recall.record(caller, decision_id), against)

    def of(self, record: DecisionRecord, against: Against = Against.RECORDED) -> Replayed:
        """Do the same for a record at hand."""
        findings = _Findings()
        if record.format < MARKED:
            findings.notes.append(
                f"Recorded in format {record.format}, in which nothing vouches for what stands in clear: "
                "whoever can write to the database could have changed it unseen."
            )
        if record.personal is None:
            findings.notes.append(
                "What was known of the customer is erased, so nothing can be decided again."
            )
            return _report(record, ReplayVerdict.ERASED, findings)
        try:
            original = self.recall.catalogues.find(record.versions.catalogue)
        except (DependencyError, ConfigurationError) as error:
            original = None
            findings.notes.append(f"{str(error).partition(chr(10))[0]}.")
        if original is None:
            _name_lost_catalogue(record, findings)
            return _report(record, ReplayVerdict.IMPOSSIBLE, findings)
        if not Recalled(record, original).fits:
            findings.differ(
                DifferenceKind.CATALOGUE, "the recorded numbers", record.versions.catalogue, "has no such"
            )
            findings.notes.append(
                "The record names by numbers what catalogue "
                f"{original.digest[:12]} does not have: it was changed, or another catalogue decided it."
            )
            return _report(record, ReplayVerdict.IMPOSSIBLE, findings)
        catalogue, versions = original, replace_code(record.versions, self.code_version)
        if against is Against.CURRENT:
            present = self._present()
            catalogue, versions = present.catalogue, present.versions
            models = Models(present.scorer, present.segmenter, always=True)
            findings.found.extend(_other_versions(record.versions, versions))
        else:
            models = self._recorded_models(record, catalogue, findings)
        _check_seed(record, findings)
        return _compared(Recalled(record, original), catalogue, models, versions, findings)

    def _present(self) -> Present:
        if self.present is None:
            raise DependencyError("nothing decides here today; replay against what is recorded")
        return self.present

    def _recorded_models(self, record: DecisionRecord, catalogue: Catalogue, findings: _Findings) -> Models:
        """Return the models that decided, as far as they are still what they were."""
        scorer = segmenter = None
        wanted = record.versions
        try:
            scorer = self.models.scorer(wanted.propensity, catalogue.actions)
            contract = self.models.contract(wanted.propensity)
            if contract is not None and contract.digest() != wanted.contract:
                findings.differ(
                    DifferenceKind.FEATURE_CONTRACT, "features", wanted.contract, contract.digest()
                )
        except DependencyError as error:
            findings.differ(DifferenceKind.PROPENSITY_BUNDLE, "propensity", wanted.propensity, None)
            findings.notes.append(f"{error}.")
        try:
            segmenter = self.models.segmenter(wanted.segmentation)
        except DependencyError as error:
            findings.differ(DifferenceKind.SEGMENTATION_BUNDLE, "segmentation", wanted.segmentation, None)
            findings.notes.append(f"{error}.")
        findings.notes.extend(_gone(wanted, scorer, segmenter))
        return Models(scorer, segmenter)


def replace_code(versions: Versions, code: str) -> Versions:
    """Return versions as this Moment decides again by them."""
    return msgspec.structs.replace(versions, code=code)


def _compared(
    recalled: Recalled, catalogue: Catalogue, models: Models, versions: Versions, findings: _Findings
) -> Replayed:
    """Decide again and return what differs."""
    record = recalled.record
    try:
        again = decide_again(record, catalogue, models)
    except InvalidRequest as refusal:
        findings.differ(DifferenceKind.CATALOGUE, "request", "was answered", f"is refused: {refusal}")
        return _report(record, ReplayVerdict.DIFFERENT, findings, versions)
    findings.found.extend(differences(recalled, again))
    if record.versions.code != versions.code:
        if findings.found:
            findings.found.insert(0, _code_difference(record.versions, versions))
        else:
            findings.notes.append(
                f"Decided by Moment {record.versions.code}, replayed by Moment {versions.code}."
            )
    verdict = ReplayVerdict.DIFFERENT if findings.found else ReplayVerdict.IDENTICAL
    return _report(record, verdict, findings, versions, again)


def _report(
    record: DecisionRecord,
    verdict: ReplayVerdict,
    findings: _Findings,
    versions: Versions | None = None,
    again: Again | None = None,
) -> Replayed:
    order = list(DifferenceKind)
    return Replayed(
        decision_id=record.decision_id,
        verdict=verdict,
        differences=tuple(
            sorted(dict.fromkeys(findings.found), key=lambda one: (order.index(one.kind), one.subject))
        ),
        scores=ScoresFrom.NONE if again is None else again.scores_from,
        notes=tuple(findings.notes),
        recorded=record.versions,
        replayed=versions,
    )


def _name_lost_catalogue(record: DecisionRecord, findings: _Findings) -> None:
    digest = record.versions.catalogue
    findings.differ(DifferenceKind.CATALOGUE, "catalogue", digest, None)
    if not findings.notes:
        findings.notes.append(
            f"Catalogue {digest[:12]}, which decided this, is not archived any more; restore it to replay."
        )


def _check_seed(record: DecisionRecord, findings: _Findings) -> None:
    """Name a seed that does not follow from the decision's id, as every seed does."""
    expected = seed_of(record.decision_id, record.attempt)
    if record.seed != expected:
        findings.differ(DifferenceKind.SEED, "seed", str(record.seed), str(expected))


def _gone(wanted: Versions, scorer: Scorer | None, segmenter: Segmenter | None) -> Iterator[str]:
    if scorer is None:
        yield (
            f"Propensity bundle {wanted.propensity[:12]} is not here any more: decided again from the "
            "recorded scores."
        )
    if segmenter is None:
        yield (
            f"Segmentation bundle {wanted.segmentation[:12]} is not here any more: the recorded persona "
            "was taken as it is."
        )


_VERSIONS = {
    "catalogue": DifferenceKind.CATALOGUE,
    "policy": DifferenceKind.POLICY_BUNDLE,
    "propensity": DifferenceKind.PROPENSITY_BUNDLE,
    "segmentation": DifferenceKind.SEGMENTATION_BUNDLE,
    "contract": DifferenceKind.FEATURE_CONTRACT,
}


def _other_versions(recorded: Versions, present: Versions) -> Iterator[Difference]:
    """Yield which versions are others today; the code's only counts where something else differs."""
    for name, kind in _VERSIONS.items():
        old, new = getattr(recorded, name), getattr(present, name)
        if old != new:
            yield Difference(kind, name, old, new)


def _code_difference(recorded: Versions, replayed: Versions) -> Difference:
    return Difference(DifferenceKind.CODE_VERSION, "moment", recorded.code, replayed.code)
