"""Telemetry as Prometheus counts it: each worker into files of its own, the Admin service adds them up.

What the labels may say is bounded: routes, codes, stages, verdicts and modes by the code, views and policies
by the features and the catalogue. Nothing comes from a request.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import cache
from itertools import compress
from pathlib import Path
from typing import Any, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, multiprocess
from prometheus_client.metrics_core import Metric

from serving.decision.catalogue import Catalogue
from serving.decision.reasons import Reason
from serving.records import DecisionRecord, Versions
from serving.telemetry import Answered

PREFIX = "moment_"
"""How every metric of ours begins; what libraries count of themselves is not shown."""

# The vendor's types leave these out
_every_worker: Any = multiprocess.MultiProcessCollector
_mark_process_dead: Any = multiprocess.mark_process_dead

# Plain numbers: they are compared with each candidate of each decision
_LIMIT_REACHED, _OUTRANKED = int(Reason.LIMIT_REACHED), int(Reason.OUTRANKED)
_REQUEST_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)
_STAGE_SECONDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5)
_AGE_SECONDS = (10.0, 60.0, 600.0, 3600.0, 6 * 3600.0, 86400.0, 2 * 86400.0, 7 * 86400.0, 30 * 86400.0)
_FILE_BYTES = 2**20

_Family = TypeVar("_Family", Counter, Histogram)
_FILES = ("counter", "histogram", "gauge_livesum", "gauge_livemin", "gauge_livemax")


class PrometheusTelemetry:
    """The Protocol `Telemetry`; one per worker.

    Parameters
    ----------
    registry
        Where the metrics are declared; a new one unless told otherwise.
    """

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = CollectorRegistry() if registry is None else registry
        self._policies: tuple[Catalogue | None, list[str]] = (None, [])
        self._shown: Versions | None = None
        self._requests = self._counter("requests", "Requests answered", "method", "route", "status", "code")
        self._request_seconds = self._histogram(
            "request_seconds", "From the request's first byte to the answer's last", _REQUEST_SECONDS, "route"
        )
        self._decisions = self._counter("decisions", "Decisions made and recorded", "mode", "profile")
        self._stage_seconds = self._histogram(
            "decision_stage_seconds", "Time a decision took, by stage, all attempts", _STAGE_SECONDS, "stage"
        )
        self._conflicts = self._counter(
            "decision_conflicts", "Attempts given up because the customer's history had changed", "mode"
        )
        self._degraded = self._counter("degraded", "Decisions made without something", "mode", "name")
        self._placements = self._counter(
            "placements", "Placements, by why they are as they are", "mode", "reason"
        )
        self._offers = self._counter("offers", "Slots filled, by how the pick was made", "mode", "pick")
        self._limits = self._counter(
            "limit_reached", "Decisions in which a contact policy stopped an action", "mode", "policy"
        )
        self._ages = self._histogram(
            "feature_age_seconds", "Age of the features a decision read, by view", _AGE_SECONDS, "view"
        )
        self._items = self._counter("report_items", "Outcomes and events reported", "kind", "verdict")
        self._waiting = self._gauge("writes_waiting", "Writes waiting for the disk", "livesum")
        self._workers = self._gauge("workers", "Workers that can decide", "livesum")
        self._up = self._gauge("dependency_up", "0 while a worker does not ask it", "livemin", "name")
        self._info = self._gauge(
            "info",
            "What decides",
            "livemax",
            "catalogue",
            "contract",
            "propensity",
            "segmentation",
            "policy",
            "code_version",
        )
        self._seq = self._gauge("ledger_seq", "The ledger's last act that every worker heeds", "livemin")
        self._broken = self._gauge(
            "ledger_broken", "1 while a worker finds the ledger not to be what was signed", "livemax"
        )
        self._refusals = self._counter("bundles_refused", "Bundles refused by a worker", "model", "reason")
        self._approval_days = self._gauge(
            "approval_days_left",
            "Days the approval of what decides still holds, 0: ended",
            "livemin",
            "model",
        )
        self._shadows = self._counter("shadows", "Challengers asked beside decisions", "model", "fate")

    def request(self, answered: Answered) -> None:
        """Count and time a request that was answered."""
        self._requests(answered.method, answered.route, str(answered.status), answered.code).inc()
        self._request_seconds(answered.route).observe(answered.seconds)

    def decision(self, record: DecisionRecord, catalogue: Catalogue) -> None:
        """Count a decision that was made and recorded."""
        mode = record.mode.value
        self._decisions(mode, record.profile.value).inc()
        for stage, milliseconds in record.latency_ms.items():
            self._stage_seconds(stage).observe(milliseconds / 1000)
        if record.attempt > 1:
            self._conflicts(mode).inc(record.attempt - 1)
        for name in record.degraded:
            self._degraded(mode, name).inc()
        for placement in record.placements:
            self._placements(mode, placement.reason.value).inc()
        for pick in _picks(record):
            self._offers(mode, pick).inc()
        for policy in self._reached(record, catalogue):
            self._limits(mode, policy).inc()
        if record.personal is not None:
            for view, at in record.personal.event_times.items():
                self._ages(view).observe(max(0.0, (record.decided_at - at).total_seconds()))

    def item(self, kind: str, verdict: str) -> None:
        """Count one item of a report."""
        self._items(kind, verdict).inc()

    def waiting(self, writes: int) -> None:
        """Show how many writes wait."""
        self._waiting.set(writes)

    def opened(self, versions: Versions) -> None:
        """Show what decides from now on."""
        if self._shown is not None:
            self._info.labels(*_short(self._shown)).set(0)
        self._shown = versions
        self._info.labels(*_short(versions)).set(1)
        self._workers.set(1)

    def dependency(self, name: str, *, up: bool) -> None:
        """Show whether a dependency is asked."""
        self._up.labels(name).set(1 if up else 0)

    def followed(self, seq: int) -> None:
        """Show up to which act of the ledger decisions heed it."""
        self._seq.set(seq)
        self._broken.set(0)

    def ledger(self, *, broken: bool) -> None:
        """Show whether the ledger is believed."""
        self._broken.set(1 if broken else 0)

    def refused(self, model: str, reason: str) -> None:
        """Count a bundle that was refused."""
        self._refusals(model, reason).inc()

    def approval(self, model: str, days: float | None) -> None:
        """Show how long an approval holds; what nobody approved shows that it is of no day: not a number."""
        self._approval_days.labels(model).set(float("nan") if days is None else days)

    def shadow(self, model: str, fate: str) -> None:
        """Count what became of a challenger's shadow."""
        self._shadows(model, fate).inc()

    def _reached(self, record: DecisionRecord, catalogue: Catalogue) -> Iterator[str]:
        """Return the name of each policy that stopped an action, once."""
        considered = record.considered
        if _LIMIT_REACHED not in considered.reason:
            return
        if self._policies[0] is not catalogue:
            self._policies = catalogue, [policy.name for policy in catalogue.contact_policies]
        names = self._policies[1]
        pairs = zip(considered.reason, considered.rule, strict=True)
        for index in {rule for reason, rule in pairs if reason == _LIMIT_REACHED}:
            yield names[index]

    def _counter(self, name: str, meaning: str, *labels: str) -> Callable[..., Counter]:
        return _children(Counter(f"{PREFIX}{name}", meaning, labels, registry=self.registry))

    def _histogram(
        self, name: str, meaning: str, bounds: tuple[float, ...], *labels: str
    ) -> Callable[..., Histogram]:
        return _children(
            Histogram(f"{PREFIX}{name}", meaning, labels, buckets=bounds, registry=self.registry)
        )

    def _gauge(self, name: str, meaning: str, mode: str, *labels: str) -> Gauge:
        return Gauge(
            f"{PREFIX}{name}",
            meaning,
            labels,
            multiprocess_mode=mode,  # type: ignore[arg-type]
            registry=self.registry,
        )


def _children(metric: _Family) -> Callable[..., _Family]:
    """Return what finds a metric's child by its labels: few, told often, and dear to look up its own way."""
    return cache(metric.labels)


class _Ours:
    """The metrics of all workers, without those of libraries."""

    def __init__(self, folder: Path) -> None:
        self._all = _every_worker(None, path=str(folder))

    def collect(self) -> Iterator[Metric]:
        return (metric for metric in self._all.collect() if metric.name.startswith(PREFIX))


def exposition(folder: Path) -> bytes:
    """Return what all workers have counted since the service started, as Prometheus reads it."""
    registry = CollectorRegistry()
    if folder.is_dir():
        forget_dead(folder)
        registry.register(_Ours(folder))
    return generate_latest(registry)


def forget_dead(folder: Path, alive: Callable[[int], bool] | None = None) -> None:
    """Take out what workers showed that are no more; what they counted stays."""
    for path in folder.glob("gauge_live*.db"):
        pid = path.stem.rpartition("_")[2]
        if pid.isdigit() and not (alive or _is_alive)(int(pid)):
            _mark_process_dead(int(pid), path=str(folder))


def set_aside(folder: Path) -> None:
    """Take the space for this process's files: on a full disk, writing into a hole would kill the worker."""
    for name in _FILES:
        with (folder / f"{name}_{os.getpid()}.db").open("ab") as file:
            os.posix_fallocate(file.fileno(), 0, _FILE_BYTES)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _picks(record: DecisionRecord) -> Iterator[str]:
    """Return how each offer was picked: by control, as explored, as the best, mandatory or fallback.

    An offer was explored when something that could have been in its place had a higher priority.
    """
    best = _best_left(record) if any(_is_drawn(record)) else {}
    for number, placement in enumerate(record.placements):
        for offer in placement.offers:
            if offer.kind.value != "arbitrated":
                yield offer.kind.value
            elif record.control:
                yield "control"
            else:
                left = best.get(number)
                explored = left is not None and offer.priority is not None and left > offer.priority
                yield "explored" if explored else "best"


def _is_drawn(record: DecisionRecord) -> Iterator[bool]:
    return (offer.action_probability < 1 for placement in record.placements for offer in placement.offers)


def _best_left(record: DecisionRecord) -> dict[int, float]:
    """Return the highest priority that was left over in each placement."""
    best: dict[int, float] = {}
    columns = record.considered
    outranked = map(_OUTRANKED.__eq__, columns.reason)
    for number, priority in compress(zip(columns.placement, columns.priority, strict=True), outranked):
        if priority is not None and priority > best.get(number, -1.0):
            best[number] = priority
    return best


def _short(versions: Versions) -> tuple[str, ...]:
    """Return what tells versions apart, in the digests' first twelve letters."""
    return (
        versions.catalogue[:12],
        versions.contract[:12],
        versions.propensity[:12],
        versions.segmentation[:12],
        versions.policy[:12],
        versions.code,
    )
