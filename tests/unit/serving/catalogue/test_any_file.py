"""Whatever a file says, reading it ends: in a catalogue, or in faults with their places."""

from __future__ import annotations

import copy
import re
from datetime import UTC
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from moment.errors import ConfigurationError, Fault
from serving.catalogue import document
from serving.catalogue.document import MOST_BYTES, plain, read_document
from serving.catalogue.loader import load, parse

EXAMPLES = Path(document.__file__).parent / "examples"
FILE = Path("any.yaml")


def _merges(levels: int) -> str:
    """Return mappings that each merge the one before ten times."""
    lines = (f"a{i}: &a{i}\n  <<: [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, levels))
    return "a0: &a0 {x: 1}\n" + "".join(lines)


def _laughs(levels: int) -> str:
    """Return lists that each name the one before ten times."""
    lines = (f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, levels))
    return "a0: &a0 [lol]\n" + "".join(lines)


HOSTILE = {
    "lists within lists": ("[" * 100_000, 1, "within each other"),
    "mappings within mappings": ("{a: " * 50_000, 1, "within each other"),
    "blocks within blocks": ("\n".join(" " * i + "a:" for i in range(3_000)), 41, "within each other"),
    "a list within itself": ("a: &a [*a]\n", 1, "is within what it names"),
    "a mapping within itself": ("&a {x: *a}\n", 1, "is within what it names"),
    "merged within itself": ("a: &a\n  <<: *a\n", 2, "is within what it names"),
    "merges of merges": (_merges(9), 13, "more than 1,000,000 values"),
    "aliases of aliases": (_laughs(12), 7, "more than 1,000,000 values"),
    "an anchor twice": ("a: &a 1\nb: &a 2\n", 2, "names two things"),
    "an alias of nothing": ("a: *nope\n", 1, "nothing before is named"),
    "a list as key": ("? [a, b]\n: 1\n", 1, "a key must be plain text"),
    "a mapping as key": ("? {a: b}\n: 1\n", 1, "a key must be plain text"),
    "an alias of a list as key": ("a: &a [1]\n*a : 1\n", 2, "a key must be plain text"),
    "no number": ('a: 1\nversion: !!int "abc"\n', 2, "`abc` is no int"),
    "no digits": ("version: 0b__\n", 1, "`0b__` is no int"),
    "nothing as a number": ('version: !!int ""\n', 1, "`` is no int"),
    "too long a number": ("version: " + "9" * 20_000, 1, f"`{'9' * 40}` is no int"),
    "no float": ('version: !!float "x"\n', 1, "`x` is no float"),
    "no bool": ('version: !!bool "x"\n', 1, "`x` is no bool"),
    "no day": ("version: 2001-99-99\n", 1, "`2001-99-99` is no timestamp"),
    "no hour": ("version: 2001-02-30T25:61:61Z\n", 1, "is no timestamp"),
    "no time": ("version: !!timestamp abc\n", 1, "`abc` is no timestamp"),
    "bytes": ("version: !!binary '%%%'\n", 1, "`binary` is no kind of value"),
    "a set": ("version: !!set {a, b}\n", 1, "`set` is no kind of value"),
    "a call": ("version: !!python/object/apply:os.system ['true']\n", 1, "is no kind of value"),
    "merged with a number": ("<<: 5\n", 1, "only mappings can be merged"),
    "two documents": ("a: 1\n---\nb: 2\n", 2, "another document begins here"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_no_file_may_hold_is_a_fault_with_its_line(name: str, tmp_path: Path) -> None:
    text, line, message = HOSTILE[name]
    path = tmp_path / "hostile.yaml"
    path.write_text(text, encoding="utf-8")

    with pytest.raises(ConfigurationError) as caught:
        load(path)

    (fault, *_) = caught.value.faults
    assert fault.place == f"hostile.yaml:{line}"
    assert message in fault.message


def test_every_value_that_is_none_is_told_at_once() -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse("a: !!int x\nb: 2001-99-99\n? [c]\n: 1\n", FILE)

    assert [fault.place for fault in caught.value.faults] == ["any.yaml:1", "any.yaml:2", "any.yaml:3"]


def test_a_file_without_end_is_read_no_further_than_a_file_may_be_long(tmp_path: Path) -> None:
    path = tmp_path / "long.yaml"
    with path.open("wb") as file:
        file.truncate(MOST_BYTES + 1)

    with pytest.raises(ConfigurationError, match="more than 16 MiB"):
        load(path)
    with pytest.raises(ConfigurationError, match="more than 16 MiB"):
        load(Path("/dev/zero"))


def test_merged_mappings_stand_behind_what_is_written_and_the_first_before_the_second() -> None:
    text = "a: &a {x: 1, y: 1}\nb: &b {x: 2, y: 2, z: 2}\nc:\n  <<: [*a, *b]\n  x: 3\n'<<': text\n"

    assert plain(document.parse_document(text, FILE)[0])["c"] == {"x": 3, "y": 1, "z": 2}
    assert plain(document.parse_document(text, FILE)[0])["<<"] == "text"


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: path.name)
def test_a_file_is_read_as_yaml_says(path: Path) -> None:
    assert plain(read_document(path)[0]) == yaml.safe_load(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("written", "instead", "said"),
    [
        ("propensity_floor: 0", f"propensity_floor: {10**400}", "propensity_floor: must be a number"),
        ("propensity_floor: 0", "propensity_floor: .nan", "propensity_floor: must be a number"),
        ("formula: 1", f"formula: 1 + {'9' * 5_000}", "is not a number that fits into 64 bits"),
    ],
)
def test_a_number_beyond_all_bounds_is_a_fault(written: str, instead: str, said: str) -> None:
    text = f"arbitration: {{{written}}}\n".replace(written, instead)

    with pytest.raises(ConfigurationError, match=said):
        parse(text, FILE)


def test_what_an_action_says_beyond_all_bounds_is_a_fault() -> None:
    whole = copy.deepcopy(_EXAMPLES["bank.yaml"])
    whole["defaults"] |= {"window_days": 10**30, "attributes": {"cost": 10**30}}

    said = [fault.message for fault in _faults(yaml.safe_dump(whole, allow_unicode=True))]

    assert "defaults, window_days: must be 36500 or less" in said
    assert "defaults, attributes, cost: must fit into 64 bits" in said


def test_a_day_before_all_time_is_a_fault() -> None:
    text = (EXAMPLES / "bank.yaml").read_text(encoding="utf-8")

    said = [
        fault.message
        for fault in _faults(re.sub(r"starts_at: [\w:-]+", "starts_at: 0001-01-01", text, count=1))
    ]

    assert len(said) == 1
    assert said[0].endswith("starts_at: is before or after all time in UTC")


def test_a_time_span_beyond_all_time_is_a_fault() -> None:
    text = (EXAMPLES / "bank.yaml").read_text(encoding="utf-8")

    said = [fault.message for fault in _faults(re.sub(r"suppress: \w+", "suppress: 999999w", text, count=1))]

    assert len(said) == 1
    assert said[0].endswith("suppress: must be 36500d or less")


_SIGNS = [
    "a ",
    "a:",
    "- ",
    "\n",
    "\n  ",
    "[",
    "]",
    "{",
    "}",
    ",",
    ": ",
    "? ",
    "&a ",
    "*a",
    "<<: ",
    "'",
    '"',
    "#",
]
_KINDS = [
    "!!int ",
    "!!set ",
    "!!timestamp ",
    "!!binary ",
    "! ",
    "| \n",
    "> \n",
    "---\n",
    "...\n",
    "%YAML 1.1\n",
]
_LEAVES = ["~", "=", "0x", "1e9", "-.inf", ".nan", "0b_", "1:99", "2026-02-30", "9999-12-31", "true"]
_LETTERS = ["\t", "\\ud800", "\0", "\x85", "é", "😀"]
_WORDS = st.sampled_from([*_SIGNS, *_KINDS, *_LEAVES, *_LETTERS])


@settings(max_examples=300, deadline=None)
@given(text=st.one_of(st.lists(_WORDS, max_size=30).map("".join), st.text(max_size=60)))
def test_any_text_is_a_catalogue_or_faults(text: str) -> None:
    _told(text)


_ODD = st.one_of(
    st.sampled_from([10**400, -(10**400), 10**30, 2**63, -1, 0, 1e308, float("inf"), float("nan")]),
    st.sampled_from(["0s", "999999w", "24:00", "Nowhere/Land", "1 +", "'", "{x}", "{", "a" * 5_000]),
    st.sampled_from(["(" * 2_000 + "1", "NOT " * 3_000 + "true", "1 < " + "9" * 5_000]),
    st.just(" AND ".join(["true"] * 3_000)),
    st.sampled_from([[], {}, [[]], [None], {"a": None}, {"": 1}, {"~": {}}, [{"a": [1]}]]),
    st.dates(),
    st.datetimes(timezones=st.sampled_from([None, UTC])),
    st.text(max_size=20),
    st.booleans(),
    st.none(),
    st.integers(),
    st.floats(),
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(data=st.data(), name=st.sampled_from(["groceries.yaml", "bank.yaml"]))
def test_a_catalogue_with_something_odd_is_one_or_faults(data: st.DataObject, name: str) -> None:
    whole = copy.deepcopy(_EXAMPLES[name])
    for _ in range(data.draw(st.integers(1, 3))):
        _spoil(whole, data)
    _told(yaml.dump(whole, Dumper=_DUMPER, allow_unicode=True))


_DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
_EXAMPLES: dict[str, Any] = {
    path.name: yaml.safe_load(path.read_text(encoding="utf-8")) for path in EXAMPLES.glob("*.yaml")
}


def _spoil(whole: Any, data: st.DataObject) -> None:  # noqa: ANN401 - YAML
    """Put something odd in one place."""
    while True:
        keys = list(whole) if isinstance(whole, dict) else list(range(len(whole)))
        if not keys:
            return
        key = data.draw(st.sampled_from(keys))
        if not isinstance(whole[key], dict | list) or data.draw(st.integers(0, 9)) == 0:
            break
        whole = whole[key]
    if isinstance(whole, dict) and data.draw(st.integers(0, 4)) == 0:
        whole[data.draw(st.text(max_size=8))] = whole.pop(key)
    else:
        whole[key] = data.draw(_ODD)


def _told(text: str) -> None:
    faults = _faults(text)
    assert all(re.fullmatch(r"any\.yaml:\d+", fault.place) for fault in faults)


def _faults(text: str) -> tuple[Fault, ...]:
    """Return what is wrong with a text; any other error than faults is a failure."""
    try:
        parse(text, FILE)
    except ConfigurationError as refused:
        return refused.faults
    return ()
