"""What Moment writes is for whoever runs it."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from moment import private
from moment.home import Home
from moment.private import make_home, open_to_others, replacing, write
from serving.adapters.database import connect, migrate


@pytest.fixture
def open_mask() -> Iterator[None]:
    """Files are everybody's, as a shell may have it."""
    before = os.umask(0)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.usefixtures("open_mask")
@pytest.mark.parametrize("content", ["text of one", b"bytes of one"])
def test_a_file_is_its_owners_also_where_another_one_was(tmp_path: Path, content: str | bytes) -> None:
    path = tmp_path / "case.html"
    path.write_text("earlier")

    write(path, content)

    assert path.read_text().endswith("of one")
    assert mode(path) == 0o600
    assert [one.name for one in tmp_path.iterdir()] == ["case.html"]


def test_nothing_is_written_through_a_link(tmp_path: Path) -> None:
    theirs, folder = tmp_path / "theirs", tmp_path / "folder"
    folder.mkdir()
    theirs.write_text("theirs")
    # What a guess of somebody else would be, and the file itself
    for name in (".case.html.writing", ".case.html.part", "case.html.part", "case.html"):
        (folder / name).symlink_to(theirs)

    write(folder / "case.html", "about a person")

    assert theirs.read_text() == "theirs"
    assert not (folder / "case.html").is_symlink()


def test_what_fails_leaves_nothing_and_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "offers.csv"
    path.write_text("earlier")

    def fail() -> None:
        with replacing(path) as part:
            part.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()

    assert path.read_text() == "earlier"
    assert [one.name for one in tmp_path.iterdir()] == ["offers.csv"]


@pytest.mark.usefixtures("open_mask")
def test_a_home_is_its_owners_whatever_mask_a_library_user_has(tmp_path: Path) -> None:
    made, migrated = Home(tmp_path / "a" / "home", tmp_path / "ml"), tmp_path / "b" / "home" / "moment.db"

    make_home(made)
    make_home(made)
    migrate(migrated)

    assert mode(made.root) == 0o700
    assert mode(migrated.parent) == 0o700


@pytest.mark.usefixtures("open_mask")
def test_a_home_that_others_can_read_is_told_with_the_way_out(tmp_path: Path) -> None:
    home = Home(tmp_path / "home", tmp_path / "mlruns")
    assert open_to_others(home) is None
    home.root.mkdir(mode=0o755)
    (home.mlruns / "artifacts").mkdir(parents=True)
    with closing(connect(home.mlruns / "mlflow.db")) as database:
        database.execute("CREATE TABLE runs (id)")

    told = open_to_others(home)

    assert told is not None
    _, _, command = told.partition("close it: ")
    assert str(home.root) in command
    subprocess.run(command.split(), check=True)
    assert open_to_others(home) is None


def test_every_process_of_ours_keeps_what_it_writes_to_its_owner(tmp_path: Path) -> None:
    """The command makes a home under the most open mask there is; importing alone changes nothing."""
    home = tmp_path / "home"
    environment = os.environ | {"MOMENT_HOME": str(home), "MOMENT_MLRUNS": str(tmp_path / "ml")}
    command = "keys create --mode test --scope all --out-file web.key"

    subprocess.run(
        [sys.executable, "-m", "moment.cli", *command.split()],
        check=True,
        capture_output=True,
        env=environment,
        umask=0,
        timeout=60,
    )

    written = [home, *home.rglob("*")]
    assert len(written) > 2
    assert {path.name: oct(mode(path)) for path in written if mode(path) & 0o077} == {}


@pytest.mark.parametrize(
    "module",
    [
        "moment/cli.py",
        "serving/admin.py",
        "serving/batch/running.py",
        "serving/bundles/proving_child.py",
        "serving/packaging/building.py",
        "serving/packaging/packaged.py",
        "serving/service.py",
        "serving/services/opening.py",
    ],
)
def test_where_a_process_begins_it_is_told_to(module: str) -> None:
    assert "keep_private()" in (Path(private.__file__).parents[1] / module).read_text(encoding="utf-8")


def test_importing_changes_no_mask() -> None:
    asked = "import os; os.umask(0o022); import moment.cli, serving.service; print(oct(os.umask(0)))"
    said = subprocess.run(
        [sys.executable, "-c", asked], capture_output=True, text=True, check=True, timeout=60
    )
    assert said.stdout.split()[-1] == "0o22"
