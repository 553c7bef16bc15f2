"""Every catalogue that ever decided, as a file named by its digest, so that records stay readable."""

from __future__ import annotations

import os
import re
from pathlib import Path

from moment.errors import DependencyError
from serving.catalogue import load
from serving.decision.catalogue import Catalogue

_DIGEST = re.compile(r"[0-9a-f]{64}")


class CatalogueFiles:
    """The port `CatalogueArchive` on a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._open: dict[str, Catalogue] = {}

    def keep(self, source: Path, catalogue: Catalogue) -> None:
        """Archive the file this catalogue was loaded from."""
        self._open[catalogue.digest] = catalogue
        path = self._path(catalogue.digest)
        if path.exists():
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        scratch = path.with_suffix(f".{os.getpid()}.tmp")
        scratch.write_bytes(source.read_bytes())
        scratch.replace(path)

    def find(self, digest: str) -> Catalogue | None:
        """Return the catalogue with this digest, which its file must still have."""
        if digest not in self._open:
            path = self._path(digest)
            if not _DIGEST.fullmatch(digest) or not path.is_file():
                return None
            catalogue = load(path)
            if catalogue.digest != digest:
                raise DependencyError(f"the archived catalogue {digest[:12]} was changed; restore its file")
            self._open[digest] = catalogue
        return self._open[digest]

    def _path(self, digest: str) -> Path:
        return self._folder / f"{digest}.yaml"
