"""SQL as the catalogue keeps it: the same rule, however its lines are broken."""

from __future__ import annotations

import re

_SPACES = re.compile(r"('(?:[^']|'')*')|\s+")


def folded(text: str) -> str:
    """Return SQL with its white space folded, but for that in quotes."""
    return _SPACES.sub(lambda found: found.group(1) or " ", text)
