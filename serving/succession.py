"""Watching the ledger of models, and swapping what decides, without a request that fails or mixes versions.

Two threads in every worker. One asks the ledger four times a second whether anything was done; what was
stopped, resumed or approved holds from the next request on. The other opens the bundles of new champions and
challengers, which takes a second or more each, and never holds up the first. The champions change together,
when all that the ledger names are open: a set that the ledger never had decides nothing. A champion that is
refused leaves the last good one deciding, and that is told once.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Protocol, TypeVar

from moment.errors import DependencyError, InvariantViolation, MomentError
from serving.adapters.shelf import Bundle, Shelf
from serving.bundles import PropensityBundle, SegmentationBundle
from serving.bundles.policy import PolicyBundle
from serving.decision.catalogue import Catalogue
from serving.lifecycle import Book, Model, warnings
from serving.line_up import Key, LineUp, Pieces
from serving.ports import Clock
from serving.ports.life import LedgerBroken
from serving.records import Versions
from serving.telemetry import UNTOLD, Telemetry
from serving.use_cases.version_set import Live, LiveState

POLL_SECONDS = 0.25
"""How often the ledger is asked: a stop holds on every worker well within a second."""

RETRY_SECONDS = 30.0
"""How long a refused bundle rests before it is looked at again: somebody may have restored its folder."""

_TOLD_SECONDS = 60.0
"""How often it is told how long approvals hold."""

_log = logging.getLogger("moment.succession")

B = TypeVar("B", SegmentationBundle, PropensityBundle, PolicyBundle)


class Watched(Protocol):
    """What is asked of the ledger; see `serving.ports.life.LifeLedger`."""

    def seq(self) -> int:
        """Return how many acts there are."""
        ...

    def book(self) -> Book:
        """Return what they come to."""
        ...


class Succession:
    """What decides in this process, kept as the ledger has it.

    Parameters
    ----------
    ledger
        Of what is done to models.
    shelf
        Opens bundles.
    catalogue
        Returns the catalogue of the settings: it decides where the ledger has no policy.
    code_version
        Version of Moment, for the record.
    clock
        Tells the present.
    telemetry
        Is told of swaps and refusals.
    """

    def __init__(
        self,
        ledger: Watched,
        shelf: Shelf,
        catalogue: Callable[[], Catalogue],
        *,
        code_version: str,
        clock: Clock,
        telemetry: Telemetry = UNTOLD,
    ) -> None:
        self._ledger = ledger
        self._shelf = shelf
        self._catalogue = catalogue
        self._clock = clock
        self._telemetry = telemetry
        self._lock = threading.RLock()
        self._open: dict[Key, Bundle] = {}
        self._refused: dict[Key, float] = {}
        self._told_refused: set[Key] = set()
        self._warned: tuple[str, ...] = ()
        self._line_up = LineUp(code_version, self._open)
        self._book = ledger.book()
        self._away = self._broken = False
        self._unfit: Versions | None = None
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._threads: list[threading.Thread] = []
        self.rehearse: Callable[[Live], None] = lambda _: None
        """Decides once by what is about to be live: no customer has to wait for what first use makes."""
        self._pieces = self._first_pieces()
        self.state = LiveState(self._line_up.live(self._pieces, self._book))
        self._served()

    def start(self) -> None:
        """Watch the ledger from now on."""
        self._wake.set()
        for name, work in (("succession", self._watch), ("opening bundles", self._open_missing)):
            thread = threading.Thread(target=work, name=name, daemon=True)
            thread.start()
            self._threads.append(thread)

    def close(self) -> None:
        """Watch no more."""
        self._closing.set()
        self._wake.set()
        for thread in self._threads:
            thread.join(POLL_SECONDS * 4)

    def look(self) -> None:
        """Ask the ledger once; what needs no bundle holds when this returns, the rest when it is open."""
        if self._ledger.seq() != self._book.seq:
            book = self._ledger.book()
            with self._lock:
                self._book = book
                self._settle()
        if self._missing():
            self._wake.set()

    def open_one(self) -> bool:
        """Open one bundle that is missing, and let it decide if that was the last; False when none is."""
        key = next(iter(self._missing()), None)
        if key is None:
            return False
        found: Bundle | None = None
        try:
            found = self._shelf.open(*key)
        except Exception as refusal:  # noqa: BLE001 - whatever is wrong with it, it is looked at again later
            self._refuse(key, refusal)
        with self._lock:
            if found is not None:
                self._open[key] = found
                self._refused.pop(key, None)
                self._told_refused.discard(key)
            self._settle()
        return True

    def _watch(self) -> None:
        told = 0.0
        while not self._closing.wait(POLL_SECONDS):
            try:
                self.look()
                if time.monotonic() - told >= _TOLD_SECONDS:
                    told = time.monotonic()
                    self._tell_approvals()
                self._back()
            except Exception as error:  # noqa: BLE001 - whatever it is, what decides goes on deciding
                self._gone(error)

    def _open_missing(self) -> None:
        while True:
            self._wake.wait()
            self._wake.clear()
            try:
                while not self._closing.is_set() and self.open_one():
                    pass
            except Exception as error:  # noqa: BLE001 - whatever it is, what decides goes on deciding
                self._gone(error)
            if self._closing.is_set():
                return

    def _gone(self, error: Exception) -> None:
        """Tell once that the ledger cannot be followed; our own words name nobody."""
        broken = isinstance(error, LedgerBroken)
        if not self._away or (broken and not self._broken):
            _log.log(
                logging.ERROR if broken else logging.WARNING,
                "the ledger of models cannot be followed, what decides and what is off stays so: %s",
                _words(error),
            )
        self._away = True
        self._telemetry.dependency("models", up=False)
        if broken and not self._broken:
            self._broken = True
            self._telemetry.ledger(broken=True)

    def _back(self) -> None:
        if self._away:
            self._away = self._broken = False
            self._telemetry.dependency("models", up=True)
            self._telemetry.ledger(broken=False)

    def _first_pieces(self) -> Pieces:
        """Return the champions, or the last good bundles in the place of those that are refused."""
        segmentation = self._first(Model.SEGMENTATION, SegmentationBundle)
        propensity = self._first(Model.PROPENSITY, PropensityBundle)
        if self._book.champion(Model.NEXT_BEST_ACTION) is None:
            return Pieces(segmentation, propensity, None, self._catalogue())
        policy = self._first(Model.NEXT_BEST_ACTION, PolicyBundle)
        return Pieces(segmentation, propensity, policy, policy.catalogue)

    def _first(self, model: Model, kind: type[B]) -> B:
        bundle = self._champion_or_last_good(model)
        if not isinstance(bundle, kind):
            raise InvariantViolation(f"the bundle that was opened for {model} is of another model")
        return bundle

    def _champion_or_last_good(self, model: Model) -> Bundle:
        champion = self._book.champion(model)
        if champion is not None:
            key = model, champion.digest
            try:
                self._open[key] = found = self._shelf.open(*key)
            except DependencyError as refusal:
                self._refuse(key, refusal)
            else:
                return found
        found = self._shelf.open_current(model)
        self._open[model, found.digest] = found
        return found

    def _refuse(self, key: Key, refusal: Exception) -> None:
        """Note that a bundle was refused; it is told once, until it was good again."""
        self._refused[key] = time.monotonic()
        if key in self._told_refused:
            return
        self._told_refused.add(key)
        model, digest = key
        reason = getattr(refusal, "reason", "unreadable")
        self._telemetry.refused(model.value, str(reason))
        said = _words(refusal)
        _log.warning(
            "%s; the last good %s goes on deciding", said, model.value, extra={"version": digest[:12]}
        )

    def _wanted(self) -> Iterator[Key]:
        """Yield every bundle that has to be open, champions first."""
        for model in Model:
            champion = self._book.champion(model)
            if champion is not None:
                yield model, champion.digest
        for model in Model:
            yield from (
                (model, one.digest) for one in self._book.challengers(model) if one.shadow or one.routed
            )

    def _missing(self) -> list[Key]:
        """Return what has to be opened, but for what was refused a little while ago."""
        with self._lock:
            rested = time.monotonic() - RETRY_SECONDS
            return [
                key
                for key in self._wanted()
                if key not in self._open and self._refused.get(key, rested) <= rested
            ]

    def _settle(self) -> None:
        """Let what the book says decide, as far as it is open."""
        before, pieces = self.state.now, self._next_pieces()
        live = self._line_up.live(pieces, self._book, before)
        if before.champion.versions != live.champion.versions and not self._is_rehearsed(live):
            pieces = self._pieces
            live = self._line_up.live(pieces, self._book, before)
        self._pieces = pieces
        self.state.swap(live)
        self._tell(before, live)
        self._served()
        self._put_back()

    def _is_rehearsed(self, live: Live) -> bool:
        """Decide once by what is about to be live; what cannot do that takes no customer's request."""
        try:
            self.rehearse(live)
        except Exception as error:  # noqa: BLE001 - whatever it is, customers would meet it too
            versions = live.champion.versions
            if versions != self._unfit:
                _log.warning("the new champions cannot decide, the last go on: %s", _words(error))
            self._unfit = versions
            return False
        return True

    def _next_pieces(self) -> Pieces:
        """Return what the champions come to; what there was while one of them is still to be opened."""
        pieces = self._pieces
        for model in Model:
            champion = self._book.champion(model)
            if champion is None:
                if model is Model.NEXT_BEST_ACTION and pieces.policy is not None:
                    pieces = replace(pieces, policy=None, catalogue=self._catalogue())
                continue
            key = model, champion.digest
            found = self._open.get(key)
            if found is None and key not in self._refused:
                return self._pieces
            if found is not None and found.digest != pieces.digest(model):
                pieces = pieces.having(found)
        return pieces

    def _put_back(self) -> None:
        """Let go of bundles that nothing needs any more; a former champion is kept for a rollback at once."""
        formers = {model: self._book.former(model) for model in Model}
        kept = {
            *self._wanted(),
            *((model, self._pieces.digest(model)) for model in Model),
            *((model, one.digest) for model, one in formers.items() if one is not None),
        }
        for key in self._open.keys() - kept:
            del self._open[key]
        for key in self._refused.keys() - kept:
            del self._refused[key]
        self._line_up.put_back(self.state.now)

    def _served(self) -> None:
        """Note the champions that decide now as the last good ones."""
        for model in Model:
            champion = self._book.champion(model)
            if champion is not None and champion.digest == self._pieces.digest(model):
                try:
                    self._shelf.serves(model, champion.digest)
                except OSError as error:
                    _log.warning(
                        "CURRENT of %s cannot be moved (%s); free its disk", model.value, type(error).__name__
                    )

    def _tell(self, before: Live, live: Live) -> None:
        self._telemetry.followed(live.seq)
        old, new = before.champion.versions, live.champion.versions
        if old != new:
            self._telemetry.opened(new)
            _log.info("swapped", extra={"seq": live.seq, **_short(new)})
        if before.standstill.recorded != live.standstill.recorded:
            off = [f"{stop.kind} {stop.name}" for stop in live.standstill.recorded]
            _log.info("stops", extra={"seq": live.seq, "stopped": off})
        self._tell_approvals()

    def _tell_approvals(self) -> None:
        now = self._clock()
        for model, approval in self.state.now.champion.approvals.items():
            left = None if approval is None else days_left(approval.expires_at, now)
            self._telemetry.approval(model.value, left)
        due = warnings(self._book, now)
        for line in due:
            if line not in self._warned:  # what is still due is said anew as its days go by
                _log.warning("%s", line)
        self._warned = due


def _words(error: Exception) -> str:
    """Return what an error says in a line, where it is one of ours: another's may name somebody."""
    return str(error).partition("\n")[0] if isinstance(error, MomentError) else type(error).__name__


def days_left(expires_at: datetime, now: datetime) -> float:
    """Return how many days an approval still holds; 0 when it has ended."""
    return max(0.0, (expires_at - now).total_seconds() / 86_400)


def _short(versions: Versions) -> Mapping[str, str]:
    return {
        "catalogue": versions.catalogue[:12],
        "propensity": versions.propensity[:12],
        "segmentation": versions.segmentation[:12],
        "policy": versions.policy[:12],
    }
