"""Recorded decisions and outcomes as training learns from them: live, shown, arbitrated, of somebody known.

Only what is needed is read of a record. Records are read some hundred at a time, so that nobody's erasure has
to wait for a reader; who is erased meanwhile is not opened any more.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any, cast

import msgspec
from msgspec import Struct

from features.contract import FeatureValue
from features.sources.decision_records import DecidedFeatures, DecidedOffer, DecidedOutcome
from moment.errors import DependencyError
from moment.home import Home
from serving.adapters.catalogue_files import CatalogueFiles
from serving.adapters.database import PerThread
from serving.adapters.identifiers import utc_now
from serving.adapters.instants import from_microseconds, to_microseconds
from serving.adapters.outcome_repeats import PRESENTED
from serving.adapters.record_marks import damaged, unmarked
from serving.adapters.sqlite_records import open_personal
from serving.adapters.vault import Vault
from serving.decision.actions import Action
from serving.decision.decision import OfferKind
from serving.decision.values import FeatureState
from serving.records import OpenReader, PartReader, RecordedValue

_PAGE = 400

_DECISIONS = """
SELECT decision_id, customer_ref, decided_at, record, personal FROM decisions
WHERE mode = 'live' AND customer_ref IS NOT NULL AND personal IS NOT NULL
  AND decision_id {beyond} :after AND decided_at >= :since
  AND EXISTS (
      SELECT 1 FROM outcome_reports AS report
      WHERE report.decision_id = decisions.decision_id AND report.kind = 'presented'
        AND report.state = 'counted' AND report.received_at <= :as_of
  )
ORDER BY decision_id {order} LIMIT :limit
"""
_REPORTS = """
SELECT decision_id, tracking_id, event_ref, kind, occurred_at, reported_at, received_at, value
FROM outcome_reports
WHERE decision_id IN (SELECT value FROM json_each(?)) AND state = 'counted' AND received_at <= ?
ORDER BY decision_id, tracking_id, event_ref
"""
_HIDDEN = frozenset({FeatureState.MASKED, FeatureState.EXPIRED})
_LAST = "\U0010ffff"


class _Offer(Struct, frozen=True):
    action: str
    treatment: str
    tracking_id: str
    kind: OfferKind
    action_probability: float


class _Placement(Struct, frozen=True):
    name: str
    offers: tuple[_Offer, ...]


class _Versions(Struct, frozen=True):
    catalogue: str


class _Opened(Struct, frozen=True):
    """What is needed of a record's open part; the rest is not even parsed."""

    format: int
    decision_id: str
    channel: str
    placements: tuple[_Placement, ...]
    versions: _Versions


class _Person(Struct, frozen=True):
    """What is needed of a record's personal part."""

    customer_id: str | None
    features: dict[str, RecordedValue]
    states: dict[str, FeatureState]
    purposes: tuple[str, ...] | None = ()


class _Part(Struct, frozen=True):
    personal: _Person


class _PartBefore3(_Person, frozen=True):
    """Records up to format 2 keep the personal part bare."""


_open_reader = OpenReader(_Opened)
_part_reader = PartReader(_Part)
_before_reader = PartReader(_PartBefore3)

_Row = tuple[str, str, int, bytes, bytes]


@dataclass(frozen=True, slots=True)
class _Report:
    """One report of an offer; instants in microseconds."""

    tracking_id: str
    event_ref: str
    kind: str
    occurred_at: int
    reported_at: int
    received_at: int
    value: float | None

    def happened(self, decided_at: int) -> datetime:
        """Return when it counts as happened: not before the decision, not after the report."""
        return from_microseconds(max(decided_at, min(self.occurred_at, self.reported_at)))


@dataclass(frozen=True, slots=True)
class _Shown:
    """An offer that was shown, its decision, and when its action's window ends."""

    row: _Row
    opened: _Opened
    placement: str
    offer: _Offer
    action: Action
    presented: _Report
    answers: tuple[_Report, ...]

    @property
    def presented_at(self) -> datetime:
        return self.presented.happened(self.row[2])

    @property
    def window_ends_at(self) -> datetime:
        return self.presented_at + self.action.window


class SqliteDecided:
    """The port `features.sources.decision_records.Decided` on the operational database of a home.

    Parameters
    ----------
    home
        Where the database and the catalogues that decided are.
    since
        Only decisions from then on.
    now
        Windows that end later are still open. What was reported later does not count.
    """

    def __init__(self, home: Home, readers: PerThread, *, since: datetime | None, now: datetime) -> None:
        self._vault = Vault.open(home)
        self._readers = readers
        self._catalogues = CatalogueFiles(home.root / "catalogues")
        self._since = 0 if since is None else to_microseconds(since)
        self._now = now

    def digest(self) -> str:
        """Return a SHA-256 over what was shown, answered, and which windows have closed."""
        said = hashlib.sha256()
        for shown in self._shown():
            closed = shown.window_ends_at <= self._now
            reports = [(one.event_ref, one.kind, one.value) for one in (shown.presented, *shown.answers)]
            said.update(f"{shown.offer.tracking_id}{shown.window_ends_at}{closed}{reports}\n".encode())
        return said.hexdigest()

    def offers(self) -> Iterator[DecidedOffer]:
        """Yield what was shown, in the order of the decisions."""
        for shown in self._shown():
            person = self._person(shown.row, shown.opened)
            if person is None or person.customer_id is None:
                continue
            learning = [
                one for placement in shown.opened.placements for one in placement.offers if one.kind.learns
            ]
            ends = shown.window_ends_at
            yield DecidedOffer(
                tracking_id=shown.offer.tracking_id,
                customer_id=person.customer_id,
                action_id=shown.offer.action,
                treatment_id=shown.offer.treatment,
                channel=shown.opened.channel,
                placement=shown.placement,
                action_group=shown.action.group,
                action_probability=shown.offer.action_probability,
                purposes=person.purposes or (),
                offers_together=len(learning),
                presented_at=shown.presented_at,
                window_ends_at=ends if ends <= self._now else None,
                known_at=from_microseconds(shown.presented.received_at),
            )

    def outcomes(self) -> Iterator[DecidedOutcome]:
        """Yield what was answered to these offers, in the order of the decisions."""
        for shown in self._shown():
            for answer in shown.answers:
                yield DecidedOutcome(
                    outcome_id=f"{answer.tracking_id}:{answer.event_ref}",
                    tracking_id=answer.tracking_id,
                    kind=answer.kind,
                    occurred_at=answer.happened(shown.row[2]),
                    value=answer.value,
                    known_at=from_microseconds(answer.received_at),
                )

    def features(self, most: int) -> Iterator[DecidedFeatures]:
        """Yield what the newest decisions behind these offers saw, at most so many."""
        for row in islice(self._rows(newest_first=True), most):
            person = self._person(row, self._open(row))
            if person is None or person.customer_id is None:
                continue
            yield DecidedFeatures(
                customer_id=person.customer_id,
                decided_at=from_microseconds(row[2]),
                values=cast("dict[str, FeatureValue]", person.features),
                hidden=frozenset(name for name, state in person.states.items() if state in _HIDDEN),
            )

    def _shown(self) -> Iterator[_Shown]:
        rows = self._rows()
        while page := list(islice(rows, _PAGE)):
            reports = self._reports(page)
            for row in page:
                yield from self._shown_by(row, reports[row[0]])

    def _shown_by(self, row: _Row, reports: list[_Report]) -> Iterator[_Shown]:
        opened = self._open(row)
        of_offer: dict[str, list[_Report]] = defaultdict(list)
        for report in reports:
            of_offer[report.tracking_id].append(report)
        for placement in opened.placements:
            for offer in placement.offers:
                found = of_offer[offer.tracking_id]
                presented = next((one for one in found if one.kind == PRESENTED), None)
                if presented is None or not offer.kind.learns:
                    continue
                answers = tuple(one for one in found if one.kind != PRESENTED)
                action = self._action(row[0], opened.versions.catalogue, offer.action)
                yield _Shown(row, opened, placement.name, offer, action, presented, answers)

    def _action(self, decision_id: str, digest: str, action_id: str) -> Action:
        catalogue = self._catalogues.find(digest)
        if catalogue is None:
            raise DependencyError(
                f"the catalogue {digest[:12]} that made decision {decision_id} is not in the home's "
                "catalogues/, so nobody knows how long an answer counted; restore its file"
            )
        return catalogue.action(action_id)

    def _person(self, row: _Row, opened: _Opened) -> _Person | None:
        """Return what was known of the customer; None for one who is erased by now."""
        decision_id, ref, _, stored, sealed = row
        about = unmarked(self._vault, decision_id, stored).about
        _, part = open_personal(self._readers.get(), self._vault, ref, sealed, about=about)
        if part is None:
            return None
        return _before_reader.decode(part) if opened.format < 3 else _part_reader.decode(part).personal

    def _open(self, row: _Row) -> _Opened:
        stored = unmarked(self._vault, row[0], row[3])
        try:
            opened = _open_reader.decode(stored.content)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise damaged(row[0]) from error
        stored.check(row[0], opened.decision_id, opened.format)
        return opened

    def _rows(self, *, newest_first: bool = False) -> Iterator[_Row]:
        beyond, order, after = ("<", "DESC", _LAST) if newest_first else (">", "ASC", "")
        sql = _DECISIONS.format(beyond=beyond, order=order)
        while True:
            wanted = {
                "after": after,
                "since": self._since,
                "as_of": to_microseconds(self._now),
                "limit": _PAGE,
            }
            page: list[_Row] = self._select(sql, wanted)
            yield from page
            if len(page) < _PAGE:
                return
            after = page[-1][0]

    def _reports(self, page: list[_Row]) -> dict[str, list[_Report]]:
        ids = msgspec.json.encode([row[0] for row in page]).decode()
        found: dict[str, list[_Report]] = defaultdict(list)
        for decision_id, *fields in self._select(_REPORTS, (ids, to_microseconds(self._now))):
            found[decision_id].append(_Report(*fields))
        return found

    def _select(self, sql: str, values: dict[str, object] | tuple[object, ...]) -> list[Any]:
        try:
            return self._readers.get().execute(sql, values).fetchall()
        except sqlite3.Error as error:
            raise DependencyError(f"the store of decision records does not answer ({error})") from error


@contextmanager
def open_decided(
    home: Home, *, since: datetime | None = None, now: datetime | None = None
) -> Iterator[SqliteDecided]:
    """Open what was decided and answered in a home; one without an operational database gets an empty one."""
    readers = PerThread(home.database)
    try:
        yield SqliteDecided(home, readers, since=since, now=now or utc_now())
    finally:
        readers.close()
