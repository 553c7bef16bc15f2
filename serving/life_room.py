"""Where the life of models is opened: ledger, keys and the vault, and nothing that is heavy to import."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from moment.home import Home
    from serving.adapters.personal_signing import PersonalSigner
    from serving.use_cases.life import Life


@contextmanager
def open_life(home: Home) -> Iterator[Life]:
    """Open the life of a home's models."""
    raise NotImplementedError
    yield


def personal_signer(home: Home, key_file: Path) -> PersonalSigner:
    """Return the person whose own key lies in a file.

    Raises
    ------
    InvalidRequest
        The file cannot be read, or what is in it is no personal key that opens anything.
    """
    raise NotImplementedError
