"""Builds one Bento from a folder made ready for it: a process of its own, run as a module in that folder.

BentoML imports what it packages, and the starting modules of two Bentos have one name.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from moment.private import keep_private

ENTRY = "moment_bento"
"""The module a Bento starts with."""


def main(service: str, tag: str, archive: str = "") -> None:
    """Build the Bento of a service unless the store has it, export it if asked to, and print where it is."""
    import bentoml

    keep_private()
    try:
        bento = bentoml.bentos.get(tag)
    except bentoml.exceptions.NotFound:
        bento = _build(bentoml.bentos, service, tag.partition(":")[2])
    if archive:
        bentoml.bentos.export_bento(tag, archive)
    sys.stdout.write(json.dumps({"tag": str(bento.tag), "path": bento.path}) + "\n")


def _build(bentos: Any, service: str, version: str) -> Any:  # noqa: ANN401 - BentoML's own, untyped
    return bentos.build(
        f"{ENTRY}:{service}",
        version=version,
        build_ctx=str(Path.cwd()),
        description="file:README.md",
        labels={"owner": "moment"},
        python={"requirements_txt": "requirements.txt", "lock_packages": False},
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
