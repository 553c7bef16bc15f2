"""The little language of content: text with places such as ``{{ action.label }}``, nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterator

PLACE = re.compile(r"\{\{\s*([A-Za-z_][\w.-]*)\s*\}\}")
"""One place; its first group is the name that fills it."""


def places(template: str) -> Iterator[str]:
    """Yield the names a template asks for: ``action.x``, ``customer.x``, ``context.x``."""
    return (found.group(1) for found in PLACE.finditer(template))


def is_well_formed(template: str) -> bool:
    """Return whether every double brace belongs to a place."""
    return not re.search(r"\{\{|\}\}", PLACE.sub("", template))
