from pathlib import Path

from moment.home import Home


def test_the_environment_names_the_home(tmp_path: Path) -> None:
    home = Home.find(start=tmp_path, environment={"MOMENT_HOME": str(tmp_path / "state")})

    assert home.root == tmp_path / "state"
    assert home.mlruns == tmp_path / "mlruns"


def test_a_folder_inside_the_project_shares_the_projects_home(tmp_path: Path) -> None:
    (tmp_path / "feature_repo").mkdir()
    (tmp_path / "feature_repo" / "feature_store.yaml").touch()
    inside = tmp_path / "feature_repo" / "deeper"
    inside.mkdir()

    assert Home.find(start=inside, environment={}).root == tmp_path / ".moment"


def test_outside_any_project_the_working_folder_holds_the_home(tmp_path: Path) -> None:
    assert Home.find(start=tmp_path, environment={}).root == tmp_path / ".moment"


def test_a_home_is_a_value_and_touches_no_disk(tmp_path: Path) -> None:
    home = Home.find(start=tmp_path, environment={})

    paths = [home.lake, home.quarantine, home.snapshots, home.feast, home.bundles, home.reports, home.keys]
    assert all(path.parent == home.root for path in [*paths, home.database])
    assert list(tmp_path.iterdir()) == []
