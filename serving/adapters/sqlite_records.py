"""Decision records in SQLite, each written together with what its answer takes.

No customer id and no request id stands here in clear: rows are found by references, and what is personal is
sealed within the transaction that writes it, so that nothing is sealed for somebody erased meanwhile.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from moment.errors import DependencyError
from serving.adapters.database import PerThread
from serving.adapters.group_commit import GroupCommit
from serving.adapters.instants import from_microseconds, to_microseconds
from serving.adapters.record_marks import marked, read, unmarked
from serving.adapters.same_customer import SAME
from serving.adapters.sqlite_outcomes import count_waiting
from serving.adapters.sqlite_reserving import reserve
from serving.adapters.vault import Vault, anonymous_ref
from serving.ports import Entry, Past, Reservation, StaleHistory
from serving.records import DecisionRecord, Sealable, dump

_INSERT = """
INSERT INTO decisions (decision_id, key_id, request_ref, mode, channel, customer_ref, received_at,
                       decided_at, offered, record, personal, version_id)
SELECT ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, version_id FROM decision_versions WHERE versions = ?
"""
_COLUMNS = "SELECT decision_id, customer_ref, received_at, record, personal FROM decisions"
_BY_REQUEST = f"{_COLUMNS} WHERE request_ref = ?"
_BY_ID = f"{_COLUMNS} WHERE decision_id = ?"
_BY_REQUESTS = f"{_COLUMNS} WHERE request_ref IN (SELECT value FROM json_each(?))"  # noqa: S608 - of the texts here
_HISTORY = f"""
{SAME}, newest AS (
    SELECT sequence FROM decisions WHERE {{conditions}} ORDER BY decided_at DESC, decision_id DESC LIMIT ?
)
{_COLUMNS} WHERE sequence IN newest ORDER BY decided_at DESC, decision_id DESC
"""  # noqa: S608 - of the texts here
"""Of a customer and everybody they are linked with; what is sorted are places, not records."""

_ADD_VERSION = "INSERT INTO decision_versions (versions) VALUES (?)"

_Row = tuple[str, str | None, int, bytes, bytes | None]


class SqliteRecords:
    """The port `DecisionRecords` on the operational database at `path`, whose schema is up to date.

    `writer` is what it writes with; what else this process writes should go there too.
    """

    def __init__(self, path: Path, vault: Vault) -> None:
        self.writer = GroupCommit(path)
        self._readers = PerThread(path)
        self._vault = vault

    def append(
        self, entry: Entry, reservation: Reservation | None = None, *, more: bool = False
    ) -> Future[Entry]:
        """Write a record and its reservation; the future is done when both are on the disk."""
        new = _New.of(entry, reservation, self._vault)  # here, so that nobody who writes need wait for it
        return self.writer.write(lambda connection: _store(connection, self._vault, new), more=more)

    def check(self) -> None:
        """Ask whether it can be read, and is still the file that is written to."""
        self.writer.check()
        self.find("readiness")

    def find(self, decision_id: str) -> DecisionRecord | None:
        """Return a record by its id."""
        return next((entry.record for entry in self._select(_BY_ID, decision_id)), None)

    def find_request(self, key_id: str, request_id: str) -> Entry | None:
        """Return what a key's request was answered with."""
        return next(iter(self._select(_BY_REQUEST, request_ref(self._vault, key_id, request_id))), None)

    def find_requests(self, key_id: str, request_ids: Sequence[str]) -> dict[str, DecisionRecord]:
        """Return what several of a key's requests were answered with, by request id."""
        refs = {request_ref(self._vault, key_id, request_id): request_id for request_id in request_ids}
        found = self._select(_BY_REQUESTS, msgspec.json.encode(list(refs)).decode())
        known = ((entry.record.request_id, entry.record) for entry in found)
        return {request_id: record for request_id, record in known if request_id is not None}

    def history(self, customer_id: str, wanted: Past) -> tuple[DecisionRecord, ...]:
        """Return the records that fit of a customer and of who they are linked with, newest first."""
        conditions, values = _conditions(self._vault.ref(customer_id), wanted)
        found = self._select(_HISTORY.format(conditions=conditions), *values, wanted.limit)
        return tuple(entry.record for entry in found)

    def close(self) -> None:
        """Write what waits, then close."""
        self.writer.close()
        self._readers.close()

    def _select(self, sql: str, *values: object) -> list[Entry]:
        try:
            connection = self._readers.get()
            rows: list[_Row] = connection.execute(sql, values).fetchall()
            return [_entry(connection, self._vault, row) for row in rows]
        except sqlite3.Error as error:
            raise DependencyError(f"the store of decision records does not answer ({error})") from error


def request_ref(vault: Vault, key_id: str, request_id: str) -> str:
    """Return what a key's request is found by; the id itself may say anything, so it is sealed."""
    return vault.blind("request", key_id, request_id)


@dataclass(frozen=True, slots=True)
class _New:
    """A record on its way in, as far as it is known without the database.

    `customer_ref` is None for somebody nobody knows; then the day's key seals it, which `sealed_for` names;
    `about` is what it is sealed for.
    `holder_ref` is who the reservation is of.
    """

    entry: Entry
    stored: Sealable
    about: str
    request_ref: str | None
    customer_ref: str | None
    sealed_for: str
    offered: str
    versions: str
    reservation: Reservation | None
    holder_ref: str | None

    @classmethod
    def of(cls, entry: Entry, reservation: Reservation | None, vault: Vault) -> _New:
        record = entry.record
        customer = None if record.personal is None else record.personal.customer_id
        ref = None if customer is None else vault.ref(customer)
        holder = None if reservation is None else reservation.customer_id
        stored = dump(record)
        opened, about = marked(vault, record.decision_id, stored.open)
        offered = {offer.action: None for placement in record.placements for offer in placement.offers}
        return cls(
            entry=entry,
            stored=Sealable(opened, stored.personal),
            about=about,
            request_ref=None
            if record.request_id is None
            else request_ref(vault, record.key_id, record.request_id),
            customer_ref=ref,
            sealed_for=ref or anonymous_ref(record.received_at.date()),
            offered=msgspec.json.encode(list(offered)).decode(),
            versions=msgspec.json.encode(record.versions).decode(),
            reservation=reservation,
            holder_ref=None if holder is None else ref if holder == customer else vault.ref(holder),
        )

    def without_person(self) -> _New:
        """Return what may be kept of a decision for somebody who was erased meanwhile, or before.

        Asked again under the same id it would have to be decided anew: its answer is not kept.
        """
        return replace(self, request_ref=None, customer_ref=None)


def _store(connection: sqlite3.Connection, vault: Vault, new: _New) -> Entry:
    """Store a record with its reservation, or return what already stands for its request."""
    if new.request_ref is not None:
        earlier = connection.execute(_BY_REQUEST, (new.request_ref,)).fetchone()
        if earlier is not None:
            return _entry(connection, vault, earlier)
    record, sealed = new.entry.record, None
    if new.stored.personal is not None:
        part = _with_digest(new.entry.request_sha256, new.stored.personal)
        sealed = vault.seal(connection, new.sealed_for, part, about=new.about)
    _insert(connection, new if sealed is not None else new.without_person(), sealed)
    if new.reservation is not None:
        known = sealed is not None and new.holder_ref == new.sealed_for  # sealing has looked at the key
        holder = new.holder_ref if known else _not_erased(connection, vault, new.reservation, new.holder_ref)
        reserve(connection, new.reservation, holder)
    count_waiting(connection, record.decision_id, mode=record.mode, channel=record.channel)
    return new.entry


def _not_erased(
    connection: sqlite3.Connection, vault: Vault, reservation: Reservation, ref: str | None
) -> str | None:
    """Return whom a reservation is held for; one who was erased is nobody known."""
    if ref is None or not vault.is_erased(connection, ref):
        return ref
    if reservation.version:
        raise StaleHistory("the customer was erased while this was decided; decide again")
    return None


def _insert(connection: sqlite3.Connection, new: _New, sealed: bytes | None) -> None:
    record = new.entry.record
    row = (
        record.decision_id,
        record.key_id,
        new.request_ref,
        record.mode,
        record.channel,
        new.customer_ref,
        to_microseconds(record.received_at),
        to_microseconds(record.decided_at),
        new.offered,
        new.stored.open,
        sealed,
        new.versions,
    )
    if connection.execute(_INSERT, row).rowcount == 0:
        connection.execute(_ADD_VERSION, (new.versions,))
        connection.execute(_INSERT, row)


def _with_digest(request_sha256: bytes, personal: bytes) -> bytes:
    """Return both as one, to be sealed: whoever can guess a request could tell by its digest who it is of."""
    return bytes([len(request_sha256)]) + request_sha256 + personal


def _conditions(customer_ref: str, wanted: Past) -> tuple[str, list[object]]:
    """Return the WHERE of a history and its values."""
    conditions: list[str] = ["customer_ref IN same", "mode = ?"]
    values: list[object] = [customer_ref, wanted.mode]
    if wanted.channel is not None:
        conditions.append("channel = ?")
        values.append(wanted.channel)
    if wanted.action is not None:
        conditions.append("EXISTS (SELECT 1 FROM json_each(offered) WHERE value = ?)")
        values.append(wanted.action)
    if wanted.since is not None:
        conditions.append("decided_at >= ?")
        values.append(to_microseconds(wanted.since))
    if wanted.until is not None:
        conditions.append("decided_at < ?")
        values.append(to_microseconds(wanted.until))
    if wanted.before is not None:
        conditions.append("(decided_at, decision_id) < (?, ?)")
        values += [to_microseconds(wanted.before.decided_at), wanted.before.decision_id]
    return " AND ".join(conditions), values


def open_personal(
    connection: sqlite3.Connection, vault: Vault, ref: str, sealed: bytes, *, about: str
) -> tuple[bytes, bytes | None]:
    """Return a request's digest and the personal part of its record; of somebody erased meanwhile nothing."""
    part = vault.open_sealed(connection, ref, sealed, about=about)
    return (b"", None) if part is None else (part[1 : part[0] + 1], part[part[0] + 1 :])


def _entry(connection: sqlite3.Connection, vault: Vault, row: _Row) -> Entry:
    """Read a row. The key is looked at after the row: what is erased in between is not opened any more."""
    decision_id, customer_ref, received_at, stored, sealed = row
    opened = unmarked(vault, decision_id, stored)
    request_sha256, personal = b"", None
    if sealed is not None:
        ref = customer_ref or anonymous_ref(from_microseconds(received_at).date())
        request_sha256, personal = open_personal(connection, vault, ref, sealed, about=opened.about)
    return Entry(read(decision_id, opened, personal), request_sha256)
