"""The chance of one decision: the numbers of ``numpy.random.default_rng(seed)``, in fewer steps.

To make that generator takes longer than all that a decision draws from it; so the few numbers are computed
here: the seed is hashed as numpy's ``SeedSequence`` does, then PCG64 (XSL-RR) goes on from there. Numpy
promises to keep both as they are.

References
----------
M. O'Neill, *PCG: A Family of Simple Fast Space-Efficient Statistically Good Algorithms for Random Number
Generation* (2014); and *Developing a seed_seq Alternative* (2015) on how a seed is hashed.
"""

from __future__ import annotations

from itertools import pairwise

_32, _64, _128 = 2**32 - 1, 2**64 - 1, 2**128 - 1
_POOL = 4
_MULTIPLIER = 0x2360ED051FC65DA44385DF649FCCF645
_LEFT, _RIGHT = 0xCA01F9DD, 0x4973F715


def _powers(first: int, factor: int, count: int) -> tuple[tuple[int, int], ...]:
    """Return what each hash in turn is mixed with: what it begins with, and what it multiplies by."""
    found = [first]
    for _ in range(count):
        found.append(found[-1] * factor & _32)
    return tuple(pairwise(found))


_INTO = _powers(0x43B0D7E5, 0x931E8875, _POOL * _POOL)
_OUT_OF = _powers(0x8B51F9DD, 0x58F38DED, 2 * _POOL)
_PAIRS = [(source, to) for source in range(_POOL) for to in range(_POOL) if source != to]
_MIXING = tuple((*pair, *mixed) for pair, mixed in zip(_PAIRS, _INTO[_POOL:], strict=True))


class Seeded:
    """The chance of one decision, computed at its first draw: many draw nothing.

    Parameters
    ----------
    seed
        Not negative, below 2**64.

    Examples
    --------
    >>> import numpy as np
    >>> Seeded(7).random() == np.random.default_rng(7).random()
    True
    """

    __slots__ = ("_increment", "_seed", "_state")

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._state = self._increment = 0

    def random(self) -> float:
        """Return the next number, in [0, 1)."""
        if not self._increment:  # it is odd, once there is one
            self._begin()
        self._state = state = (self._state * _MULTIPLIER + self._increment) & _128
        folded, turn = (state >> 64) ^ (state & _64), state >> 122
        turned = (folded >> turn | folded << (64 - turn)) & _64
        return (turned >> 11) * 2.0**-53

    def _begin(self) -> None:
        words = _hashed(self._seed)
        first, second, third, fourth = (words[n] | words[n + 1] << 32 for n in range(0, 2 * _POOL, 2))
        self._increment = (third << 65 | fourth << 1 | 1) & _128
        self._state = ((first << 64 | second) + self._increment) * _MULTIPLIER + self._increment & _128


def _hashed(seed: int) -> list[int]:
    """Return eight words of 32 bits that each depend on the whole seed."""
    pool = []
    for word, (begins, factor) in zip((seed & _32, seed >> 32, 0, 0), _INTO, strict=False):
        mixed = (word ^ begins) * factor & _32
        pool.append(mixed ^ mixed >> 16)
    for source, to, begins, factor in _MIXING:
        mixed = (pool[source] ^ begins) * factor & _32
        both = (_LEFT * pool[to] - _RIGHT * (mixed ^ mixed >> 16)) & _32
        pool[to] = both ^ both >> 16
    words = []
    for word, (begins, factor) in zip(pool * 2, _OUT_OF, strict=True):
        mixed = (word ^ begins) * factor & _32
        words.append(mixed ^ mixed >> 16)
    return words
