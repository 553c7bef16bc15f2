"""YAML with line numbers: what was written, and where."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

import yaml

from moment.errors import ConfigurationError, Fault

# libyaml's loader where it is built in: ten times as fast, the same marks
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

Leaf = bool | int | float | str | date | datetime | None


@dataclass(frozen=True, slots=True)
class Node:
    """A mapping, a list or a plain value, and the line it begins on, counted from 1."""

    value: Leaf | list[Node] | dict[str, Node]
    line: int
    key_lines: dict[str, int]


def read_document(path: Path, kind: str = "catalogue") -> tuple[Node, list[Fault]]:
    """Return the document and the keys written twice in it; `kind` is what errors call it.

    Raises
    ------
    ConfigurationError
        The file cannot be read, or not as YAML.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{kind} {path} cannot be read: {error}") from error
    return parse_document(text, path, kind)


def parse_document(text: str, path: Path, kind: str = "catalogue") -> tuple[Node, list[Fault]]:
    """Return the document of a text; `path` says where it is from. Raises as `read_document` does."""
    try:
        root = yaml.compose(text, Loader=_LOADER)
        if root is None:
            raise ConfigurationError(f"{kind} {path} is empty; `moment catalogue --help` names examples")
        reader = _Reader(path.name)
        return reader.read(root), reader.faults
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        fault = Fault(f"{path.name}:{line}", f"{error.problem or 'not YAML'}; check indentation and quotes")
        raise ConfigurationError(f"{kind} {path} is not YAML", faults=[fault]) from error
    except yaml.YAMLError as error:
        # What the reader itself cannot take, such as a control character, has a place but no line
        raise ConfigurationError(f"{kind} {path} is not YAML: {' '.join(str(error).split())}") from error


class _Reader:
    def __init__(self, file: str) -> None:
        self.faults: list[Fault] = []
        self._file = file
        self._constructor = yaml.constructor.SafeConstructor()
        # an anchor used many times is read once: a file cannot grow in memory beyond what is written
        self._known: dict[int, Node] = {}

    def read(self, node: yaml.Node) -> Node:
        known = self._known.get(id(node))
        if known is None:
            known = self._known[id(node)] = self._read(node)
        return known

    def _read(self, node: yaml.Node) -> Node:
        line = node.start_mark.line + 1
        if isinstance(node, yaml.MappingNode):
            return self._read_mapping(node, line)
        if isinstance(node, yaml.SequenceNode):
            return Node([self.read(item) for item in node.value], line, {})
        return Node(self._constructor.construct_object(node), line, {})

    def _read_mapping(self, node: yaml.MappingNode, line: int) -> Node:
        written: set[Hashable] = set()
        for key, _ in node.value:
            if key.tag != "tag:yaml.org,2002:merge" and key.value in written:
                self._fault(key, f"`{key.value}` is written twice here; keep one")
            written.add(key.value)
        self._constructor.flatten_mapping(node)
        values: dict[str, Node] = {}
        lines: dict[str, int] = {}
        for key, value in node.value:
            name = str(key.value)
            values[name] = self.read(value)
            lines[name] = key.start_mark.line + 1
        return Node(values, line, lines)

    def _fault(self, node: yaml.Node, message: str) -> None:
        self.faults.append(Fault(f"{self._file}:{node.start_mark.line + 1}", message))
