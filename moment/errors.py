"""The tree of errors.

::

    MomentError
    ├── InvalidRequest         the caller's mistake, answered with a 4xx problem
    ├── DependencyError        something Moment needs is missing, slow or broken
    │   ├── StepMissing        an earlier command has not been run yet
    │   └── Overloaded         more is asked than can be answered in time
    ├── ConfigurationError     found at start; lists all faults at once
    └── InvariantViolation     Moment's own promise is broken: a defect

Every message is one line: what, where, and the way out. Nothing here imports anything of ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class MomentError(Exception):
    """Root of all errors Moment raises on purpose."""


class InvalidRequest(MomentError):
    """The caller asked for something that cannot be asked.

    Parameters
    ----------
    message
        One line for the caller, naming the way out. Never holds personal data.
    code
        Stable machine-readable problem code, e.g. ``unknown-channel``.
    field
        JSON path of the offending field, e.g. ``placements[0].name``, or None.
    retry_after
        Seconds after which the same request may succeed; None where waiting does not help.
    """

    def __init__(
        self, message: str, *, code: str, field: str | None = None, retry_after: float | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.field = field
        self.retry_after = retry_after


class DependencyError(MomentError):
    """A store, file or model that Moment needs is missing, slow or broken."""


class StepMissing(DependencyError):
    """A step was asked for before the one it needs."""

    def __init__(self, missing: str, *, run: str) -> None:
        super().__init__(f"{missing}; run `{run}` first")
        self.missing = missing
        self.run = run


class Overloaded(DependencyError):
    """More is asked of Moment than it can answer in time; asking a little later may go well."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One mistake in something people write: where it is, what it is, and the way out."""

    place: str
    message: str

    def __str__(self) -> str:
        return f"{self.place}: {self.message}"


class ConfigurationError(MomentError):
    """Configuration, catalogue or contract is wrong. Raised at start only, with every fault found."""

    def __init__(self, message: str, *, faults: Sequence[Fault] = ()) -> None:
        super().__init__("\n  ".join([message, *map(str, faults)]))
        self.faults = tuple(faults)


class InvariantViolation(MomentError):
    """A promise Moment makes about itself does not hold. Always a defect of Moment."""
