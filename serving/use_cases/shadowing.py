"""Asking challengers beside the champion, after the answer was given: nobody waits for it or is shown it.

A share of the live decisions, drawn by their ids, is put in a queue that holds so many and no more; one
thread takes them out a moment later. What does not fit is dropped and counted. Test traffic is not shadowed,
for it never reaches a comparison.
"""

from __future__ import annotations

import logging
import math
import queue
import threading
import time
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from serving.decision.choose import choose
from serving.decision.decision import Scores
from serving.decision.seeded import Seeded
from serving.decision.shortlist import Shortlist, shortlist
from serving.lifecycle import Model
from serving.ports.shadows import (
    Shadow,
    ShadowOffer,
    ShadowOffers,
    ShadowRecords,
    ShadowScores,
    ShadowSegment,
    Told,
)
from serving.records import Mode
from serving.telemetry import UNTOLD, Telemetry
from serving.use_cases.decide import ATTEMPTS, PROPENSITY
from serving.use_cases.question import request_of
from serving.use_cases.recording import Deliberation
from serving.use_cases.version_set import Challenger, Live, VersionSet

MOST_WAITING = 1000
"""Decisions that wait for a challenger; more are dropped."""

DELAY_SECONDS = 0.05
"""How long a decision waits at least: by then its answer is out, and the thread takes nothing from it."""

_AT_ONCE = 64
_log = logging.getLogger("moment.shadows")


@dataclass(frozen=True, slots=True, eq=False)
class _Job:
    challenger: Challenger
    made: Deliberation
    due: float


class Shadowing:
    """Asks challengers; one per process.

    Parameters
    ----------
    records
        Keeps what they say.
    telemetry
        Counts what becomes of it.
    most_waiting, delay
        How many decisions wait at most, and how long each at least, in seconds.
    """

    def __init__(
        self,
        records: ShadowRecords,
        telemetry: Telemetry = UNTOLD,
        *,
        most_waiting: int = MOST_WAITING,
        delay: float = DELAY_SECONDS,
    ) -> None:
        self._records = records
        self._telemetry = telemetry
        self._delay = delay
        self._jobs: queue.Queue[_Job | None] = queue.Queue(most_waiting)
        self._closing = threading.Event()
        self._told = False
        self._thread = threading.Thread(target=self._work, name="shadowing", daemon=True)
        self._thread.start()

    def __call__(self, live: Live, by: VersionSet, made: Deliberation) -> None:
        """Let challengers be asked beside a recorded decision, where it is their turn. It never waits."""
        if made.question.caller.mode is not Mode.LIVE:
            return
        for challenger in live.shadows:
            if not _takes_part(challenger, live, by, made):
                continue
            try:
                self._jobs.put_nowait(_Job(challenger, made, time.monotonic() + self._delay))
            except queue.Full:
                self._telemetry.shadow(challenger.model.value, "dropped")

    def close(self) -> None:
        """Ask no more; what waits is dropped."""
        self._closing.set()
        # One that is full is being emptied, and then it is seen that it is closing
        with suppress(queue.Full):
            self._jobs.put_nowait(None)
        self._thread.join(2)

    def settle(self, seconds: float = 10.0) -> bool:
        """Wait until nothing waits any more; for tests and for who ends a run."""
        deadline = time.monotonic() + seconds
        while self._jobs.unfinished_tasks and time.monotonic() < deadline:
            time.sleep(0.01)
        return not self._jobs.unfinished_tasks

    def _work(self) -> None:
        while (jobs := self._next()) is not None:
            self._done(jobs)
            for _ in jobs:
                self._jobs.task_done()

    def _next(self) -> list[_Job] | None:
        """Wait for a job, take those behind it along, and wait until all are due; None when it is closed."""
        jobs: list[_Job] = []
        job = self._jobs.get()
        while job is not None:
            jobs.append(job)
            if len(jobs) == _AT_ONCE:
                break
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                break
        if job is None or self._closing.wait(max(0.0, jobs[-1].due - time.monotonic())):
            return None
        return jobs

    def _done(self, jobs: list[_Job]) -> None:
        shadows = [shadow for job in jobs if (shadow := self._asked(job)) is not None]
        if not shadows:
            return
        try:
            self._records.append(shadows).result()
            fate = "written"
        except Exception as error:  # noqa: BLE001 - whatever the store raises: they are lost, and counted
            self._tell(error)
            fate = "failed"
        for shadow in shadows:
            self._telemetry.shadow(shadow.model, fate)

    def _asked(self, job: _Job) -> Shadow | None:
        challenger, question = job.challenger, job.made.question
        try:
            told = shadow_of(challenger, job.made)
        except Exception as error:  # noqa: BLE001 - a challenger may fail in any way; nobody depends on it
            self._tell(error)
            self._telemetry.shadow(challenger.model.value, "failed")
            return None
        if told is None:
            return None
        return Shadow(
            question.decision_id, challenger.model.value, challenger.digest, question.received_at, told
        )

    def _tell(self, error: Exception) -> None:
        """Tell once that a shadow failed, by what kind of error; its words may be of a person."""
        if not self._told:
            self._told = True
            _log.warning("a challenger could not be asked beside a decision: %s", type(error).__name__)


def shadow_of(challenger: Challenger, made: Deliberation) -> Told | None:
    """Return what a challenger says of a decision's inputs; None where it had nothing to say."""
    match challenger.model:
        case Model.SEGMENTATION:
            facts = made.question.facts
            return ShadowSegment(challenger.versions.segmenter.assign(facts)) if facts.found else None
        case Model.PROPENSITY:
            return _scores(challenger, made)
        case Model.NEXT_BEST_ACTION:
            return _offers(challenger, made)


def _takes_part(challenger: Challenger, live: Live, by: VersionSet, made: Deliberation) -> bool:
    """Whether a challenger is asked: it is its turn, it is not stopped, and it did not decide itself.

    In another challenger's arm other catalogues decide, whose candidates it would not know.
    """
    return (
        by is live.champion
        and not live.standstill.has(challenger.model)
        and challenger.shadows(made.question.decision_id)
    )


def _scores(challenger: Challenger, made: Deliberation) -> ShadowScores | None:
    """Return the scores of the same contenders."""
    left = made.left
    if not left.contenders:
        return None
    scores = _scored(challenger, made, left)
    return ShadowScores(left.contender_index.tolist(), _numbers(scores.raw), _numbers(scores.propensity))


def _offers(challenger: Challenger, made: Deliberation) -> ShadowOffers:
    """Return what another policy makes of the same request, customer, history and seed."""
    question, catalogue = made.question, challenger.versions.catalogue
    customer = question.customer
    request = request_of(question.caller, question.ask, catalogue, customer.consent, question.request.stopped)
    left = shortlist(request, catalogue, customer, made.history, question.now)
    scores = _scored(challenger, made, left) if left.contenders and _could_score(made) else None
    decision = choose(left, scores, made.history, Seeded(made.seed))
    return ShadowOffers(
        catalogue=catalogue.digest,
        offers=tuple(
            ShadowOffer(
                placement=offer.placement,
                rank=offer.rank,
                action=offer.candidate.action.action_id,
                treatment=offer.candidate.treatment.treatment_id,
                kind=offer.kind.value,
                propensity=offer.propensity,
                priority=offer.priority,
                action_probability=offer.action_probability,
            )
            for offer in decision.offers
        ),
        joint_probability=decision.joint_probability,
    )


def _could_score(made: Deliberation) -> bool:
    """Whether the decision itself could ask the model; where it could not, neither does its shadow."""
    is_off = PROPENSITY in made.question.request.stopped.models
    return made.attempt <= ATTEMPTS and PROPENSITY not in made.degraded and not is_off


def _scored(challenger: Challenger, made: Deliberation, left: Shortlist) -> Scores:
    slots = sum(placement.slots for placement in left.request.placements)
    return challenger.versions.scorer.score(made.question.facts, left.contenders, left.context, slots)


def _numbers(column: NDArray[np.float64]) -> list[float | None]:
    """Return the column with None for NaN, which JSON has not."""
    return [None if math.isnan(number) else number for number in column.tolist()]
