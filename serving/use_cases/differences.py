"""What a decision made again has not in common with its record, each by its name: causes before effects."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import chain, zip_longest

import numpy as np

from serving.catalogue.diff import Change, text_of
from serving.catalogue.diff import differences as catalogue_differences
from serving.catalogue.view import Json
from serving.decision.actions import Action, SetBy
from serving.decision.catalogue import Catalogue
from serving.decision.considered import Considered, ConsideredTable
from serving.decision.decision import FilledPlacement, Offer
from serving.decision.rules import Tier
from serving.decision.uniform import Uniform
from serving.decision.wording import stopped_by
from serving.records import DecisionRecord, RecordedOffer, RecordedPlacement
from serving.use_cases.content import render
from serving.use_cases.deciding_again import Again, ScoresFrom
from serving.use_cases.recall import Recalled
from serving.use_cases.version_set import is_models


class DifferenceKind(StrEnum):
    """What differs, in the order in which one thing follows from another."""

    CODE_VERSION = "code_version"
    CATALOGUE = "catalogue"
    POLICY_BUNDLE = "policy_bundle"
    RULE = "rule"
    POLICY = "policy"
    FEATURE_CONTRACT = "feature_contract"
    PROPENSITY_BUNDLE = "propensity_bundle"
    SEGMENTATION_BUNDLE = "segmentation_bundle"
    TIME = "time"
    SEED = "seed"
    EXPERIMENT = "experiment"
    SEGMENT = "segment"
    REASON = "reason"
    SCORE = "score"
    PRIORITY = "priority"
    OFFER = "offer"
    PROBABILITY = "probability"
    CONTENT = "content"


_GONE = frozenset(
    {
        DifferenceKind.CATALOGUE,
        DifferenceKind.POLICY_BUNDLE,
        DifferenceKind.FEATURE_CONTRACT,
        DifferenceKind.PROPENSITY_BUNDLE,
        DifferenceKind.SEGMENTATION_BUNDLE,
    }
)
"""What is kept somewhere, and may not be there any more."""

_WORTH = frozenset({"value", "lever", "levers", "context_weights"})
"""Fields of a catalogue that are among the factors of a priority."""

_TIERS = frozenset(tier.value for tier in Tier)

_OF_MODELS = frozenset(
    {DifferenceKind.SEGMENT, DifferenceKind.SCORE, DifferenceKind.PRIORITY, DifferenceKind.PROBABILITY}
)


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is not as recorded.

    Parameters
    ----------
    kind, subject
        What, and of which candidate, slot, action or part: ``home/coupon-tea-web``, ``home rank 1``,
        ``contact policy three-a-week limit``, …
    recorded, replayed
        As it was, and as it comes out now, in words or digits; None where there is nothing.
    """

    kind: DifferenceKind
    subject: str
    recorded: str | None
    replayed: str | None

    @property
    def text(self) -> str:
        """The same in words."""
        none = "gone" if self.kind in _GONE else "none"
        recorded = "none" if self.recorded is None else self.recorded
        return f"{self._about}: {recorded}, now {none if self.replayed is None else self.replayed}"

    @property
    def _about(self) -> str:
        kind = self.kind.replace("_", " ")
        if self.kind is DifferenceKind.POLICY:
            return self.subject
        return kind if self.subject in kind.split() else f"{kind} of {self.subject}"

    @property
    def is_score(self) -> bool:
        """Whether its values are a model's, or what an offer is worth: only some may see them."""
        if self.kind is DifferenceKind.POLICY:
            return self.subject.rpartition(" ")[2].partition(".")[0] in _WORTH
        return self.kind in _OF_MODELS


def differences(recalled: Recalled, again: Again) -> tuple[Difference, ...]:
    """Return everything that is not as recorded; of numbers, the last bit counts."""
    record, before, now = recalled.record, recalled.considered(), again.decision.considered
    found = chain(
        () if before.catalogue.digest == now.catalogue.digest else _catalogues(before, now),
        _time(record, again, same_catalogue=before.catalogue.digest == now.catalogue.digest),
        _arms(record, again),
        _segment(record, again),
        () if again.scores_from is not ScoresFrom.MODEL else _scored(recalled, again),
        () if _same(before, now) else _candidates(before, now),
        _placements(record, again),
        _content(record, again),
    )
    return tuple(found)


def _same(before: ConsideredTable, now: ConsideredTable) -> bool:
    """Whether two tables say the same of the same candidates, bit for bit."""
    columns = ("placement", "candidate", "reason", "rule", "observed", "context_weight", "priority")
    return before.catalogue.digest == now.catalogue.digest and all(
        np.array_equal(getattr(before, name), getattr(now, name), equal_nan=name in columns[4:])
        for name in columns
    )


def _catalogues(before: ConsideredTable, now: ConsideredTable) -> Iterator[Difference]:
    """Yield what the other catalogue says otherwise: rules by text, all else by kind, name and field."""
    yield from _rules(before, now)
    for one in catalogue_differences(before.catalogue, now.catalogue):
        if one.change is not Change.CHANGED:
            there = None, "in the catalogue"
            old, new = there if one.change is Change.ADDED else there[::-1]
            yield Difference(DifferenceKind.POLICY, one.subject, old, new)
            continue
        for changed in one.fields:
            if changed.field not in _TIERS:
                subject = f"{one.subject} {changed.field}"
                yield Difference(DifferenceKind.POLICY, subject, _told(changed.old), _told(changed.new))


def _told(value: Json) -> str | None:
    return None if value is None else text_of(value)


def _rules(before: ConsideredTable, now: ConsideredTable) -> Iterator[Difference]:
    """Yield the rules of each action that are others in the other catalogue."""
    today = {action.action_id: action for action in now.catalogue.actions}
    for action in before.catalogue.actions:
        other = today.get(action.action_id)
        old = _policy(action, before.catalogue)
        new = {} if other is None else _policy(other, now.catalogue)
        for text in dict.fromkeys([*old, *new]):
            if old.get(text) != new.get(text):
                yield Difference(
                    DifferenceKind.RULE,
                    action.action_id,
                    f"{old[text]}: {text}" if text in old else None,
                    f"{new[text]}: {text}" if text in new else None,
                )


def _policy(action: Action, catalogue: Catalogue) -> Mapping[str, str]:
    """Return the tier of each of an action's rules, by text."""
    return {catalogue.rule_text(use.rule_id): use.tier.value for use in action.rules}


def _time(record: DecisionRecord, again: Again, *, same_catalogue: bool) -> Iterator[Difference]:
    """Yield what the clock makes of the decision otherwise: derived context, ends of offers."""
    told = {} if record.personal is None else record.personal.context
    for field in again.left.catalogue.context:
        old, new = told.get(field.name), again.left.context.get(field.name)
        if field.set_by is SetBy.MOMENT and field.name in told and old != new:
            yield Difference(DifferenceKind.TIME, f"context.{field.name}", _word(old), _word(new))
    if not same_catalogue:
        return
    for where, old_offer, new_offer in _slots(record, again):
        if old_offer is None or new_offer is None or old_offer.treatment != _treatment(new_offer):
            continue
        for name in ("expires_at", "reserved_until"):
            was, is_now = getattr(old_offer, name), getattr(new_offer, name)
            if was is not None and was != is_now:
                yield Difference(DifferenceKind.TIME, f"{where} {name}", was.isoformat(), is_now.isoformat())


def _arms(record: DecisionRecord, again: Again) -> Iterator[Difference]:
    decision = again.decision
    old = {arm.layer: f"{arm.experiment}/{arm.arm}" for arm in record.experiments if not is_models(arm)}
    new = {arm.layer: f"{arm.experiment}/{arm.arm}" for arm in decision.assignments}
    for layer in dict.fromkeys([*old, *new]):
        if old.get(layer) != new.get(layer):
            yield Difference(DifferenceKind.EXPERIMENT, layer, old.get(layer), new.get(layer))
    exploration = (Uniform() if decision.control else again.left.policy.exploration).name
    facts = {
        "control": (record.control, decision.control),
        "holdout": (record.held_out, decision.held_out),
        # Records of the first format do not say
        "exploration": (record.exploration or exploration, exploration),
    }
    for subject, (was, is_now) in facts.items():
        if was != is_now:
            yield Difference(DifferenceKind.EXPERIMENT, subject, _word(was), _word(is_now))


def _segment(record: DecisionRecord, again: Again) -> Iterator[Difference]:
    if record.segment != again.segment:
        yield Difference(DifferenceKind.SEGMENT, "persona", record.segment, again.segment)


def _scored(recalled: Recalled, again: Again) -> Iterator[Difference]:
    """Yield the candidates the model says something else of; those scored only once are told by reasons."""
    scores, scored = again.scores, recalled.record.scored
    if scores is None:
        return
    names = [str(one.treatment.treatment_id) for one in recalled.catalogue.candidates]
    raw, propensity = scores.raw.tolist(), scores.propensity.tolist()
    now = {
        str(contender.treatment.treatment_id): numbers
        for contender, *numbers in zip(again.left.contenders, raw, propensity, strict=True)
    }
    for index, *before in zip(scored.candidate, scored.raw, scored.propensity, strict=True):
        after = now.get(names[index])
        for what, old, new in zip(("raw score", "propensity"), before, after or before, strict=True):
            if _number(old) != _number(new):
                yield Difference(DifferenceKind.SCORE, f"{names[index]} {what}", _number(old), _number(new))


def _candidates(before: ConsideredTable, now: ConsideredTable) -> Iterator[Difference]:
    """Yield the candidates whose fate is another one."""
    old, new = _by_name(before), _by_name(now)
    for name in dict.fromkeys([*old, *new]):
        was, is_now = old.get(name), new.get(name)
        told = _fate(was, before.catalogue), _fate(is_now, now.catalogue)
        if told[0] != told[1]:
            yield Difference(DifferenceKind.REASON, name, *told)
        if was is None or is_now is None:
            continue
        for what in ("priority", "context_weight"):
            numbers = _number(getattr(was, what)), _number(getattr(is_now, what))
            if numbers[0] != numbers[1]:
                subject = name if what == "priority" else f"{name} context weight"
                yield Difference(DifferenceKind.PRIORITY, subject, *numbers)


def _by_name(table: ConsideredTable) -> dict[str, Considered]:
    return {f"{one.placement}/{one.candidate.treatment.treatment_id}": one for one in table}


def _fate(one: Considered | None, catalogue: Catalogue) -> str | None:
    """Return how far a candidate came and what stopped it, without any score."""
    if one is None:
        return None
    reason = one.reason.name.lower()
    try:
        if one.rule is not None:
            return f"{reason}: {catalogue.rule_text(one.rule)}"
        stopped = stopped_by(one, catalogue)
    except IndexError:
        return f"{reason}: by what the catalogue does not have"
    if stopped is None:
        return reason
    return f"{reason}: {stopped.kind} {stopped.name} at {_number(stopped.observed)}"


def _slots(record: DecisionRecord, again: Again) -> Iterator[tuple[str, RecordedOffer | None, Offer | None]]:
    """Yield each slot with what was in it and what is in it now."""
    for old, new in _pairs(record, again):
        name = old.name if old is not None else new.name if new is not None else ""
        offers = zip_longest(old.offers if old else (), new.offers if new else ())
        for rank, (was, is_now) in enumerate(offers, start=1):
            yield f"{name} rank {rank}", was, is_now


def _pairs(
    record: DecisionRecord, again: Again
) -> Iterator[tuple[RecordedPlacement | None, FilledPlacement | None]]:
    return zip_longest(record.placements, again.decision.placements)


def _placements(record: DecisionRecord, again: Again) -> Iterator[Difference]:
    """Yield what is in a slot now that was not, how, and with which chance."""
    for old, new in _pairs(record, again):
        was, is_now = None if old is None else old.reason, None if new is None else new.reason
        if was != is_now:
            name = old.name if old is not None else new.name if new is not None else ""
            yield Difference(DifferenceKind.OFFER, f"{name} as a whole", was, is_now)
    for where, recorded, replayed in _slots(record, again):
        told = [
            None if recorded is None else f"{recorded.treatment} ({recorded.kind})",
            None if replayed is None else f"{_treatment(replayed)} ({replayed.kind})",
        ]
        if told[0] != told[1]:
            yield Difference(DifferenceKind.OFFER, where, *told)
        elif recorded is not None and replayed is not None:
            yield from _numbers(where, recorded, replayed)
    joint = _number(record.joint_probability), _number(again.decision.joint_probability)
    if joint[0] != joint[1]:
        yield Difference(DifferenceKind.PROBABILITY, "the answer as a whole", *joint)


_FACTORS = {
    "raw": DifferenceKind.SCORE,
    "propensity": DifferenceKind.SCORE,
    "value": DifferenceKind.PRIORITY,
    "context_weight": DifferenceKind.PRIORITY,
    "lever": DifferenceKind.PRIORITY,
    "priority": DifferenceKind.PRIORITY,
    "action_probability": DifferenceKind.PROBABILITY,
}


def _numbers(where: str, recorded: RecordedOffer, replayed: Offer) -> Iterator[Difference]:
    for name, kind in _FACTORS.items():
        was, is_now = _number(getattr(recorded, name)), _number(getattr(replayed, name))
        if was != is_now:
            yield Difference(kind, f"{where} {name.replace('_', ' ')}", was, is_now)


def _content(record: DecisionRecord, again: Again) -> Iterator[Difference]:
    """Yield the words of the same treatments that are filled otherwise."""
    said = iter(() if record.personal is None else record.personal.content)
    left = again.left
    for where, recorded, replayed in _slots(record, again):
        words = None if recorded is None else next(said, None)
        if recorded is None or replayed is None or words is None:
            continue
        if recorded.treatment != _treatment(replayed):
            continue
        now = render(replayed.candidate, left.customer.features, left.context)
        for name in dict.fromkeys([*words, *now]):
            if words.get(name) != now.get(name):
                yield Difference(DifferenceKind.CONTENT, f"{where} {name}", words.get(name), now.get(name))


def _treatment(offer: Offer) -> str:
    return str(offer.candidate.treatment.treatment_id)


def _number(value: float | None) -> str | None:
    """Return all digits of a number; None for none, NaN included."""
    return None if value is None or math.isnan(value) else repr(float(value))


def _word(value: object) -> str | None:
    return None if value is None else str(value).lower() if isinstance(value, bool) else str(value)
