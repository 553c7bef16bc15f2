"""What competes: some of a catalogue's candidates, objects only when looked at."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np
from numpy.typing import NDArray

from serving.decision.actions import Candidate


@dataclass(frozen=True, slots=True, eq=False)
class Contenders(Sequence[Candidate]):
    """Some candidates of a catalogue.

    Attributes
    ----------
    candidates
        All of the catalogue.
    which
        Shape (n,): which of them these are.
    """

    candidates: tuple[Candidate, ...]
    which: NDArray[np.intp]

    def __len__(self) -> int:
        return len(self.which)

    def __iter__(self) -> Iterator[Candidate]:
        return map(self.candidates.__getitem__, self.which.tolist())

    @overload
    def __getitem__(self, place: int) -> Candidate: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Candidate]: ...
    def __getitem__(self, place: int | slice) -> Candidate | Sequence[Candidate]:
        if isinstance(place, slice):
            return Contenders(self.candidates, self.which[place])
        return self.candidates[int(self.which[place])]
