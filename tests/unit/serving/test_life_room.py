"""The room where models live, opened on a real home."""

from __future__ import annotations

import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from moment.errors import InvalidRequest
from moment.home import Home
from serving.adapters.database import connect
from serving.adapters.group_commit import GroupCommit
from serving.adapters.identifiers import utc_now
from serving.adapters.sqlite_erasures import SqliteErasures
from serving.adapters.vault import Vault
from serving.bootstrap import open_keys
from serving.bundles import BundleRefused, Trust, read_manifest, verify_signature
from serving.life_room import open_life, personal_signer
from serving.lifecycle import State, StopKind
from serving.ports import Role
from serving.use_cases.keys import create_personal_key
from tests.unit.serving.life_kit import PASSED, UNSURE, bundle


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home", tmp_path / "mlruns")


def key_file(home: Home, person: str, role: Role) -> Path:
    """Make a person's key and write it where `moment keys create --out-file` does."""
    with closing(open_keys(home)) as keys:
        new = create_personal_key(keys, person=person, role=role, now=utc_now())
    path = home.keys / f"{role}.key"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{new.secret}\n")
    return path


def test_a_version_lives_its_life_over_several_openings(home: Home) -> None:
    carl_file = key_file(home, "Carl Gauss", Role.DATA_SCIENTIST)
    ada = personal_signer(home, key_file(home, "Ada Byron", Role.RISK_OFFICER))
    with open_life(home) as life:
        made = life.enter(bundle(home.bundles, "1"), UNSURE, key_file=carl_file, reason="hand")
    with open_life(home) as life:
        life.accept(made.model, made.digest, ["slope"], "few answers", ada)
        life.approve(made.model, made.digest, reason="read", by=ada)
    with open_life(home) as life:
        champion = life.promote(made.model, made.digest, "better", personal_signer(home, carl_file))
        assert champion.state is State.CHAMPION
        assert life.book().champion(made.model) == champion
        assert (life.seq(), life.verify()) == (5, 5)


def test_an_unsigned_bundle_is_signed_when_it_enters_and_a_signed_one_left(home: Home) -> None:
    folder = bundle(home.bundles, "1")
    with pytest.raises(BundleRefused):
        verify_signature(folder, read_manifest(folder), Trust.of_home(home.keys, {}))
    with open_life(home) as life:
        life.enter(folder, PASSED)
        verify_signature(folder, read_manifest(folder), Trust.of_home(home.keys, {}))
        before = {path.name: path.read_bytes() for path in folder.iterdir()}
        life.enter(folder, UNSURE)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.parametrize("content", [None, b"", b"nothing\n", b"\xff\xfe", b"x" * 9999])
def test_a_file_that_holds_no_personal_key_is_refused_in_one_line(
    home: Home, tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "some.key"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InvalidRequest) as caught:
        personal_signer(home, path)
    assert caught.value.code == "key-unknown"
    assert "\n" not in str(caught.value)
    assert "moment keys create --person NAME --role ROLE" in str(caught.value)


def test_an_erasure_has_nothing_to_do_here(home: Home) -> None:
    """What is done to models is about models; even a customer who has the name of one leaves it as it is."""
    ada = personal_signer(home, key_file(home, "Ada Byron", Role.RISK_OFFICER))
    with open_life(home) as life:
        life.stop(StopKind.ACTION, "tea", "wrong price", ada)
        before = life.book()
    writer = GroupCommit(home.database)
    with (
        closing(writer),
        closing(SqliteErasures(home.database, writer, Vault.open(home))) as erasures,
    ):
        for customer in ("Ada Byron", "tea", ada.actor.key_id):
            erasures.begin(customer, utc_now())
    with open_life(home) as life:
        assert life.verify() == 1
        assert life.book() == before
    with closing(connect(home.database)) as connection:
        for table in ("life_entries", "life_head"):
            names = {row[1] for row in connection.execute(f"PRAGMA table_info({table})")}
            assert not {name for name in names if "customer" in name or name.endswith("_ref")}


def test_opening_it_imports_nothing_heavy(home: Home) -> None:
    heavy = ("bentoml", "feast", "litestar", "mlflow", "pandas", "sklearn", "xgboost")
    script = (
        "import sys; from pathlib import Path; from moment.home import Home\n"
        "from serving.life_room import open_life\n"
        f"with open_life(Home(Path({str(home.root)!r}), Path({str(home.mlruns)!r}))) as life: life.book()\n"
        f"found = [name for name in {heavy} if name in sys.modules]\n"
        "assert not found, found"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", script], check=True, timeout=60)
