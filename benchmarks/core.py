"""What a decision costs in the core alone: no model, no stores, no HTTP; and beside zen-engine.

``python -m benchmarks.core [--seconds 3]``. Catalogues and customers are simulated: 50 features, scores from
an array, three slots of one placement, no group twice. One call at a time, one thread.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import click
import numpy as np

from benchmarks import machine
from benchmarks.timing import Times, timed
from benchmarks.workload import (
    NOW,
    REQUEST,
    ArrayScorer,
    Workload,
    make_customers,
    make_history,
    make_scorer,
    make_workload,
)
from benchmarks.zen_peer import forms
from moment.errors import InvariantViolation
from serving.decision.catalogue import Catalogue
from serving.decision.decide import decide
from serving.decision.epsilon_uniform import EpsilonUniform
from serving.decision.exploration import Exploration
from serving.decision.greedy import Greedy
from serving.decision.softmax import Softmax
from serving.decision.thompson import Thompson
from serving.decision.uniform import Uniform
from serving.decision.values import Customer, History, Scalar

SIZES = (200, 100), (2_500, 300)
GROWTH = (100, 200, 500, 1_000, 2_500, 5_000)
CUSTOMERS = 40

EXPLORATIONS: tuple[Exploration, ...] = (
    Greedy(),
    EpsilonUniform(),
    Uniform(),
    Softmax(0.2),
    Thompson(200),
    Thompson(5_000),
)


@dataclass(frozen=True, slots=True)
class Setting:
    """A catalogue, who asks it, and what they were given before."""

    catalogue: Catalogue
    customers: tuple[Customer, ...]
    scorer: ArrayScorer
    history: History

    @classmethod
    def of(cls, candidates: int, rules: int, policies: bool) -> Setting:
        """Return a simulated setting; with policies, each customer also has a history of 30 contacts."""
        catalogue = make_workload(candidates, rules, policies=policies).catalogue
        history = make_history(catalogue) if policies else History()
        return cls(catalogue, make_customers(100), make_scorer(candidates), history)

    def exploring(self, exploration: Exploration) -> Setting:
        """Return the setting under another policy of exploration."""
        return replace(self, catalogue=replace(self.catalogue, exploration=exploration))

    def decide(self) -> Callable[[Customer], object]:
        """Return the whole decision, to be timed."""
        rng = np.random.default_rng(4)
        return lambda customer: decide(REQUEST, self.catalogue, customer, self.history, NOW, self.scorer, rng)


@dataclass(frozen=True, slots=True)
class Peer:
    """What zen-engine took for the same rules, in one form."""

    name: str
    planned: bool
    times: Times
    ratio: float


def main(argv: Sequence[str]) -> None:
    """Measure and print everything."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=3.0, help="for each line")
    arguments = parser.parse_args(argv)
    click.echo(f"{machine.facts()}\n")
    for line in report(arguments.seconds):
        click.echo(line)


def report(
    seconds: float, sizes: Sequence[tuple[int, int]] = SIZES, growth: Sequence[int] = GROWTH
) -> Iterator[str]:
    """Yield the table, line by line."""
    yield _heading("whole decision, greedy")
    for candidates, rules in sizes:
        for policies in (False, True):
            yield _told(_size(candidates, rules, policies), Setting.of(candidates, rules, policies), seconds)
    most = max(rules for _, rules in sizes)
    yield _heading(f"growth: {most} rules, policies and history")
    for candidates in growth:
        yield _told(f"{candidates:,} candidates", Setting.of(candidates, most, policies=True), seconds)
    for candidates, rules in sizes:
        yield _heading(f"exploration: {_size(candidates, rules, policies=True)}")
        setting = Setting.of(candidates, rules, policies=True)
        for exploration in EXPLORATIONS:
            yield _told(exploration.name, setting.exploring(exploration), seconds)
    yield from _told_peers(make_workload(*sizes[-1]), seconds)


def _size(candidates: int, rules: int, policies: bool) -> str:
    return f"{candidates:,} candidates, {rules} rules{', policies and history' if policies else ''}"


def _heading(title: str, *more: str) -> str:
    return f"\n{title:<64}{'p50 ms':>9}{'p99 ms':>9}{'calls':>8}{''.join(f'{one:>9}' for one in more)}"


def _told(name: str, setting: Setting, seconds: float) -> str:
    return _row(name, timed(setting.decide(), setting.customers, seconds=seconds))


def _row(name: str, times: Times) -> str:
    return f"{name:<64}{times.p50:>9.3f}{times.p99:>9.3f}{times.calls:>8}"


def _told_peers(workload: Workload, seconds: float) -> Iterator[str]:
    own, peers = beside_zen(workload, seconds)
    size, rules = len(workload.catalogue.actions), len(workload.catalogue.rules)
    yield _heading(f"rules alone: {size:,} candidates, {rules} rules", "ratio")
    yield f"{_row('Moment: which rule fails first, of each candidate', own)}{1.0:>8.1f}x"
    for peer in peers:
        name = f"zen{', on the plan' if peer.planned else ''}: {peer.name}"
        yield f"{_row(name, peer.times)}{peer.ratio:>8.1f}x"
    yield f"all agree on {size * CUSTOMERS:,} verdicts"


def beside_zen(workload: Workload, seconds: float) -> tuple[Times, list[Peer]]:
    """Return the times of Moment's rules and of zen's, having checked that they agree on every verdict.

    Raises
    ------
    InvariantViolation
        A form of zen's says another thing of some candidate.
    """
    rows = [customer.features for customer in make_customers(CUSTOMERS, missing=0.0)]
    plan = workload.catalogue.plan.rules
    verdicts = [plan.ask(row).reason == 0 for row in rows]
    if not 0.05 < np.mean(verdicts) < 0.95:
        raise InvariantViolation("nearly all verdicts are the same: nothing is compared; change the workload")

    def ask(row: Mapping[str, Scalar]) -> object:
        return plan.ask(row)

    own = timed(ask, rows, seconds=seconds)
    peers = []
    for form in forms(workload):
        for row, verdict in zip(rows, verdicts, strict=True):
            if not np.array_equal(form.ask(row), verdict):
                raise InvariantViolation(
                    f"zen ({form.name}) and Moment differ in a verdict; look at the twins"
                )
        times = timed(form.ask, rows, seconds=seconds)
        peers.append(Peer(form.name, form.planned, times, times.p50 / own.p50))
    return own, peers


if __name__ == "__main__":
    main(sys.argv[1:])
