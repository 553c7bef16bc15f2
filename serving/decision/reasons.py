"""Why a candidate was not shown: one small stable integer; the text is derived on read."""

from __future__ import annotations

from enum import IntEnum

from serving.decision.values import Stage

_STAGES = dict(enumerate(Stage, start=1))


class Reason(IntEnum):
    """Where and why a candidate stopped. The hundreds are the stage; codes are stored and never reused."""

    NO_TREATMENT_FOR_CHANNEL = 101
    NO_TREATMENT_FOR_PLACEMENT = 102
    NOT_STARTED = 103
    ENDED = 104
    NOT_ELIGIBLE = 201
    ELIGIBILITY_UNKNOWN = 202
    NOT_APPLICABLE = 301
    APPLICABILITY_UNKNOWN = 302
    NOT_SUITABLE = 401
    SUITABILITY_UNKNOWN = 402
    NOT_SCORED = 601
    BELOW_FLOOR = 602
    UNDECIDED = 700
    OUTRANKED = 701
    ACTION_TAKEN = 702
    GROUP_TAKEN = 703
    ISSUE_TAKEN = 704
    SHOWN = 801

    @property
    def stage(self) -> Stage:
        """The stage at which the candidate stopped, or ``shown``."""
        return _STAGES[self.stage_number]

    @property
    def stage_number(self) -> int:
        """Position of the stage in the funnel, from 1."""
        return self // 100

    @property
    def is_unknown(self) -> bool:
        """Whether a rule decided that was not false but unknown."""
        return self.stage_number in (2, 3, 4) and self % 100 == 2
