"""The checked form of a rule: a small typed tree that closures, and later SQL for batches, are made from."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Expression:
    """A node of the tree. Equal trees are one node to the program that evaluates them."""

    columns: tuple[str, ...] = ()
