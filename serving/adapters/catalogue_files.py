"""Every catalogue that ever decided, as a file named by its digest, so that records stay readable.

Beside it lie the types of the columns its rules read: without them `spend >= 10` would take spend for a whole
number, and nothing could be decided again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import msgspec

from moment import private
from moment.errors import DependencyError
from serving.catalogue import load
from serving.decision.catalogue import Catalogue
from serving.decision.columns import Column

_DIGEST = re.compile(r"[0-9a-f]{64}")
_COLUMNS = ".columns.json"


class CatalogueFiles:
    """The port `CatalogueArchive` on a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._open: dict[str, Catalogue] = {}

    def keep(self, source: Path, catalogue: Catalogue, columns: Mapping[str, Column] | None = None) -> None:
        """Archive the file this catalogue was loaded from, and the columns it was loaded with."""
        self._open[catalogue.digest] = catalogue
        path = self._path(catalogue.digest)
        self._folder.mkdir(parents=True, exist_ok=True)
        if columns is not None:
            _write(path.with_suffix(_COLUMNS), msgspec.json.encode(columns))
        if not path.exists():
            _write(path, source.read_bytes())

    def find(self, digest: str) -> Catalogue | None:
        """Return the catalogue with this digest, which its file must still have."""
        if digest not in self._open:
            path = self._path(digest)
            if not _DIGEST.fullmatch(digest) or not path.is_file():
                return None
            catalogue = load(path, _columns(path.with_suffix(_COLUMNS)))
            if catalogue.digest != digest:
                raise DependencyError(f"the archived catalogue {digest[:12]} was changed; restore its file")
            self._open[digest] = catalogue
        return self._open[digest]

    def _path(self, digest: str) -> Path:
        return self._folder / f"{digest}.yaml"


def _write(path: Path, content: bytes) -> None:
    """Write a file at once or not at all; what already says the same is left alone."""
    if path.is_file() and path.read_bytes() == content:
        return
    private.write(path, content)


def _columns(path: Path) -> dict[str, Column] | None:
    """Return the columns kept beside a catalogue, None where an earlier Moment kept none."""
    if not path.is_file():
        return None
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, Column])
    except msgspec.MsgspecError as error:
        raise DependencyError(
            f"{path.name}, kept beside its catalogue, cannot be read; restore it"
        ) from error
