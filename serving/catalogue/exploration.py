"""Exploration policies as the file writes them: a word, or a mapping with parameters."""

from __future__ import annotations

from serving.catalogue.names import among
from serving.catalogue.section import Section
from serving.decision.exploration import Exploration, Parameter
from serving.decision.explorations import EXPLORATIONS, ExplorationKind
from serving.decision.parsing import nearest


def read_exploration(above: Section, key: str = "exploration") -> Exploration | None:
    """Return the policy, or None where it is missing or wrong."""
    if key not in above:
        return None
    if isinstance(above.entry(key), str):
        return _by_word(above, key)
    section = above.section(key, f"{above.where}, {key}" if above.where else key)
    kind = _kind(section, "policy")
    if kind is None:
        return None
    made = _by_parameters(section, kind)
    section.finish()
    return made


def _by_word(above: Section, key: str) -> Exploration | None:
    kind = _kind(above, key)
    if kind is None:
        return None
    if kind.required:
        word, first = above.text(key), min(kind.required)
        above.fault(key, f"`{word}` needs its {first}; write {{policy: {word}, {first}: …}}")
        return None
    return kind.make()


def _kind(section: Section, key: str) -> ExplorationKind | None:
    word = section.text(key)
    if word and word not in EXPLORATIONS:
        section.fault(key, f"there is no policy `{word}`{nearest(word, EXPLORATIONS) or among(EXPLORATIONS)}")
    return EXPLORATIONS.get(word)


def _by_parameters(section: Section, kind: ExplorationKind) -> Exploration | None:
    given: dict[str, object] = {}
    for parameter in kind.numbers:
        if parameter.name in section or parameter.name in kind.required:
            given[parameter.name] = _number(section, parameter)
    for name in kind.policies:
        if name in section:
            given[name] = read_exploration(section, name)
    return None if None in given.values() else kind.make(**given)


def _number(section: Section, parameter: Parameter) -> object:
    value = section.entry(parameter.name)
    fault = parameter.fault(value)
    if fault:
        section.fault(parameter.name, fault.removeprefix(f"{parameter.name} "))
    return None if fault else value
