"""Every golden decision, one concept each: tests/golden/decisions/*.yaml."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.golden.cases import FOLDER, differences, read, run

CASES = sorted((FOLDER / "decisions").glob("*.yaml"))


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_golden_decision(path: Path, tmp_path: Path) -> None:
    case = read(path)

    assert differences(case["then"], run(case, tmp_path)) == [], case["concept"]
