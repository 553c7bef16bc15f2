"""The ledger of models' lives in SQLite."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from moment.errors import DependencyError
from serving.adapters.database import PerThread, connect
from serving.adapters.identifiers import utc_now
from serving.adapters.life_beginning import Beginning
from serving.adapters.life_chain import Believed, Head, broken, check_chain, check_kept, decoded, link
from serving.lifecycle import Book
from serving.lifecycle.acts import AnyAct
from serving.ports import Clock, Keys
from serving.ports.life import LedgerBroken, Signed, Signer

_SEQ = "SELECT seq FROM life_head"
_HEAD = "SELECT seq, digest, signature FROM life_head"
_ANY = "SELECT 1 FROM life_entries LIMIT 1"
_READ = """
SELECT seq, content, previous, digest, signature, public_key FROM life_entries WHERE seq > ? ORDER BY seq
"""
_INSERT = """
INSERT INTO life_entries (seq, content, previous, digest, signature, public_key) VALUES (?, ?, ?, ?, ?, ?)
"""
_PUT_HEAD = "INSERT OR REPLACE INTO life_head (id, seq, digest, signature) VALUES (1, ?, ?, ?)"
_WAIT_MILLISECONDS = 30_000
"""A stop waits for its turn behind recorded decisions rather than to fail."""


class SqliteLife:
    """The port `LifeLedger` on the operational database at `path`, whose schema is up to date.

    What it has read once, and found to be what was signed, it keeps; a book costs one small read then. From a
    ledger that has lost any of it nothing more is read: whoever restored a backup opens it anew.

    Parameters
    ----------
    beginning
        What knows, outside the database, that a ledger has begun here.

    Raises
    ------
    LedgerBroken
        A ledger has begun here, and nothing is left of it.
    """

    def __init__(
        self,
        path: Path,
        machine: Signer,
        keys: Keys,
        clock: Clock = utc_now,
        *,
        beginning: Beginning | None = None,
    ) -> None:
        self._path = path
        self._readers = PerThread(path)
        self._machine = machine
        self._believed = Believed(machine, keys)
        self._clock = clock
        self._lock = threading.Lock()
        self._head = Head()
        self._book = Book()
        self._begin(beginning)

    def seq(self) -> int:
        """Return how many entries there are."""
        with _answering():
            row = self._readers.get().execute(_SEQ).fetchone()
        return 0 if row is None else int(row[0])

    def book(self) -> Book:
        """Return what all entries come to."""
        with _answering(), _reading(self._readers.get()) as connection:
            return self._read(connection)

    def entries(self, after: int = 0) -> tuple[Signed, ...]:
        """Return the entries after a number."""
        with _answering():
            return _entries(self._readers.get(), after)

    def append(self, decide: Callable[[Book], Sequence[AnyAct]], by: Signer) -> Book:
        """Append what is decided, or nothing; nobody else writes meanwhile."""
        with _answering(), closing(connect(self._path)) as connection:
            connection.execute(f"PRAGMA busy_timeout={_WAIT_MILLISECONDS}")
            connection.execute("BEGIN IMMEDIATE")
            try:
                book = self._read(connection)
                head = Head()
                acts = decide(book)
                if acts:
                    head, book = self._write(connection, book, acts, by)
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")
        self._keep(head, book)
        return book

    def verify(self) -> int:
        """Check the chain and every signature, reading everything anew."""
        with _answering(), _reading(self._readers.get()) as connection:
            head, entries = _head(connection), _entries(connection, 0)
        check_chain(entries, self._believed.fresh(), Head(), head)
        return len(entries)

    def close(self) -> None:
        """Close what it reads with."""
        self._readers.close()

    def _begin(self, beginning: Beginning | None) -> None:
        """Sign where a ledger ends that has no entry yet, once in the life of a home."""
        with _answering(), closing(connect(self._path)) as connection:
            if connection.execute(_HEAD).fetchone() is None:
                connection.execute(f"PRAGMA busy_timeout={_WAIT_MILLISECONDS}")
                connection.execute("BEGIN IMMEDIATE")
                try:
                    if connection.execute(_HEAD).fetchone() is None:
                        self._sign_first(connection, beginning)
                except BaseException:
                    connection.execute("ROLLBACK")
                    raise
                connection.execute("COMMIT")
        # After the head is on the disk: a ledger that has begun and has no head would be believed no more
        if beginning is not None:
            beginning.note()

    def _sign_first(self, connection: sqlite3.Connection, beginning: Beginning | None) -> None:
        if connection.execute(_ANY).fetchone() is not None:
            raise _headless(connection)
        if beginning is not None and beginning.noted:
            raise broken(
                "the ledger of models had begun, and nothing is left of it",
                f"restore moment.db from a backup, or remove {beginning.name} to begin a new one",
            )
        head = Head.first(self._machine)
        connection.execute(_PUT_HEAD, (head.seq, head.digest, head.signature))

    def _read(self, connection: sqlite3.Connection) -> Book:
        """Return the book as the connection sees the ledger, reading what is new of it."""
        with self._lock:
            head = _head(connection)
            if head == self._head:
                return self._book
            check_kept(self._head, head)
            book = self._book
            entries = _entries(connection, self._head.seq)
            check_chain(entries, self._believed, self._head, head)
            for one in entries:
                book = book.after(one.entry)
            self._head, self._book = head, book
            return book

    def _keep(self, head: Head, book: Book) -> None:
        with self._lock:
            if head.seq > self._head.seq:
                self._head, self._book = head, book

    def _write(
        self, connection: sqlite3.Connection, book: Book, acts: Sequence[AnyAct], by: Signer
    ) -> tuple[Head, Book]:
        before = _head(connection)
        new = link(before, acts, self._clock(), by)
        head = Head.signed(new[-1].entry.seq, new[-1].digest, self._machine)
        check_chain(new, self._believed, before, head)
        rows = [
            (one.entry.seq, one.content, one.previous, one.digest, one.signature, one.public_key)
            for one in new
        ]
        connection.executemany(_INSERT, rows)
        connection.execute(_PUT_HEAD, (head.seq, head.digest, head.signature))
        for one in new:
            book = book.after(one.entry)
        return head, book


def _head(connection: sqlite3.Connection) -> Head:
    row = connection.execute(_HEAD).fetchone()
    if row is None:
        raise _headless(connection)
    return Head(*row)


def _headless(connection: sqlite3.Connection) -> LedgerBroken:
    if connection.execute(_ANY).fetchone() is None:
        return broken("the ledger of models was emptied, and its end is gone")
    return broken("the end of the ledger of models is gone")


def _entries(connection: sqlite3.Connection, after: int) -> tuple[Signed, ...]:
    rows = connection.execute(_READ, (after,)).fetchall()
    return tuple(_signed(*row) for row in rows)


def _signed(seq: int, *stored: bytes) -> Signed:
    if not all(isinstance(one, bytes) for one in stored):
        raise broken(f"entry {seq} of the ledger of models was changed")
    content, *rest = stored
    return Signed(decoded(seq, content), content, *rest)


@contextmanager
def _reading(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """Let several reads see one state of the database."""
    connection.execute("BEGIN")
    try:
        yield connection
    finally:
        connection.execute("COMMIT")


@contextmanager
def _answering() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise DependencyError(f"the ledger of models does not answer ({error}); try again") from error
