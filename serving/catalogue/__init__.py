"""Reading and checking of the catalogue: actions, treatments, rules and placements in versioned YAML.

``load`` is imported when it is first asked for: who wants a smaller part of this does not wait for sqlglot.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from serving.catalogue.loader import load

__all__ = ["load"]


def __getattr__(name: str) -> object:
    if name == "load":
        from serving.catalogue.loader import load

        return load
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
