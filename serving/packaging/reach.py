"""What a module reaches by its imports, read from the source without importing anything.

Imports within functions count, those for type checkers alone do not. So what is reached is all that could
ever be imported, however seldom the function runs.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Reached:
    """What some modules reach, themselves included.

    Parameters
    ----------
    modules
        Our own, by their full names.
    others
        Top-level names of what is neither ours nor Python's.
    """

    modules: frozenset[str]
    others: frozenset[str]


def reach(folder: Path, roots: Collection[str], ours: Collection[str]) -> Reached:
    """Return what some modules reach.

    Parameters
    ----------
    folder
        Holds our packages.
    roots
        Modules to begin with.
    ours
        Names of our packages; a package of ours that is not named is neither followed nor told.
    """
    modules: set[str] = set()
    others: set[str] = set()
    waiting = list(roots)
    while waiting:
        name = waiting.pop()
        if name in modules or not _is_module(folder, name):
            continue
        modules.add(name)
        waiting += [name.rpartition(".")[0]] if "." in name else []
        for imported in _imports(folder, name):
            top = imported.partition(".")[0]
            if top in ours:
                waiting.append(imported)
            elif top not in sys.stdlib_module_names and not (folder / top).is_dir():
                others.add(top)
    return Reached(frozenset(modules), frozenset(others))


def source_of(folder: Path, module: str) -> Path | None:
    """Return the file of a module; None for a package without one."""
    place = folder.joinpath(*module.split("."))
    for path in (place / "__init__.py", place.with_suffix(".py")):
        if path.is_file():
            return path
    return None


def _is_module(folder: Path, name: str) -> bool:
    return source_of(folder, name) is not None or folder.joinpath(*name.split(".")).is_dir()


def _imports(folder: Path, module: str) -> Iterator[str]:
    path = source_of(folder, module)
    if path is not None:
        yield from _of_node(ast.parse(path.read_text(encoding="utf-8")))


def _of_node(node: ast.AST) -> Iterator[str]:
    match node:
        case ast.If() if ast.unparse(node.test) == "TYPE_CHECKING":
            for other in node.orelse:
                yield from _of_node(other)
            return
        case ast.Import():
            yield from (alias.name for alias in node.names)
        case ast.ImportFrom(module=str(module)):
            yield module
            # A name may be a module of its own
            yield from (f"{module}.{alias.name}" for alias in node.names)
    for child in ast.iter_child_nodes(node):
        yield from _of_node(child)
