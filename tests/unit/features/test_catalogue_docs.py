"""docs/features.md is what the definitions say."""

from __future__ import annotations

from pathlib import Path

from features.catalogue_docs import render
from features.definitions import BUILT_IN, CUSTOMER_V1

COMMITTED = Path(__file__).parents[3] / "docs" / "features.md"


def test_the_committed_catalogue_is_up_to_date() -> None:
    assert COMMITTED.read_text() == render(BUILT_IN), "run `moment features docs` and commit docs/features.md"


def test_the_catalogue_says_everything_about_every_feature() -> None:
    page = render(BUILT_IN)
    for spec in CUSTOMER_V1:
        rows = [row for row in page.splitlines() if f"| `{spec.name}`" in row]
        assert len(rows) == 1
        assert spec.meaning in rows[0]
        assert f"| {spec.dtype} | {spec.unit} |" in rows[0]
        assert ("⚠" in rows[0]) == spec.from_snapshot
    for view in BUILT_IN:
        assert f"## {view.name}" in page
        assert f"Purpose (the consent it needs): {view.purpose}. Owner: {view.owner}." in page
