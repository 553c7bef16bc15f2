"""The policies of exploration by the word a catalogue uses, and how they are read from it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, dataclass, fields

from moment.errors import Fault
from serving.decision.epsilon_uniform import EpsilonUniform
from serving.decision.exploration import Exploration, Parameter
from serving.decision.greedy import Greedy
from serving.decision.parsing import nearest
from serving.decision.softmax import Softmax
from serving.decision.thompson import Thompson
from serving.decision.uniform import Uniform

DEFAULT_EXPLORATION: Exploration = EpsilonUniform()
"""Of a catalogue that says nothing: 5 % of picks are uniform, so that records can judge another policy."""


@dataclass(frozen=True, slots=True)
class Kind:
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
        Names of the parameters without a default.
    """

    make: Callable[..., Exploration]
    numbers: tuple[Parameter, ...]
    policies: tuple[str, ...]
    required: tuple[str, ...]

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of all its parameters."""
        return (*(one.name for one in self.numbers), *self.policies)


def _kind(found: type[Greedy | Uniform | EpsilonUniform | Softmax | Thompson], *policies: str) -> Kind:
    required = [
        one.name
        for one in fields(found)
        if one.init and one.default is MISSING and one.default_factory is MISSING
    ]
    return Kind(found, found.PARAMETERS, policies, tuple(required))


EXPLORATIONS: Mapping[str, Kind] = {
    "greedy": _kind(Greedy),
    "uniform": _kind(Uniform),
    "epsilon_uniform": _kind(EpsilonUniform, "base"),
    "softmax": _kind(Softmax),
    "thompson": _kind(Thompson),
}
"""Every policy, by its word in a catalogue."""


def read_exploration(said: object) -> Exploration | tuple[Fault, ...]:
    """Return the policy a catalogue means, or everything that is wrong with it.

    Parameters
    ----------
    said
        A policy's word, or a mapping with ``policy`` and its parameters, as YAML reads them.

    Returns
    -------
    Exploration or tuple of Fault
        A fault's place is the field, relative to ``said``: ``base.temperature``; empty for ``said`` itself.

    Examples
    --------
    >>> read_exploration("greedy")
    Greedy()
    >>> read_exploration({"policy": "epsilon_uniform", "base": {"policy": "softmax", "temperature": 0.5}})
    EpsilonUniform(share=0.05, base=Softmax(temperature=0.5))
    >>> for fault in read_exploration({"policy": "epsilon_uniform", "share": 5, "base": "softmaks"}):
    ...     print(fault)
    share: share is 5; it is a number from 0 to 1
    base: there is no policy `softmaks`; did you mean `softmax`?
    """
    faults: list[Fault] = []
    exploration = _read(said, "", faults)
    return tuple(faults) if exploration is None else exploration


def _read(said: object, place: str, faults: list[Fault]) -> Exploration | None:
    """Return the policy; None when it, or a part of it, was at fault."""
    parameters = dict(said) if isinstance(said, Mapping) else {"policy": said}
    word = parameters.pop("policy", None)
    kind = EXPLORATIONS.get(word) if isinstance(word, str) else None
    if kind is None:
        faults.append(_no_policy(word, place if not isinstance(said, Mapping) else _within(place, "policy")))
        return None
    before = len(faults)
    faults.extend(_faults(kind, str(word), parameters, place))
    for name in kind.policies:
        if name in parameters:
            parameters[name] = _read(parameters[name], _within(place, name), faults)
    return kind.make(**parameters) if len(faults) == before else None


def _no_policy(word: object, place: str) -> Fault:
    if not isinstance(word, str):
        return Fault(place, f"name a policy: one of {', '.join(EXPLORATIONS)}")
    hint = nearest(word, EXPLORATIONS) or f"; one of {', '.join(EXPLORATIONS)}"
    return Fault(place, f"there is no policy `{word}`{hint}")


def _faults(kind: Kind, word: str, parameters: Mapping[str, object], place: str) -> Iterator[Fault]:
    """Yield what is wrong with the parameters themselves, policies among them left out."""
    for name in parameters:
        if name not in kind.parameters:
            takes = ", ".join(kind.parameters) or "no parameters"
            hint = nearest(str(name), kind.parameters) or f"; it takes {takes}"
            yield Fault(_within(place, str(name)), f"{word} has no parameter `{name}`{hint}")
    for name in kind.required:
        if name not in parameters:
            yield Fault(place, f"{word} needs `{name}`")
    for number in kind.numbers:
        if number.name in parameters:
            message = number.fault(parameters[number.name])
            if message:
                yield Fault(_within(place, number.name), message)


def _within(place: str, name: str) -> str:
    return f"{place}.{name}" if place else name
