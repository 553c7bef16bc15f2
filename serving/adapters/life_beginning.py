"""That a ledger of models has begun in a home, noted where whoever changes the database does not reach.

Without it an emptied database would be a new one: no act, no stop, nobody in charge.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path

from moment.home import Home

LEDGER_FILE = "ledger.begun"
"""The note's name in the home's folder of keys."""

_SAYS = b"""\
A ledger of models has begun in this home's moment.db: an emptied one is not believed.
Remove this file only to begin a new one on purpose.
"""

_log = logging.getLogger("moment.ledger")


class Beginning:
    """The note, in a file of its own."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @classmethod
    def of_home(cls, home: Home) -> Beginning:
        """Return the note of a home."""
        return cls(home.keys / LEDGER_FILE)

    @property
    def name(self) -> str:
        """The file, as a person is told of it."""
        return f"{self._path.parent.name}/{self._path.name}"

    @property
    def noted(self) -> bool:
        """Whether a ledger has begun here."""
        return self._path.exists()

    def note(self) -> None:
        """Note that it has; where the folder cannot be written to, say that nobody will know."""
        if self.noted:
            return
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._write()
        except OSError as error:
            _log.warning(
                "%s cannot be written (%s): nobody could tell that the ledger of models was emptied while "
                "nothing ran",
                self.name,
                type(error).__name__,
            )

    def _write(self) -> None:
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            os.write(descriptor, _SAYS)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        folder = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
