"""The operational database (SQLite): how it is opened and how its schema is brought up to date.

Write-ahead logging lets readers go on while one writes; ``synchronous=FULL`` makes every commit durable
before it returns.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from contextlib import closing, suppress
from pathlib import Path

from moment.errors import DependencyError

HEAD = "0010"
"""Version of the schema this code reads and writes: the newest of ``migrations/versions``."""

_BUSY_SECONDS = 5.0


class _Connection(sqlite3.Connection):
    """A connection that closes when its last user lets go of it."""

    def __del__(self) -> None:
        with suppress(sqlite3.Error):
            self.close()


def connect(path: Path, *, new: bool = True) -> sqlite3.Connection:
    """Open a connection in autocommit mode; a transaction is begun where it is needed.

    A database that is not there is made, unless it may not be `new`: an empty one would take the place of
    one that was moved away.

    Raises
    ------
    DependencyError
        The file cannot be opened or is no database.
    """
    try:
        connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode={'rwc' if new else 'rw'}",
            uri=True,
            timeout=_BUSY_SECONDS,
            isolation_level=None,
            check_same_thread=False,
            factory=_Connection,
        )
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        # What is deleted is overwritten: a destroyed key must not lie in a free page
        connection.execute("PRAGMA secure_delete=ON")
        # Nor in a temporary file: there lay what a savepoint would go back to, for most decisions one each
        connection.execute("PRAGMA temp_store=MEMORY")
    except sqlite3.Error as error:
        raise DependencyError(
            f"the operational database {path.name} cannot be opened ({error}); "
            "check its folder and free space"
        ) from error
    return connection


def migrate(path: Path) -> None:
    """Create the database or bring it up to date; costs one read where nothing is to be done.

    Raises
    ------
    DependencyError
        The database is of a newer Moment, or cannot be changed.
    """
    path.parent.parent.mkdir(parents=True, exist_ok=True)
    # The home, where nobody made one; for its owner alone, whatever mask who calls this has
    path.parent.mkdir(mode=0o700, exist_ok=True)
    connection = connect(path)
    try:
        version = _version(connection)
    finally:
        connection.close()
    if version == HEAD:
        return
    if version is not None and version > HEAD:
        raise DependencyError(
            f"{path.name} has schema {version}, this Moment knows {HEAD}; "
            "upgrade Moment or name another MOMENT_HOME"
        )
    _upgrade(path)


def _version(connection: sqlite3.Connection) -> str | None:
    known = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'").fetchone()
    if known is None:
        return None
    row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    return None if row is None else str(row[0])


def _upgrade(path: Path) -> None:
    # alembic and SQLAlchemy take most of a second to import: only a database that changes pays for it
    from alembic import command
    from alembic.config import Config
    from sqlalchemy import create_engine, event, exc

    engine = create_engine(f"sqlite:///{path}")

    @event.listens_for(engine, "connect")
    def autocommit(connection: sqlite3.Connection, _: object) -> None:
        # The driver would commit before each CREATE TABLE: half a schema could be left behind
        connection.isolation_level = None
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA secure_delete=ON")

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    try:
        with engine.connect() as connection:
            connection.exec_driver_sql("BEGIN EXCLUSIVE")
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            connection.commit()
    except exc.DBAPIError as error:
        raise DependencyError(
            f"the schema of {path.name} cannot be brought up to date ({error.orig})"
        ) from error
    finally:
        engine.dispose()


def overwrite(path: Path, seconds: float = _BUSY_SECONDS) -> bool:
    """Write the log back and empty it, so that what was deleted lies nowhere; False when readers kept it.

    Raises
    ------
    DependencyError
        The database does not answer.
    """
    deadline = time.monotonic() + seconds
    try:
        with closing(connect(path)) as connection:
            connection.execute("PRAGMA busy_timeout = 0")
            while True:
                busy, *_ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
                if not busy or time.monotonic() > deadline:
                    return not busy
                time.sleep(0.05)
    except sqlite3.Error as error:
        raise DependencyError(f"the operational database does not answer ({error}); try again") from error


class SameFiles:
    """Whether the database at `path`, which is open, is still what its name and its log's stand for.

    What is written to a file that was moved away or removed is lost with it, and SQLite does not look. A copy
    over the file itself is seen where it is shorter: it never gets shorter while it is used.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._files = (path, path.with_name(f"{path.name}-wal"))
        self._known = [_identity(file) for file in self._files]
        self._size = self._length()

    def check(self) -> None:
        """Look again.

        Raises
        ------
        DependencyError
            It is not: nothing may be written any more.
        """
        size = self._length()
        if size < self._size or [_identity(file) for file in self._files] != self._known:
            raise DependencyError(
                f"{self._path.name} was removed or replaced while it was open, so nothing is recorded; put "
                "back the one that was there, or restart the service"
            )
        self._size = size

    def _length(self) -> int:
        try:
            return self._path.stat().st_size
        except OSError:
            return 0


def _identity(file: Path) -> tuple[int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


class PerThread:
    """One connection to the database per thread that asks for one.

    Adapters may share it, and are closed together: after every commit each connection begins by reading anew
    what it knew.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._local = threading.local()
        self._closed = False

    @classmethod
    def of(cls, database: Path | PerThread) -> PerThread:
        """Return what is shared as it is, and connections of its own for a path."""
        return database if isinstance(database, PerThread) else cls(database)

    def get(self) -> sqlite3.Connection:
        """Return this thread's connection.

        Raises
        ------
        sqlite3.ProgrammingError
            It was closed: what asks now came late, and nobody waits for it.
        """
        if self._closed:
            raise sqlite3.ProgrammingError("what read with it has been closed")
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = connect(self._path, new=False)
        return connection

    def close(self) -> None:
        """Let go of every thread's connection.

        One that a thread is reading with, past the deadline of who asked, is closed when it has read:
        SQLite does not survive losing a connection in the middle of a statement.
        """
        self._closed = True
        self._local = threading.local()
