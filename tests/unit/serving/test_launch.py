"""What is looked at before the service starts, and what is tidied away."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path

import pytest

from moment.errors import ConfigurationError, DependencyError, StepMissing
from moment.home import Home
from serving.bootstrap import LateOffice
from serving.launch import _check_ports, _serving, check, serve
from serving.lifecycle import Model
from serving.logs import LogForm
from serving.packaging.packaged import in_service
from serving.settings import Settings
from serving.telemetry import forget_metrics
from tests.unit.serving.life_kit import House


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home", tmp_path / "mlruns")


def test_a_home_that_lost_its_database_is_not_given_an_empty_one(home: Home) -> None:
    pointer = home.bundles / "propensity" / "CURRENT"
    pointer.parent.mkdir(parents=True)
    pointer.write_text("1")
    with pytest.raises(DependencyError) as refused:
        check(home, Settings())
    assert str(refused.value).startswith(
        f"moment.db is gone from {home.root}; restore it, or mount where it lies"
    )
    office = LateOffice(home, Settings())
    office.open()
    with pytest.raises(DependencyError, match=r"moment\.db is gone"):
        office.desk()
    office.close()
    assert not home.database.exists()


def test_a_home_that_never_served_says_what_to_run(home: Home) -> None:
    with pytest.raises(StepMissing, match="moment train segmentation"):
        check(home, Settings())


@pytest.mark.parametrize(("host", "admin_host"), [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "127.0.0.1")])  # noqa: S104
def test_the_admin_service_has_a_port_of_its_own(host: str, admin_host: str) -> None:
    settings = Settings(host=host, admin_host=admin_host, port=8080, admin_port=8080)
    with pytest.raises(
        ConfigurationError, match="own port 8080; name another with MOMENT_ADMIN_PORT or --admin-port"
    ):
        _check_ports(settings)
    _check_ports(Settings(port=8080))
    _check_ports(Settings(host="127.0.0.2", port=8080, admin_port=8080))


def test_a_champion_whose_bundle_is_gone_is_to_be_restored(home: Home) -> None:
    house = House(home.bundles)
    version = house.champion("1")
    shutil.rmtree(home.bundles / Model.PROPENSITY / version.version)
    said = (
        f"the champion of propensity, {version.version}, is not in {home.bundles / 'propensity'}; restore it"
    )
    for found in (_serving, in_service):
        with pytest.raises(DependencyError, match=re.escape(said)) as refused:
            found(home, house.life.book(), Model.PROPENSITY)
        assert not isinstance(refused.value, StepMissing)


def test_what_services_on_other_ports_counted_goes_a_day_after(home: Home) -> None:
    gone, fresh, running = (home.root / "metrics" / port for port in ("3000", "3001", "3002"))
    for folder, pid in ((gone, 2**22 + 1), (fresh, 2**22 + 1), (running, os.getpid())):
        folder.mkdir(parents=True)
        (folder / f"counter_{pid}.db").touch()
        if folder is not fresh:
            for path in (folder / f"counter_{pid}.db", folder):
                os.utime(path, (1, 1))
    forget_metrics(home, fresh.stat().st_mtime)
    assert not gone.exists()
    assert fresh.exists()
    assert running.exists()


def test_a_refusal_at_the_start_is_in_the_form_of_the_log(
    home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="1"):
        serve(home, Settings(log=LogForm.JSON))
    told = json.loads(capsys.readouterr().err)
    assert (told["level"], told["event"]) == ("error", "serve")
    assert "moment train segmentation" in told["message"]
