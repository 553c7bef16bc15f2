"""Recipes on the disk: what is not read says why."""

from __future__ import annotations

from pathlib import Path

import pytest

from moment.errors import DependencyError
from moment.home import Home
from training.archive import FORMAT, find_recipe, recipe_file

VERSION = "0123456789ab"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f'{{"format": {FORMAT + 1}, "found": ["otherwise"]}}', f"format {FORMAT + 1}, .*; upgrade Moment$"),
        (f'{{"format": {FORMAT}, "found": ["otherwise"]}}', "cannot be read; restore a backup$"),
        ('{"format": 1', "cannot be read; restore a backup$"),
    ],
)
def test_a_recipe_that_is_not_read_says_why(tmp_path: Path, text: str, said: str) -> None:
    home = Home(tmp_path / "home", tmp_path / "mlruns")
    file = recipe_file(home, "propensity", VERSION)
    file.parent.mkdir(parents=True)
    file.write_text(text)
    with pytest.raises(DependencyError, match=said):
        find_recipe(home, "propensity", VERSION)
