"""Taking a person out of what was recorded, in SQLite. The rest stays, and stays countable.

The key that seals them is destroyed, here and for every copy of the database made before. Their records stand
under a name made up for this, so that one customer still counts as one; offers and answers stay as those of
somebody nobody knows, so that budgets stay right and late reports still find them.
"""

from __future__ import annotations

import secrets
import sqlite3
import time
from collections.abc import Mapping
from contextlib import closing
from datetime import datetime
from pathlib import Path

from moment.errors import DependencyError
from serving.adapters.database import connect
from serving.adapters.sqlite_reserving import advance
from serving.adapters.vault import Vault
from serving.records import Mode

_RECORDS = """
UPDATE decisions SET personal = NULL, request_ref = NULL, customer_ref = ? WHERE customer_ref = ?
"""
_CONTACTS = "UPDATE contacts SET customer_ref = NULL, timezone = NULL WHERE customer_ref = ?"
_OUTCOMES = "UPDATE outcomes SET customer_ref = NULL WHERE customer_ref = ?"
_VERSIONS = "DELETE FROM contact_versions WHERE customer_ref = ?"
_LINKED = "SELECT other_ref FROM identity_links WHERE customer_ref = ?"
_UNLINK = "DELETE FROM identity_links WHERE customer_ref = ? AND other_ref = ?"

_CHECKPOINT_SECONDS = 5.0


def erase_customer(connection: sqlite3.Connection, vault: Vault, ref: str, at: datetime) -> Mapping[str, int]:
    """Erase whoever stands under a reference, within the caller's transaction; return the rows by table.

    Done again it changes nothing. Rows of contacts, outcomes and decisions are left without their customer,
    all others are gone. What lies in freed pages and in the log is overwritten by `overwrite`, afterwards.
    """
    nobody = f"erased:{secrets.token_hex(8)}"
    return {
        "customer_keys": int(vault.destroy(connection, ref, at)),
        "decisions": connection.execute(_RECORDS, (nobody, ref)).rowcount,
        "contacts": connection.execute(_CONTACTS, (ref,)).rowcount,
        "outcomes": connection.execute(_OUTCOMES, (ref,)).rowcount,
        "identity_links": _unlink(connection, ref),
        "contact_versions": connection.execute(_VERSIONS, (ref,)).rowcount,
    }


def overwrite(path: Path, seconds: float = _CHECKPOINT_SECONDS) -> bool:
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


def _unlink(connection: sqlite3.Connection, ref: str) -> int:
    """Remove the customer's links; what was decided for the others on their common history is stale."""
    others = [row[0] for row in connection.execute(_LINKED, (ref,)).fetchall()]
    for mode in Mode:
        for other in others:
            advance(connection, other, mode)
    pairs = [pair for other in others for pair in ((ref, other), (other, ref))]
    for pair in pairs:
        connection.execute(_UNLINK, pair)
    return len(pairs)
