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
from serving.adapters.life_chain import Believed, Head, broken, check_chain, decoded, link
from serving.lifecycle import Book
from serving.lifecycle.acts import AnyAct
from serving.ports import Clock, Keys
from serving.ports.life import Signed, Signer

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

    What it has read once, and found to be what was signed, it keeps; a book costs one small read then.
    """

    def __init__(self, path: Path, machine: Signer, keys: Keys, clock: Clock = utc_now) -> None:
        self._path = path
        self._readers = PerThread(path)
        self._machine = machine
        self._believed = Believed(machine, keys)
        self._clock = clock
        self._lock = threading.Lock()
        self._head = Head()
        self._book = Book()

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
        with _answering(), closing(connect(self._path, new=False)) as connection:
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

    def _read(self, connection: sqlite3.Connection) -> Book:
        """Return the book as the connection sees the ledger, reading what is new of it."""
        with self._lock:
            head = _head(connection)
            if head == self._head:
                return self._book
            # A ledger that became shorter is another one: somebody put a backup in its place
            before, book = (self._head, self._book) if head.seq > self._head.seq else (Head(), Book())
            entries = _entries(connection, before.seq)
            check_chain(entries, self._believed, before, head)
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
    if row is None and connection.execute(_ANY).fetchone() is not None:
        raise broken("the end of the ledger of models is gone")
    return Head() if row is None else Head(*row)


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
