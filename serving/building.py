"""Builds one Bento from a folder made ready for it: a process of its own, run as a module in that folder.

BentoML imports what it packages, and the starting modules of two Bentos have one name.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

ENTRY = "moment_bento"
"""The module a Bento starts with."""


def main(service: str, version: str) -> None:
    """Build the Bento of a service, and print its tag and folder as JSON."""
    import bentoml

    bento = bentoml.bentos.build(
        f"{ENTRY}:{service}",
        version=version,
        build_ctx=str(Path.cwd()),
        description="file:README.md",
        labels={"owner": "moment"},
        python={"requirements_txt": "requirements.txt", "lock_packages": False},
    )
    sys.stdout.write(json.dumps({"tag": str(bento.tag), "path": bento.path}) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
