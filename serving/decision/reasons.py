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
    BUDGET_SPENT = 105
    BUDGET_SPENT_TODAY = 106
    VOLUME_REACHED = 107
    VOLUME_REACHED_TODAY = 108
    OTHER_LANGUAGE = 109
    ACTION_STOPPED = 110
    ISSUE_STOPPED = 111
    CHANNEL_STOPPED = 112
    POLICY_STOPPED = 113
    NOT_ELIGIBLE = 201
    ELIGIBILITY_UNKNOWN = 202
    NO_CONSENT = 203
    CONSENT_STORE_GONE = 204
    OPTED_OUT = 205
    NOT_APPLICABLE = 301
    APPLICABILITY_UNKNOWN = 302
    NOT_SUITABLE = 401
    SUITABILITY_UNKNOWN = 402
    LIMIT_REACHED = 501
    SUPPRESSED = 502
    COOLING_OFF = 503
    QUIET_HOURS = 504
    HELD_OUT = 505
    CONTACT_STORE_GONE = 506
    RECENTLY_EXCLUDED = 507
    NOT_SCORED = 601
    BELOW_FLOOR = 602
    NOT_RANKED = 603
    UNDECIDED = 700
    OUTRANKED = 701
    ACTION_TAKEN = 702
    GROUP_TAKEN = 703
    ISSUE_TAKEN = 704
    EXCLUDED = 705
    LIMIT_USED_UP = 706
    SHOWN = 801
    FORCED = 802

    @property
    def stage(self) -> Stage:
        """The stage at which the candidate stopped, or ``shown``."""
        return _STAGES[self.stage_number]

    @property
    def stage_number(self) -> int:
        """Position of the stage in the funnel, from 1."""
        return self // 100

    @property
    def is_by_rule(self) -> bool:
        """Whether a rule decided."""
        return self.stage_number in (2, 3, 4) and self % 100 in (1, 2)

    @property
    def is_unknown(self) -> bool:
        """Whether a rule decided that was not false but unknown."""
        return self.is_by_rule and self % 100 == 2
