"""Everything about one decision in one place, for whoever must answer a complaint about it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from features.contract import FeatureContract, FeatureSpec
from features.realtime_features import REALTIME_V1
from moment.errors import DependencyError
from serving.decision.actions import Action
from serving.decision.attributes import ACTION_PREFIX, action_value
from serving.decision.contact import ContactPolicy, Limit
from serving.decision.context import zone_of
from serving.decision.decision import OfferKind
from serving.decision.explanation import Explanation, explain
from serving.decision.program import Program
from serving.decision.stages import contact_check
from serving.decision.values import FeatureState, Purpose, Scalar
from serving.decision.wording import stopped_by
from serving.ports import ApiKey, Clock, Keys, KnownOutcome, ModelArchive, Outcomes
from serving.records import DecisionRecord, RecordedValue
from serving.use_cases.deciding_again import history_of
from serving.use_cases.recall import Recalled
from serving.use_cases.replay import Replay, Replayed


@dataclass(frozen=True, slots=True)
class RuleInForce:
    """A rule that an action had to pass: what it read, and whether it held (None is unknown)."""

    tier: str
    level: str
    text: str
    observed: Mapping[str, Scalar]
    holds: bool | None


@dataclass(frozen=True, slots=True)
class LimitCount:
    """What a limit had counted for what it counts together: an action, a group, an issue, or everything."""

    unit: str
    counted: int
    most: int


@dataclass(frozen=True, slots=True)
class PolicyInForce:
    """A contact policy then in force.

    Parameters
    ----------
    policy
        As the catalogue has it.
    speaks
        Whether it governs anything on the channel that asked.
    counts
        Of a limit: what it had counted before this answer, where it had counted anything.
    stopped
        Names of the actions it stopped.
    passed
        Of a limit: shown actions that compete for which it had already counted as many as it allows. There
        should never be one.
    """

    policy: ContactPolicy
    speaks: bool
    counts: tuple[LimitCount, ...]
    stopped: tuple[str, ...]
    passed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FeatureInUse:
    """A feature as it was used.

    Parameters
    ----------
    name, value, state
        As recorded.
    spec
        What it means, its unit and purpose; None where its contract is not known any more.
    as_of, age
        The time it was as of, and how old it was at the decision; None where that is not known.
    consented
        Whether its purpose was consented to; None where nobody knows.
    """

    name: str
    value: RecordedValue
    state: FeatureState
    spec: FeatureSpec | None
    as_of: datetime | None
    age: timedelta | None
    consented: bool | None


@dataclass(frozen=True, slots=True)
class Case:
    """One decision with all that explains it.

    `rules` are those of the actions that were shown, by action; `asker` is None for a key that is not known
    (a token, a command).
    """

    recalled: Recalled
    explanation: Explanation
    rules: Mapping[str, tuple[RuleInForce, ...]]
    policies: tuple[PolicyInForce, ...]
    features: tuple[FeatureInUse, ...]
    outcomes: tuple[KnownOutcome, ...]
    replayed: Replayed
    asker: ApiKey | None
    opened_at: datetime


@dataclass(frozen=True, slots=True)
class OpenCase:
    """The use case.

    Parameters
    ----------
    replay, models, outcomes, keys, clock
        Where everything is found.
    """

    replay: Replay
    models: ModelArchive
    outcomes: Outcomes
    keys: Keys
    clock: Clock

    def __call__(self, record: DecisionRecord) -> Case:
        """Return the case of a decision.

        Raises
        ------
        DependencyError
            The catalogue that decided it is gone, or a store does not answer.
        """
        recalled = self.replay.recall.of(record)
        return Case(
            recalled=recalled,
            explanation=explain(recalled.considered()),
            rules=_rules_of_shown(recalled),
            policies=tuple(_policies(recalled)),
            features=tuple(_features(record, self._contract(record))),
            outcomes=self.outcomes.of_decision(record.decision_id),
            replayed=self.replay.of(record),
            asker=next((key for key in self.keys.all() if key.key_id == record.key_id), None),
            opened_at=self.clock(),
        )

    def _contract(self, record: DecisionRecord) -> FeatureContract | None:
        """Return the features the decision knew, where a model that is still kept says so."""
        try:
            contract = self.models.contract(record.versions.propensity)
        except DependencyError:
            return None
        return contract if contract is not None and contract.digest() == record.versions.contract else None


def _rules_of_shown(recalled: Recalled) -> dict[str, tuple[RuleInForce, ...]]:
    shown = {offer.action for placement in recalled.record.placements for offer in placement.offers}
    row = recalled.considered().row
    actions = [action for action in recalled.catalogue.actions if action.action_id in shown]
    return {str(action.action_id): tuple(_rules(action, recalled, row)) for action in actions}


def _rules(action: Action, recalled: Recalled, row: Mapping[str, Scalar]) -> Iterator[RuleInForce]:
    for use in action.rules:
        rule = recalled.catalogue.rules[use.rule_id]
        observed = {
            name: action_value(action, name.removeprefix(ACTION_PREFIX))
            if name.startswith(ACTION_PREFIX)
            else row.get(name)
            for name in rule.columns
        }
        yield RuleInForce(use.tier, use.level, rule.text, observed, _truth(recalled, use.rule_id, observed))


def _truth(recalled: Recalled, rule_id: int, observed: Mapping[str, Scalar]) -> bool | None:
    if recalled.record.personal is None:
        return None
    value = Program.of([recalled.catalogue.rules[rule_id].expression]).run(observed)[0]
    return None if value is None else bool(value)


def _policies(recalled: Recalled) -> Iterator[PolicyInForce]:
    catalogue, channel = recalled.catalogue, recalled.record.channel
    uses = {use.index: use for use in catalogue.plan.contacts.uses}
    counts = _counts(recalled)
    stopped = _stopped(recalled)
    for index, policy in enumerate(catalogue.contact_policies):
        use = uses.get(index)
        counted: tuple[LimitCount, ...] = ()
        passed: tuple[str, ...] = ()
        if use is not None and isinstance(policy, Limit):
            names = {number: name for name, number in use.units.items()}
            found = counts.get(index, {})
            counted = tuple(
                LimitCount(names[unit] or "all together", count, policy.most) for unit, count in found.items()
            )
            full = {unit for unit, count in found.items() if count >= policy.most}
            places = catalogue.plan.contacts.action_index
            passed = tuple(name for name in _competed(recalled) if int(use.unit[places[name]]) in full)
        speaks = use is not None and use.speaks_on(channel)
        yield PolicyInForce(policy, speaks, counted, stopped.get(policy.name, ()), passed)


def _competed(recalled: Recalled) -> list[str]:
    """Return the actions that were shown because they came first."""
    return [
        offer.action
        for placement in recalled.record.placements
        for offer in placement.offers
        if offer.kind is OfferKind.ARBITRATED
    ]


def _counts(recalled: Recalled) -> Mapping[int, Mapping[int, int]]:
    """Return what each limit had counted; nothing where there was nothing to look back on."""
    record, catalogue = recalled.record, recalled.catalogue
    history = None if record.personal is None else history_of(record, record.personal)
    if history is None or record.personal is None:
        return {}
    zone = zone_of(record.personal.timezone, catalogue.timezone)
    return contact_check(catalogue.plan, record.channel, history, record.decided_at, zone).counted()


def _stopped(recalled: Recalled) -> dict[str, tuple[str, ...]]:
    """Return the actions each contact policy stopped, by its name."""
    names: dict[str, dict[str, None]] = {}
    for item in recalled.considered():
        stopper = stopped_by(item, recalled.catalogue)
        if stopper is not None and item.policy is not None and stopper.kind != "exclusion":
            names.setdefault(stopper.name, {})[str(item.candidate.action.action_id)] = None
    return {name: tuple(actions) for name, actions in names.items()}


def _features(record: DecisionRecord, contract: FeatureContract | None) -> Iterator[FeatureInUse]:
    told = record.personal
    if told is None:
        return
    specs = {spec.name: spec for spec in (*(contract or ()), *REALTIME_V1)}
    for name, value in told.features.items():
        spec = specs.get(name)
        as_of = None if spec is None else told.event_times.get(spec.view)
        yield FeatureInUse(
            name=name,
            value=value,
            state=told.states.get(name, FeatureState.PRESENT),
            spec=spec,
            as_of=as_of,
            age=None if as_of is None else record.decided_at - as_of,
            consented=_consented(spec, told.purposes),
        )


def _consented(spec: FeatureSpec | None, purposes: tuple[Purpose, ...] | None) -> bool | None:
    if spec is None or purposes is None:
        return None
    needed = Purpose(spec.purpose.value)
    return needed is Purpose.SERVICE or needed in purposes
