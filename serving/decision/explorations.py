"""The policies of exploration by the word a catalogue uses, with what each of them takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields

from serving.decision.epsilon_uniform import EpsilonUniform
from serving.decision.exploration import Exploration, Parameter
from serving.decision.greedy import Greedy
from serving.decision.softmax import Softmax
from serving.decision.thompson import Thompson
from serving.decision.uniform import Uniform

DEFAULT_EXPLORATION: Exploration = EpsilonUniform()
"""Of a catalogue that says nothing: 5 % of picks are uniform, so that records can judge another policy."""


@dataclass(frozen=True, slots=True)
class ExplorationKind:
    """One policy as a catalogue may write it.

    Attributes
    ----------
    make
        Its class.
    numbers
        Its parameters that are numbers, with their bounds.
    policies
        Names of its parameters that are policies of exploration themselves.
    required
        Names of its parameters without a default.
    """

    make: Callable[..., Exploration]
    numbers: tuple[Parameter, ...]
    policies: tuple[str, ...]
    required: frozenset[str]


def _kind(made: type[Greedy | Uniform | EpsilonUniform | Softmax | Thompson]) -> ExplorationKind:
    takes = [one for one in fields(made) if one.init]
    numbers = {one.name for one in made.PARAMETERS}
    return ExplorationKind(
        make=made,
        numbers=made.PARAMETERS,
        policies=tuple(one.name for one in takes if one.name not in numbers),
        required=frozenset(
            one.name for one in takes if one.default is MISSING and one.default_factory is MISSING
        ),
    )


EXPLORATIONS: Mapping[str, ExplorationKind] = {
    "greedy": _kind(Greedy),
    "uniform": _kind(Uniform),
    "epsilon_uniform": _kind(EpsilonUniform),
    "softmax": _kind(Softmax),
    "thompson": _kind(Thompson),
}
"""Every policy, by its word in a catalogue."""
