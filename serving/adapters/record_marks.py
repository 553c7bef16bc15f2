"""What binds a stored record's open part to its row and to its sealed part.

The open part is stored behind a mark of the vault's secret and the record's id. What is sealed is bound to
the mark, so that neither part is read with another. A mark needs no customer's key: it holds, too, of a
record whose personal part was pruned or erased. Up to format 5 records have none; what is sealed of them is
bound to their id alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from moment.errors import DependencyError
from serving.adapters.vault import Vault
from serving.records import MARKED, DecisionRecord, Sealable, load

_MARKED = b"\x01"
"""What a marked open part begins with: MessagePack would read a number, JSON nothing at all."""

_BEGINS = 1 + 32


@dataclass(frozen=True, slots=True)
class Unmarked:
    """A stored open part without its mark.

    Parameters
    ----------
    content
        MessagePack or JSON.
    about
        What its personal part was sealed for.
    marked
        Whether a mark vouches for it.
    """

    content: bytes
    about: str
    marked: bool

    def check(self, decision_id: str, named: str, form: int) -> None:
        """Refuse the open part of another record, and one whose format says that it had a mark.

        Raises
        ------
        DependencyError
            It is not this record's.
        """
        if named != decision_id or (form >= MARKED and not self.marked):
            raise damaged(decision_id)


def marked(vault: Vault, decision_id: str, content: bytes) -> tuple[bytes, str]:
    """Return an open part as it is stored, and what the personal part is sealed for."""
    mark = vault.mark(decision_id, content)
    return _MARKED + mark + content, _about(decision_id, mark)


def unmarked(vault: Vault, decision_id: str, stored: object) -> Unmarked:
    """Return what stands behind a mark.

    Raises
    ------
    DependencyError
        It is not what was written.
    """
    if not isinstance(stored, bytes):  # SQLite keeps in a column what it is given
        raise damaged(decision_id)
    if not stored.startswith(_MARKED):
        return Unmarked(stored, decision_id, marked=False)
    mark, content = stored[1:_BEGINS], stored[_BEGINS:]
    if vault.mark(decision_id, content) != mark:
        raise damaged(decision_id)
    return Unmarked(content, _about(decision_id, mark), marked=True)


def read(decision_id: str, opened: Unmarked, personal: bytes | None) -> DecisionRecord:
    """Return the record of a row.

    Raises
    ------
    DependencyError
        It cannot be read, is another's, or a newer Moment wrote it.
    """
    try:
        record = load(Sealable(opened.content, personal))
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise damaged(decision_id) from error
    opened.check(decision_id, record.decision_id, record.format)
    return record


def damaged(decision_id: str) -> DependencyError:
    """Return the error of a record that is not what was written."""
    return DependencyError(
        f"record {decision_id} is damaged: the database was changed by other means; restore a backup"
    )


def _about(decision_id: str, mark: bytes) -> str:
    return f"{decision_id}\0{mark.hex()}"
