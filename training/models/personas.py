"""What to call a persona: its defining traits, in words a person would use."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from serving.bundles.personas import Axis
from training.models.axes import coordinates
from training.models.columns import to_floats

FloatArray = NDArray[np.float64]

_DEFINING = 0.35
_MOST_TRAITS = 6
_WORDS_IN_NAME = 2


@dataclass(frozen=True, slots=True)
class Phrase:
    """How people say that a column, or some levels of a word column, is high or low in a persona.

    Parameters
    ----------
    column
        Column it speaks of.
    high, low
        Words for above and below the other customers; empty for nothing to say.
    topic
        At most one phrase per topic enters a name; the column itself by default.
    levels
        For a word column: the levels that count together.
    noun
        True when the words are a noun (``families``) that ends the name.
    """

    column: str
    high: str
    low: str = ""
    topic: str = ""
    levels: tuple[str, ...] = ()
    noun: bool = False


@dataclass(frozen=True, slots=True)
class Trait:
    """One way in which a persona differs from all customers.

    Parameters
    ----------
    column, levels
        What of; levels of a word column, empty for numbers.
    difference
        Persona's mean minus the mean of all, in standard deviations of all.
    typical, usual
        Median in the persona and of all; for levels, the share of customers.
    words, topic, noun
        As of `Phrase`; ``high spend_90d`` where no phrase speaks of it.
    """

    column: str
    levels: tuple[str, ...]
    difference: float
    typical: float
    usual: float
    words: str
    topic: str
    noun: bool = False

    def __str__(self) -> str:
        if self.levels:
            return f"{self.words} ({'/'.join(self.levels)}: {self.typical:.0%}, all {self.usual:.0%})"
        return f"{self.words} ({self.column} {self.typical:.3g}, all {self.usual:.3g})"


def defining_traits(
    axes: Sequence[Axis], frame: pd.DataFrame, member: NDArray[np.bool_], phrases: Sequence[Phrase]
) -> tuple[Trait, ...]:
    """Return the traits of the rows ``member`` (n_rows,) that differ by at least 0.35, strongest first.

    Of several traits of one topic, the strongest.

    Parameters
    ----------
    axes
        What to compare on; differences of numbers are taken after the axis' transform.
    frame
        All customers, (n_rows, n_columns).
    phrases
        Words for columns. A column without any gets generic words.
    """
    found: list[Trait] = []
    for axis in axes:
        spoken = [phrase for phrase in phrases if phrase.column == axis.name]
        found += (
            _levels(axis, frame, member, spoken) if axis.categories else _number(axis, frame, member, spoken)
        )
    defining = [trait for trait in found if abs(trait.difference) >= _DEFINING and trait.words]
    defining.sort(key=lambda trait: (-abs(trait.difference), trait.column, trait.levels))
    by_topic: dict[str, Trait] = {}
    for trait in defining:
        by_topic.setdefault(trait.topic, trait)
    return tuple(by_topic.values())[:_MOST_TRAITS]


def name_personas(traits: Sequence[Sequence[Trait]], noun: str) -> tuple[str, ...]:
    """Return one name per persona, all different: its strongest words of different topics and a noun.

    ``frequent`` + ``big-basket`` + ``families`` → ``Frequent big-basket families``. Personas that would share
    a name get one more word each, then a number.

    Parameters
    ----------
    traits
        Of each persona, strongest first.
    noun
        Ends the name where no trait is a noun.
    """
    lengths = [_WORDS_IN_NAME] * len(traits)
    for _ in range(_MOST_TRAITS):
        names = [_name(own, noun, length) for own, length in zip(traits, lengths, strict=True)]
        shared = Counter(names)
        lengths = [n + (shared[name] > 1) for n, name in zip(lengths, names, strict=True)]
    seen: Counter[str] = Counter()
    final: list[str] = []
    for name in names:
        seen[name] += 1
        final.append(f"{name} {seen[name]}" if shared[name] > 1 else name)
    return tuple(final)


def _name(traits: Sequence[Trait], noun: str, length: int) -> str:
    nouns = [trait.words for trait in traits if trait.noun]
    words = [trait.words for trait in traits if not trait.noun][:length] or ["average"]
    generic = any(" " in word for word in words)
    name = ", ".join(words) if generic and not nouns else " ".join([*words, (nouns or [noun])[0]])
    return name[:1].upper() + name[1:]


def _number(
    axis: Axis, frame: pd.DataFrame, member: NDArray[np.bool_], phrases: Sequence[Phrase]
) -> list[Trait]:
    values = to_floats(axis.name, frame[axis.name])
    placed = coordinates(axis, values)
    difference = float((placed[member].mean() - placed.mean()) / (placed.std() or 1.0)) * np.sign(
        axis.weight or 1.0
    )
    typical, usual = _median(values[member]), _median(values)
    generic = Phrase(axis.name, f"high {axis.name}", f"low {axis.name}")
    return [
        Trait(
            axis.name,
            (),
            float(difference),
            typical,
            usual,
            phrase.high if difference > 0 else phrase.low,
            phrase.topic or axis.name,
            phrase.noun,
        )
        for phrase in (phrases or [generic])
    ]


def _levels(
    axis: Axis, frame: pd.DataFrame, member: NDArray[np.bool_], phrases: Sequence[Phrase]
) -> list[Trait]:
    held = frame[axis.name].to_numpy(dtype=object)
    generic = [Phrase(axis.name, f"{axis.name} {level}", levels=(level,)) for level in axis.categories]
    found = []
    for phrase in phrases or generic:
        has = np.isin(held.astype(str), [str(level) for level in phrase.levels])
        usual, typical = float(has.mean()), float(has[member].mean())
        difference = (typical - usual) / (np.sqrt(usual * (1.0 - usual)) or 1.0)
        words = phrase.high if difference > 0 else phrase.low
        levels = tuple(map(str, phrase.levels))
        topic = phrase.topic or axis.name
        found.append(Trait(axis.name, levels, float(difference), typical, usual, words, topic, phrase.noun))
    return found


def _median(values: FloatArray) -> float:
    known = values[~np.isnan(values)]
    return float(np.median(known)) if known.size else float("nan")
