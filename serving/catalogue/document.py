"""YAML with line numbers: what was written, and where.

The text is read event by event into values of our own, so that nothing is made that was not counted before: a
file that nests, repeats or merges without end is a fault with its line, as is any other.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from moment.errors import ConfigurationError, Fault

MOST_BYTES = 16 * 2**20
"""Bytes of a file: many times what a catalogue of ten thousand actions takes."""

MOST_DEPTH = 40
"""Mappings and lists within each other."""

MOST_VALUES = 1_000_000
"""Values of a file, those that its aliases repeat counted each time."""

# libyaml's loader where it is built in: ten times as fast, the same marks
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_TAG = "tag:yaml.org,2002:"
_MERGE = f"{_TAG}merge"
_MAPPING, _LIST = f"{_TAG}map", f"{_TAG}seq"
_PLAIN = frozenset(f"{_TAG}{name}" for name in ("bool", "float", "int", "null", "str", "timestamp"))
_UNREADABLE = (ValueError, ArithmeticError, LookupError, TypeError, AttributeError, yaml.YAMLError)
"""What PyYAML raises at ``!!int abc`` and its like, which it does not expect."""

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
        The file cannot be read, or not as YAML, or holds what no such file may.
    """
    try:
        with path.open("rb") as file:
            # No more than that of a file that may never end
            content = file.read(MOST_BYTES + 1)
        if len(content) > MOST_BYTES:
            raise ConfigurationError(
                f"{kind} {path} has more than {MOST_BYTES // 2**20} MiB; name another file"
            )
        text = content.decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{kind} {path} cannot be read: {error}") from error
    return parse_document(text, path, kind)


def parse_document(text: str, path: Path, kind: str = "catalogue") -> tuple[Node, list[Fault]]:
    """Return the document of a text; `path` says where it is from. Raises as `read_document` does."""
    try:
        reader = _Reader(text, path.name)
        root = reader.document()
    except _Refused as refused:
        fault = Fault(f"{path.name}:{refused.line}", refused.message)
        raise ConfigurationError(f"{kind} {path} cannot be read", faults=[fault]) from None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        fault = Fault(f"{path.name}:{line}", f"{error.problem or 'not YAML'}; check indentation and quotes")
        raise ConfigurationError(f"{kind} {path} is not YAML", faults=[fault]) from error
    except (yaml.YAMLError, UnicodeError) as error:
        # What the reader itself cannot take, such as a control character, has a place but no line
        raise ConfigurationError(f"{kind} {path} is not YAML: {' '.join(str(error).split())}") from error
    if root is None:
        raise ConfigurationError(f"{kind} {path} is empty; `moment catalogue --help` names examples")
    if reader.unreadable:
        # Whoever looks for more would stumble over the same again
        raise ConfigurationError(f"{kind} {path} cannot be read", faults=reader.unreadable)
    return root, reader.twice


def plain(node: Node) -> Any:  # noqa: ANN401  # YAML
    """Return what is written as mappings, lists and plain values."""
    if isinstance(node.value, dict):
        return {key: plain(value) for key, value in node.value.items()}
    if isinstance(node.value, list):
        return [plain(item) for item in node.value]
    return node.value


class _Refused(Exception):
    """Something after which reading cannot go on."""

    def __init__(self, event: yaml.Event, message: str) -> None:
        super().__init__(message)
        self.line = _line(event)
        self.message = message


class _Named(NamedTuple):
    """What an anchor names: the node, its text where it is a plain value, and how many values it holds."""

    node: Node
    text: str | None
    values: int


class _Reader:
    """Reads one text. `unreadable` are values that are none, `twice` keys that were written twice."""

    def __init__(self, text: str, file: str) -> None:
        self.unreadable: list[Fault] = []
        self.twice: list[Fault] = []
        self._file = file
        self._loader = _LOADER(text)
        # None while what it names is not read to its end
        self._anchors: dict[str, _Named | None] = {}
        self._values = 0
        self._depth = 0

    def document(self) -> Node | None:
        """Return the one document; None where there is none."""
        self._next()
        if isinstance(self._next(), yaml.StreamEndEvent):
            return None
        root = self._read(self._next()).node
        self._next()
        after = self._next()
        if not isinstance(after, yaml.StreamEndEvent):
            raise _Refused(after, "another document begins here; keep one in a file")
        return root

    def _next(self) -> Any:  # noqa: ANN401 - each kind of event has fields of its own
        return self._loader.get_event()

    def _read(self, event: Any) -> _Named:  # noqa: ANN401
        if isinstance(event, yaml.AliasEvent):
            return self._repeated(event)
        if event.anchor is not None:
            if event.anchor in self._anchors:
                raise _Refused(event, f"`&{event.anchor}` names two things; name one otherwise")
            self._anchors[event.anchor] = None
        before = self._values
        self._count(event, 1)
        text = None
        if isinstance(event, yaml.ScalarEvent):
            node, text = self._scalar(event), event.value
        else:
            self._depth += 1
            if self._depth > MOST_DEPTH:
                raise _Refused(event, f"more than {MOST_DEPTH} mappings and lists within each other")
            node = self._mapping(event) if isinstance(event, yaml.MappingStartEvent) else self._list(event)
            self._depth -= 1
        named = _Named(node, text, self._values - before)
        if event.anchor is not None:
            self._anchors[event.anchor] = named
        return named

    def _repeated(self, event: Any) -> _Named:  # noqa: ANN401
        """Return what an alias names: read once, but counted each time, as others will go through it."""
        if event.anchor not in self._anchors:
            raise _Refused(event, f"nothing before is named `&{event.anchor}`")
        named = self._anchors[event.anchor]
        if named is None:
            raise _Refused(event, f"`*{event.anchor}` is within what it names")
        self._count(event, named.values)
        return named

    def _count(self, event: Any, values: int) -> None:  # noqa: ANN401
        self._values += values
        if self._values > MOST_VALUES:
            raise _Refused(event, f"more than {MOST_VALUES:,} values, with what aliases repeat")

    def _scalar(self, event: Any) -> Node:  # noqa: ANN401
        line, tag = _line(event), event.tag
        if tag is None or tag == "!":
            tag = self._loader.resolve(yaml.ScalarNode, event.value, event.implicit)
        if tag not in _PLAIN:
            self._unreadable(
                event, f"`{tag.removeprefix(_TAG)}` is no kind of value here; put text in quotes"
            )
            return Node(None, line, {})
        node = yaml.ScalarNode(tag, event.value)
        try:
            value = self._loader.yaml_constructors[tag](self._loader, node)
        except _UNREADABLE:
            kind = tag.removeprefix(_TAG)
            self._unreadable(event, f"`{event.value:.40}` is no {kind}; put it in quotes if it is text")
            return Node(None, line, {})
        return Node(value, line, {})

    def _list(self, event: Any) -> Node:  # noqa: ANN401
        self._check_tag(event, _LIST)
        items = []
        while not isinstance(below := self._next(), yaml.SequenceEndEvent):
            items.append(self._read(below).node)
        return Node(items, _line(event), {})

    def _mapping(self, event: Any) -> Node:  # noqa: ANN401
        self._check_tag(event, _MAPPING)
        merged: list[Node] = []
        values: dict[str, Node] = {}
        lines: dict[str, int] = {}
        while not isinstance(key := self._next(), yaml.MappingEndEvent):
            name = self._read_key(key)
            if name == "<<" and self._merges(key):
                merged += self._merged(self._next())
                continue
            value = self._read(self._next()).node
            if name is None:
                continue
            if name in values:
                self.twice.append(self._fault(key, f"`{name}` is written twice here; keep one"))
            values[name] = value
            lines[name] = _line(key)
        if not merged:
            return Node(values, _line(event), lines)
        all_values: dict[str, Node] = {}
        all_lines: dict[str, int] = {}
        # What is written here stands before what is merged
        for part in (*merged, Node(values, 0, lines)):
            all_values |= part.value if isinstance(part.value, dict) else {}
            all_lines |= part.key_lines
        return Node(all_values, _line(event), all_lines)

    def _read_key(self, event: Any) -> str | None:  # noqa: ANN401
        """Return a key as it is written; None for one that is none, and then it is a fault."""
        named = self._read(event) if not isinstance(event, yaml.ScalarEvent) else None
        if named is None:
            self._count(event, 1)
            if event.anchor is not None:
                line = _line(event)
                self._anchors[event.anchor] = _Named(Node(event.value, line, {}), event.value, 1)
            return str(event.value)
        if named.text is None:
            self._unreadable(event, "a key must be plain text, no mapping or list")
        return named.text

    def _merges(self, event: Any) -> bool:  # noqa: ANN401
        """Whether a key is YAML's word for "what stands there, too", and not text in quotes."""
        return isinstance(event, yaml.ScalarEvent) and (
            event.tag == _MERGE or (event.tag is None and bool(event.implicit[0]))
        )

    def _merged(self, event: Any) -> list[Node]:  # noqa: ANN401
        """Return the mappings that are merged into another, the one that counts most last."""
        node = self._read(event).node
        parts = node.value if isinstance(node.value, list) else [node]
        if all(isinstance(part.value, dict) for part in parts):
            return parts[::-1]
        self._unreadable(event, "only mappings can be merged: `<<: *name`, or a list of such names")
        return []

    def _check_tag(self, event: Any, usual: str) -> None:  # noqa: ANN401
        if event.tag not in (None, "!", usual):
            self._unreadable(
                event, f"`{event.tag.removeprefix(_TAG)}` is no kind of value here; leave it out"
            )

    def _unreadable(self, event: yaml.Event, message: str) -> None:
        self.unreadable.append(self._fault(event, message))

    def _fault(self, event: yaml.Event, message: str) -> Fault:
        return Fault(f"{self._file}:{_line(event)}", message)


def _line(event: yaml.Event) -> int:
    return 1 if event.start_mark is None else int(event.start_mark.line) + 1
