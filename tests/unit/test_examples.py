"""Every example in a docstring is true."""

import doctest
import importlib
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
ROOMS = ("moment", "features", "training", "serving")
MODULES = sorted(
    ".".join(path.relative_to(PROJECT).with_suffix("").parts)
    for room in ROOMS
    for path in (PROJECT / room).rglob("*.py")
    if ">>> " in path.read_text(encoding="utf-8")
)


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings_are_true(name: str) -> None:
    outcome = doctest.testmod(importlib.import_module(name), optionflags=doctest.NORMALIZE_WHITESPACE)

    assert outcome.attempted > 0
    assert outcome.failed == 0
