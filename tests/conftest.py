"""Fixtures every test may use."""

from __future__ import annotations

import pytest

from moment.home import Home


@pytest.fixture(scope="session")
def lake_home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A home whose lake holds the whole of The Complete Journey, ingested once a session. Read it only."""
    from features.ingest import ingest
    from features.sources.complete_journey import CompleteJourney

    root = tmp_path_factory.mktemp("lake_home")
    home = Home(root=root / "home", mlruns=root / "mlruns")
    ingest(home, CompleteJourney.installed())
    return home
