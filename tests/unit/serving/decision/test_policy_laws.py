"""Laws of every decision under policies: consent, contacts, exclusions, volumes, mandatory messages."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import dataclass, replace
from datetime import timedelta
from random import Random
from typing import ClassVar, TypeVar

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from serving.decision.actions import Action, Allowance, Distinct, Exclusion, LawfulBasis, Placement
from serving.decision.catalogue import Catalogue
from serving.decision.choose import choose
from serving.decision.contact import Limit, Per
from serving.decision.contact_check import ContactCheck
from serving.decision.context import zone_of
from serving.decision.decide import decide
from serving.decision.decision import Decision, OfferKind, contacts_of
from serving.decision.epsilon_uniform import EpsilonUniform
from serving.decision.experiments import Share
from serving.decision.exploration import ActionDistribution, Contest, Parameter
from serving.decision.reasons import Reason
from serving.decision.rechecks import Doors, Given
from serving.decision.shortlist import shortlist
from serving.decision.values import (
    Consent,
    Contact,
    Customer,
    CustomerId,
    History,
    PlacementRequest,
    ProfileKind,
    Purpose,
    Request,
    Used,
)
from tests.unit.serving.decision.contact_strategies import NOW
from tests.unit.serving.decision.contact_strategies import cases as contact_cases
from tests.unit.serving.decision.small import action, catalogue, customer, request, scorer, treatment

T = TypeVar("T")


@dataclass(frozen=True)
class World:
    """Everything one decision is made from."""

    catalogue: Catalogue
    customer: Customer
    history: History
    request: Request
    scores: dict[str, float]
    seed: int

    def decide(self) -> Decision:
        rng = np.random.default_rng(self.seed)
        return decide(
            self.request, self.catalogue, self.customer, self.history, NOW, scorer(self.scores), rng
        )


_limits = st.builds(
    Limit, st.just("z"), st.integers(1, 2), st.just(timedelta(days=7)), per=st.sampled_from(Per)
)


@st.composite
def worlds(draw: st.DrawFn) -> World:
    case = draw(contact_cases())
    actions = tuple(_dressed(draw, one, case.channel) for one in case.actions)
    made = Catalogue(
        name="laws",
        currency="EUR",
        timezone="Europe/Berlin",
        actions=actions,
        placements=(
            Placement(case.channel, "home", 3, draw(st.sampled_from(Distinct))),
            Placement(case.channel, "side", 2),
        ),
        exploration=EpsilonUniform(0.5),
        contact_policies=(*case.policies[:1], *draw(st.lists(_limits, max_size=1))),
        exclusions=case.exclusions,
        outbound=frozenset({"email"}),
        control=draw(st.sampled_from((None, Share(0.5, "control")))),
        holdout=draw(st.sampled_from((None, Share(0.4, "holdout")))),
    )
    purposes = draw(st.sampled_from(({Purpose.SERVICE}, *[{Purpose.SERVICE, Purpose.MARKETING}] * 3)))
    consent = Consent(frozenset(purposes), opted_out=draw(st.integers(0, 14)) == 14)
    person = Customer(
        CustomerId("c"),
        ProfileKind.KNOWN,
        timezone=case.zone,
        language=draw(st.sampled_from((None, "de", "fr"))),
        consent=None if draw(st.integers(0, 14)) == 14 else consent,
        unit=draw(st.sampled_from((None, *"uvwxyz"))),
    )
    spent = draw(st.frozensets(st.sampled_from(actions).map(lambda one: one.action_id), max_size=2))
    history = replace(case.history, used={name: Used(volume_total=5) for name in spent})
    order = draw(st.permutations(["home", "side"]))
    slots = {"home": draw(st.integers(1, 3)), "side": draw(st.integers(1, 2))}
    scores = {
        str(one.treatment.treatment_id): draw(st.sampled_from((0.1, 0.5, 0.5, 1.0)))
        for one in made.candidates
    }
    asked = Request(case.channel, tuple(PlacementRequest(name, slots[name]) for name in order))
    return World(made, person, history, asked, scores, draw(st.integers(0, 99)))


def _dressed(draw: st.DrawFn, bare: Action, channel: str) -> Action:
    """Return an action with treatments, purposes, a volume and fewer exclusion sets."""
    languages = draw(st.lists(st.sampled_from(("en", "de", "de")), min_size=1, max_size=3))
    return replace(
        bare,
        value=draw(st.sampled_from((0.0, 1.0, 2.0))),
        treatments=tuple(
            treatment(
                f"{bare.action_id}-{number}",
                channel=channel,
                places=draw(st.sampled_from((("home",), ("home", "side"), ("home", "side")))),
                language=language,
            )
            for number, language in enumerate(languages)
        ),
        purposes=draw(st.frozensets(st.sampled_from((Purpose.MARKETING, Purpose.SERVICE)), max_size=2)),
        volume=draw(st.sampled_from((None, None, Allowance(total=5)))),
        exclusions=draw(st.sampled_from(((), bare.exclusions, bare.exclusions))),
    )


laws = settings(max_examples=50, deadline=None, derandomize=True)


@laws
@given(worlds())
def test_nothing_is_shown_without_consent_in_holdout_or_beyond_a_volume(world: World) -> None:
    decision = world.decide()
    consent = world.customer.consent
    for offer in decision.offers:
        one = offer.candidate.action
        assert one.volume is None or one.action_id not in world.history.used
        assert consent is None or not consent.opted_out
        if offer.kind is OfferKind.ARBITRATED:
            assert not (decision.held_out and one.is_marketing)
            assert not (consent is None and one.is_marketing)
            assert consent is None or one.purposes <= consent.purposes


@laws
@given(worlds())
def test_no_pick_breaks_a_contact_policy(world: World) -> None:
    """Each pick is asked of a fresh check that takes the picks before it for reservations."""
    earlier: tuple[Contact, ...] = ()
    for contact in given_in_order(world.decide()):
        index = index_of(world, contact.action_id)
        if not contact.mandatory:
            assert resting(world)[index] == 0
            assert resting(world, earlier)[index] != Reason.LIMIT_REACHED
        earlier = (*earlier, contact)


@laws
@given(worlds())
def test_what_the_answer_used_up_is_full_when_its_picks_are_counted(world: World) -> None:
    decision = world.decide()
    limits = tuple(policy for policy in world.catalogue.contact_policies if isinstance(policy, Limit))
    limited = replace(world, catalogue=replace(world.catalogue, contact_policies=limits))
    full = resting(limited, given_in_order(decision))
    for one in decision.considered:
        if one.reason is Reason.LIMIT_USED_UP:
            assert full[index_of(world, one.candidate.action.action_id)] == Reason.LIMIT_REACHED
            assert one.policy is not None
            assert isinstance(world.catalogue.contact_policies[one.policy], Limit)


@laws
@given(worlds())
def test_an_answer_holds_one_of_an_exclusion_set_and_each_action_once(world: World) -> None:
    actions = [offer.candidate.action for offer in world.decide().offers]
    assert len(actions) == len({one.action_id for one in actions})
    sets = Counter(itertools.chain.from_iterable(one.exclusions for one in actions))
    assert all(count == 1 for count in sets.values())


@laws
@given(worlds())
def test_a_mandatory_message_goes_out_unless_another_has_its_place(world: World) -> None:
    """Only other mandatory messages may keep one out: by slots, distinctness or exclusion."""
    decision = world.decide()
    must = [offer for offer in decision.offers if offer.kind is OfferKind.MANDATORY]
    shown = {offer.candidate.action.action_id for offer in must}
    for one in decision.considered:
        waiting = one.candidate.action
        if waiting.mandatory is None or waiting.action_id in shown or one.reason.stage_number < 5:
            continue
        there = [offer for offer in must if offer.placement == one.placement]
        match one.reason:
            case Reason.OUTRANKED:
                slots = next(asked.slots for asked in world.request.placements if asked.name == one.placement)
                assert len(there) == slots
            case Reason.GROUP_TAKEN:
                assert waiting.group in {offer.candidate.action.group for offer in there}
            case Reason.ISSUE_TAKEN:
                assert waiting.issue in {offer.candidate.action.issue for offer in there}
            case Reason.EXCLUDED:
                others = [offer.candidate.action for offer in must]
                assert any(set(waiting.exclusions) & set(other.exclusions) for other in others)
            case other:
                raise AssertionError(other)


@laws
@given(worlds())
def test_nothing_mandatory_competes_and_what_competes_is_priced(world: World) -> None:
    decision = world.decide()
    left = shortlist(world.request, world.catalogue, world.customer, world.history, NOW)
    assert all(one.action.mandatory is None for one in left.contenders)
    for offer in decision.offers:
        competed = offer.kind is OfferKind.ARBITRATED
        assert competed is offer.kind.learns
        assert competed is (offer.candidate.action.mandatory is None)
        assert competed is (offer.priority is not None)
        if not competed:
            assert offer.action_probability == 1.0
    kinds = [[offer.kind for offer in placement.offers] for placement in decision.placements]
    assert kinds == [sorted(these, key=lambda kind: kind is OfferKind.ARBITRATED) for these in kinds]


@laws
@given(worlds(), st.randoms(use_true_random=False))
def test_the_order_of_a_file_never_matters(world: World, chance: Random) -> None:
    made = world.catalogue
    other = replace(
        made,
        actions=shuffled(made.actions, chance),
        contact_policies=shuffled(made.contact_policies, chance),
        exclusions=shuffled(made.exclusions, chance),
        placements=shuffled(made.placements, chance),
    )
    assert told(replace(world, catalogue=other).decide()) == told(world.decide()) == told(world.decide())


@laws
@given(worlds(), st.permutations(range(5)))
def test_a_pick_never_opens_what_was_closed(world: World, picks: list[int]) -> None:
    left = shortlist(world.request, world.catalogue, world.customer, world.history, NOW)
    given_so_far = Given(left, world.history)
    placement = left.slates[0].placement
    doors = Doors(placement.distinct, world.catalogue.plan, given_so_far)
    closed = doors.closed().copy()
    for pick in picks:
        doors.take(pick)
        assert np.all(doors.closed() >= closed)
        assert doors.closed()[pick]
        closed = doors.closed().copy()


@dataclass(frozen=True, eq=False)
class Witness:
    """A policy that spreads, and keeps what it said. Each is another: policies are remembered."""

    PARAMETERS: ClassVar[tuple[Parameter, ...]] = ()
    said: list[NDArray[np.float64]]
    policy: str = "witness"
    name: str = "witness"

    def distribution(self, contest: Contest) -> ActionDistribution:
        made = EpsilonUniform(0.5).distribution(contest)
        self.said.append(made.probabilities)
        return made


@laws
@given(worlds())
def test_each_slot_sums_to_one_over_what_remained_and_the_joint_is_the_product(world: World) -> None:
    one_each = tuple(replace(one, treatments=one.treatments[:1]) for one in world.catalogue.actions)
    witness = Witness([])
    watched = replace(
        world,
        catalogue=replace(world.catalogue, actions=one_each, exploration=witness, control=None),
    )
    decision = watched.decide()
    picked = [offer for offer in decision.offers if offer.kind is OfferKind.ARBITRATED]
    assert len(witness.said) == len(picked)
    joint = 1.0
    for probabilities, offer in zip(witness.said, picked, strict=True):
        assert abs(probabilities.sum() - 1) < 1e-12
        assert offer.action_probability in probabilities
        joint *= offer.action_probability
    assert decision.joint_probability == joint


def test_stated_probabilities_are_the_true_ones_jointly_over_placements_and_limits() -> None:
    """4,000 answers stay within five standard errors of the joint π they state, which sum to 1."""
    made = replace(
        catalogue(
            action("a", value=3.0, group="x", treatments=[treatment("a-1"), treatment("a-2")]),
            action("b", value=2.0, group="x"),
            replace(action("c", value=1.0, group="y"), exclusions=("pair",)),
            replace(action("d", value=2.0, group="y"), exclusions=("pair",)),
            replace(action("m", group="z"), mandatory=LawfulBasis.CONTRACT),
            exploration=EpsilonUniform(0.7),
        ),
        contact_policies=(Limit("one-of-a-group", 1, timedelta(days=7), per=Per.GROUP),),
        exclusions=(Exclusion("pair"),),
    )
    left = shortlist(request(home=2, side=2), made, customer(), History(), NOW)
    scores = scorer({"a-1": 0.2, "a-2": 0.4, "b-web": 0.3, "c-web": 0.5})(left)
    draws, rng = 4_000, np.random.default_rng(7)
    counted: Counter[tuple[str, ...]] = Counter()
    stated: dict[tuple[str, ...], float] = {}
    for _ in range(draws):
        decision = choose(left, scores, History(), rng)
        key = tuple(str(offer.candidate.treatment.treatment_id) for offer in decision.offers)
        counted[key] += 1
        stated[key] = decision.joint_probability
    assert len(stated) > 4
    assert abs(sum(stated.values()) - 1) < 1e-9
    for key, probability in stated.items():
        error = (probability * (1 - probability) / draws) ** 0.5
        assert abs(counted[key] / draws - probability) < 5 * error, key


def given_in_order(decision: Decision) -> tuple[Contact, ...]:
    """Return the contacts in the order they were given: mandatory messages first."""
    contacts = contacts_of(decision, [f"own-{number}" for number in range(len(decision.offers))])
    return tuple(sorted(contacts, key=lambda contact: not contact.mandatory))


def resting(world: World, own: tuple[Contact, ...] = ()) -> NDArray[np.int32]:
    """Return the reasons of a fresh check that looks back on the history and these contacts."""
    history = replace(world.history, contacts=(*world.history.contacts, *own))
    zone = zone_of(world.customer.timezone, world.catalogue.timezone)
    contacts = world.catalogue.plan.contacts
    return (
        ContactCheck(contacts, history, channel=world.request.channel, now=NOW, zone=zone).verdicts().reason
    )


def index_of(world: World, action_id: str) -> int:
    return [str(one.action_id) for one in world.catalogue.actions].index(action_id)


def shuffled(items: tuple[T, ...], chance: Random) -> tuple[T, ...]:
    return tuple(chance.sample(items, len(items)))


def told(decision: Decision) -> list[object]:
    table = decision.considered
    return [
        [
            (
                offer.placement,
                offer.candidate.treatment.treatment_id,
                offer.action_probability,
                offer.priority,
            )
            for offer in decision.offers
        ],
        [(placement.name, placement.reason) for placement in decision.placements],
        [(one.candidate.treatment.treatment_id, one.reason, one.policy, one.measured) for one in table],
        decision.funnel,
        decision.joint_probability,
    ]
