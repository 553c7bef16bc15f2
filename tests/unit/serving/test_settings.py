from __future__ import annotations

from pathlib import Path

import pytest

from moment.errors import ConfigurationError
from serving.settings import Settings, unknown_names


def test_the_service_listens_on_this_machine_only_unless_told_otherwise() -> None:
    assert Settings.read({}) == Settings(host="127.0.0.1", port=3000, workers=1)


def test_the_environment_is_read(tmp_path: Path) -> None:
    catalogue = tmp_path / "my.yaml"
    catalogue.touch()
    read = Settings.read(
        {
            "MOMENT_HOST": "localhost",
            "MOMENT_PORT": "8080",
            "MOMENT_WORKERS": "2",
            "MOMENT_CATALOGUE": str(catalogue),
            "MOMENT_MAX_BODY_BYTES": "2048",
            "MOMENT_BODY_SECONDS": "1.5",
        }
    )
    assert read == Settings("127.0.0.1", 8080, 2, catalogue, 2048, 1.5)


def test_every_wrong_value_is_reported_at_once() -> None:
    with pytest.raises(ConfigurationError) as refused:
        Settings.read(
            {
                "MOMENT_HOST": "moment.example",
                "MOMENT_PORT": "70000",
                "MOMENT_WORKERS": "many",
                "MOMENT_CATALOGUE": "/no/such/file.yaml",
                "MOMENT_BODY_SECONDS": "nan",
            }
        )
    assert [fault.place for fault in refused.value.faults] == [
        "MOMENT_HOST",
        "MOMENT_PORT",
        "MOMENT_WORKERS",
        "MOMENT_CATALOGUE",
        "MOMENT_BODY_SECONDS",
    ]
    assert "'moment.example' is no IP address; write e.g. 127.0.0.1" in str(refused.value)


def test_pages_that_may_report_are_named_as_browsers_name_them() -> None:
    read = Settings.read({"MOMENT_BROWSER_ORIGINS": "https://shop.example, http://127.0.0.1:8080"})
    assert read.browser_origins == ("https://shop.example", "http://127.0.0.1:8080")
    assert Settings().browser_origins == ()


@pytest.mark.parametrize(
    "origins", ["*", "shop.example", "https://shop.example/", "https://a.example,", "null"]
)
def test_what_is_no_origin_is_refused_at_start(origins: str) -> None:
    with pytest.raises(ConfigurationError, match=r"write e\.g\. https://shop\.example"):
        Settings.read({"MOMENT_BROWSER_ORIGINS": origins})


def test_deadline_crowd_and_leave_are_set_by_the_environment() -> None:
    told = {"MOMENT_DEADLINE_MS": "250", "MOMENT_MOST_IN_FLIGHT": "8", "MOMENT_DRAIN_SECONDS": "0.5"}
    read = Settings.read(told)
    assert (read.deadline_ms, read.most_in_flight, read.drain_seconds) == (250, 8, 0.5)
    assert Settings().deadline_ms == 100
    with pytest.raises(ConfigurationError, match="MOMENT_DEADLINE_MS"):
        Settings.read({"MOMENT_DEADLINE_MS": "0"})


@pytest.mark.parametrize(("name", "most"), [("MOMENT_DRAIN_SECONDS", 3600), ("MOMENT_BODY_SECONDS", 300)])
def test_nobody_is_waited_for_without_end(name: str, most: int) -> None:
    Settings.read({name: str(most)})
    with pytest.raises(ConfigurationError, match=f"{name}: '{most + 1}' is more than {most}"):
        Settings.read({name: str(most + 1)})


def test_a_burst_of_no_rate_is_refused() -> None:
    with pytest.raises(
        ConfigurationError, match="MOMENT_RATE_BURST: has no effect without MOMENT_RATE_PER_KEY"
    ):
        Settings.read({"MOMENT_RATE_BURST": "10"})
    assert Settings.read({"MOMENT_RATE_BURST": "10", "MOMENT_RATE_PER_KEY": "5"}).bounds.burst == 10


def test_a_name_that_nobody_reads_is_told_with_the_nearest() -> None:
    told = {
        "MOMENT_HOME": "/home",
        "MOMENT_DRAIN_SECOND": "5",
        "MOMENT_XYZZY": "",
        "OTHER": "1",
        "MOMENT_LOG": "json",
    }
    assert unknown_names(told) == (
        "MOMENT_DRAIN_SECOND is no setting and is ignored; MOMENT_DRAIN_SECONDS is one.",
        "MOMENT_XYZZY is no setting and is ignored.",
    )
