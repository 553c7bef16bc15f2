"""Bentos, built and served for real: they answer as the development server does, without training."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from moment.home import Home
from serving.bundles import BundleKey, current
from serving.bundles.proving import vouch
from tests.service.conftest import PROJECT, environment

pytestmark = pytest.mark.timeout(600)

READY_SECONDS = 200
SECRET = secrets.token_hex(16)
CANARY = "canary-2b9d"
"""A feature's value that may be nowhere in what a service prints."""

BLOCKED = ("evidently", "matplotlib", "mlflow", "nvidia", "optuna", "sklearn", "training")
"""What a machine that only serves has not got."""

_BLOCKER = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {blocked}:
            raise ImportError(name + " is not for serving", name=name)

sys.meta_path.insert(0, Blocked())
"""


@pytest.fixture(scope="module")
def signed(home: Home) -> Home:
    """The home, whose bundles somebody vouches for."""
    signer = BundleKey.of_home(home.keys)
    for model in ("propensity", "segmentation"):
        vouch(current(home.bundles, model), signer)
    return home


@dataclass(frozen=True)
class Packaged:
    """What ``moment package --json`` told of one Bento."""

    told: Mapping[str, Any]

    @property
    def tag(self) -> str:
        return str(self.told["tag"])

    @property
    def source(self) -> Path:
        return Path(str(self.told["path"])) / "src"

    def requirements(self) -> set[str]:
        lines = (self.source / "requirements.txt").read_text().splitlines()
        return {line.partition("==")[0] for line in lines}


def _package(home: Home, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run ``moment package``, which takes its time where others work too."""
    command = [sys.executable, "-m", "moment.cli", "package", *arguments]
    return subprocess.run(
        command, env=environment(home), cwd=PROJECT, capture_output=True, text=True, check=False, timeout=500
    )


@pytest.fixture(scope="module")
def bentos(signed: Home, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Packaged]:
    """All four Bentos."""
    out = tmp_path_factory.mktemp("archives")
    done = _package(signed, "--json", "--out", str(out))
    assert done.returncode == 0, done.stderr
    return {str(one["service"]): Packaged(one) for one in json.loads(done.stdout)}


@contextmanager
def serving(
    target: str, home: Home, folder: Path, *, blocked: Sequence[str] = (), **more: str
) -> Iterator[str]:
    """Run ``bentoml serve`` while the block lasts; yield its address once it is ready."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    told = environment(home) | {
        "BENTOML_HOME": str(home.root / "bentoml"),
        "BENTOML_DO_NOT_TRACK": "True",
        "MOMENT_PORT": str(port),
        "MOMENT_LOG": "json",
        "MOMENT_DEADLINE_MS": "10000",
        **more,
    }
    told.pop("PROMETHEUS_MULTIPROC_DIR", None)
    if blocked:
        (folder / "sitecustomize.py").write_text(_BLOCKER.format(blocked=set(blocked)))
        told["PYTHONPATH"] = str(folder)
    log = folder / f"serve-{port}.log"
    command = [sys.executable, "-m", "bentoml", "serve", target]
    with log.open("w") as output:
        process = subprocess.Popen(command, env=told, cwd=folder, stdout=output, stderr=output)
    url = f"http://127.0.0.1:{port}"
    try:
        _wait(url, process, log)
        yield url
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)
        assert CANARY not in log.read_text()
        assert SECRET not in log.read_text()


def _wait(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx.get(f"{url}/readyz", trust_env=False, timeout=5).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.2)
    pytest.fail(f"not ready: {log.read_text()[-2000:]}")


def _client(url: str, secret: str) -> httpx.Client:
    return httpx.Client(
        base_url=url, headers={"authorization": f"Bearer {secret}"}, trust_env=False, timeout=30
    )


SCORING_KEY = {"MOMENT_SCORING_KEY_SHA256": hashlib.sha256(SECRET.encode()).hexdigest()}


def _features(home: Home, **known: object) -> dict[str, object]:
    contract = json.loads((current(home.bundles, "propensity") / "contract.json").read_text())
    return {spec["name"]: None for spec in contract["features"]} | known


def test_a_bento_holds_code_pins_and_champions_and_nothing_of_training(bentos: dict[str, Packaged]) -> None:
    assert set(bentos) == {"Decisioning", "Segmentation", "Propensity", "NextBestAction"}
    for one in bentos.values():
        assert not (one.source / "training").exists()
        assert not one.requirements() & {
            "evidently",
            "matplotlib",
            "mlflow",
            "optuna",
            "scikit-learn",
            "mypy",
        }
        assert "nvidia-nccl-cu12" not in one.requirements()
        assert {"bentoml", "litestar", "msgspec"} <= one.requirements()
        assert float(one.told["mebibytes"]) < 5
        assert Path(str(one.told["archive"])).stat().st_size > 0
        brought = {path.parent.name for path in one.source.glob("packaged/bundles/*/CURRENT")}
        assert brought == set(one.told["brings"]) - {"catalogue"}
        assert len(list(one.source.glob("packaged/bundles/*/*/signature.json"))) == len(brought)
        assert (one.source / "packaged" / "bundles.trusted.json").is_file()
    assert "feast" in bentos["Decisioning"].requirements()
    assert not bentos["Propensity"].requirements() & {"feast", "pandas", "pyarrow", "duckdb"}
    # This home's propensity model has trees, its segmentation has not
    assert "xgboost" in bentos["Propensity"].requirements()
    assert "xgboost" not in bentos["Segmentation"].requirements()


def test_the_same_content_is_the_same_version(signed: Home, bentos: dict[str, Packaged]) -> None:
    told = _package(signed, "segmentation").stdout
    assert f"bentoml serve {bentos['Segmentation'].tag}" in told
    assert f"BENTOML_HOME={signed.root}/bentoml" in told


def test_an_unsigned_bundle_is_not_packaged(signed: Home, tmp_path: Path) -> None:
    bundles = tmp_path / "home" / "bundles"
    shutil.copytree(signed.bundles, bundles)
    for signature in bundles.glob("*/*/signature.json"):
        signature.unlink()
    done = _package(Home(tmp_path / "home", tmp_path / "mlruns"), "Segmentation")
    assert done.returncode == 1
    assert "refused" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.long_form
def test_decisioning_answers_as_the_development_server_does(
    signed: Home, key: str, bentos: dict[str, Packaged], sure_catalogue: Path, tmp_path: Path
) -> None:
    """A dozen requests to each, of a catalogue without chance and limits: they answer alike, but for ids."""
    asked: list[dict[str, Any]] = [
        {
            "customer_id": customer,
            "channel": "web",
            "placements": [{"name": placement}],
            "context": {"time": "2018-01-02T18:00:00Z"},
            "include": ["scores"],
            "request_id": f"packaging-{customer}-{placement}",
        }
        for customer in ("1", "2", "3", "nobody")
        for placement in ("home", "checkout", "nowhere")
    ]
    told = []
    for number, target in enumerate(("serving.service:Decisioning", bentos["Decisioning"].tag)):
        folder = tmp_path / str(number)
        folder.mkdir()
        blocked = () if number == 0 else BLOCKED
        settings = {"MOMENT_CATALOGUE": str(sure_catalogue)}
        with serving(target, signed, folder, blocked=blocked, **settings) as url, _client(url, key) as client:
            versions = client.get("/readyz").json()
            answers = [
                client.post("/v1/decisions", json=one | {"request_id": f"{number}-{one['request_id']}"})
                for one in asked
            ]
            told.append((versions, [(one.status_code, _comparable(one.json())) for one in answers]))
            assert httpx.post(f"{url}/v1/decisions", json=asked[0], trust_env=False).status_code == 401
    assert told[0] == told[1]
    assert {status for status, _ in told[0][1]} == {200, 422}


def _comparable(answer: dict[str, Any]) -> dict[str, Any]:
    """Return an answer without the ids that Moment makes anew for each."""
    return {
        name: [
            placement
            | {
                "offers": [
                    {k: v for k, v in offer.items() if k != "tracking_id"} for offer in placement["offers"]
                ]
            }
            for placement in value
        ]
        if name == "placements"
        else value
        for name, value in answer.items()
        if name != "decision_id"
    }


@pytest.mark.long_form
def test_a_model_answers_as_the_development_server_does_alone(
    signed: Home, bentos: dict[str, Packaged], tmp_path: Path
) -> None:
    """The Bento has neither home nor training libraries; a dozen requests, right and wrong ones."""
    known = _features(signed, days_since_purchase=3)
    row = {"features": known, "actions": ["coupon-beef", "coupon-coffee"]}
    asked: list[dict[str, Any]] = [
        {"rows": [row]},
        {"rows": [row, {"features": None, "actions": ["coupon-beef"]}]},
        {"rows": [row | {"slots": 3}] * 300},
        {"rows": [{"features": dict(reversed(known.items())), "actions": row["actions"]}]},
        {"rows": []},
        {"rows": [row | {"actions": ["coupon-of-nothing"]}]},
        {"rows": [row | {"actions": ["coupon-beef", "coupon-beef"]}]},
        {"rows": [row | {"features": known | {"days_since_purchase": CANARY}}]},
        {"rows": [row | {"features": {k: v for k, v in known.items() if k != "days_since_purchase"}}]},
        {"rows": [row | {"features": known | {"shoe_size": 44}}]},
        {"rows": [row], "more": 1},
        {"customer": CANARY},
    ]
    told = []
    for number, target in enumerate(("serving.services.propensity:Propensity", bentos["Propensity"].tag)):
        folder = tmp_path / str(number)
        folder.mkdir()
        home = signed if number == 0 else Home(folder / "none", folder / "mlruns")
        store = {"BENTOML_HOME": str(signed.root / "bentoml")}
        blocked = () if number == 0 else (*BLOCKED, "feast", "pandas", "pyarrow", "duckdb", "ibis")
        with (
            serving(target, home, folder, blocked=blocked, **SCORING_KEY, **store) as url,
            _client(url, SECRET) as client,
        ):
            answers = [client.post("/v1/scores/propensity", json=one) for one in asked]
            told.append([(one.status_code, one.headers["content-type"], one.json()) for one in answers])
            assert {client.get(path).status_code for path in ("/", "/metrics", "/schema.json")} == {404}
            assert client.post("/rows", json=[{}]).status_code == 404
            other = {"authorization": "Bearer another"}
            assert client.post("/v1/scores/propensity", json=asked[0], headers=other).status_code == 401
            assert client.get("/openapi.json").json()["paths"].keys() >= {"/v1/scores/propensity"}
    assert told[0] == told[1]
    assert [status for status, _, _ in told[1]] == [200] * 4 + [422] * 8
    first, second, many, reordered = (answer for status, _, answer in told[1] if status == 200)
    assert second["rows"][0] == first["rows"][0] == reordered["rows"][0]
    assert many["rows"] == [many["rows"][0]] * 300
    assert {problem["code"] for status, _, problem in told[1] if status == 422} == {
        "invalid-value",
        "missing-field",
        "unknown-action",
        "unknown-field",
    }
    assert CANARY not in json.dumps(told)


def test_a_model_never_starts_open(signed: Home, bentos: dict[str, Packaged], tmp_path: Path) -> None:
    told = environment(Home(tmp_path / "none", tmp_path / "mlruns"))
    told |= {"BENTOML_HOME": str(signed.root / "bentoml"), "BENTOML_DO_NOT_TRACK": "True"}
    command = [sys.executable, "-m", "bentoml", "serve", bentos["Segmentation"].tag]
    done = subprocess.run(
        command, env=told, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 1
    assert "no key opens this model" in done.stderr
    assert "Traceback" not in done.stderr


def test_code_pins_and_champion_make_a_machine_of_their_own(
    signed: Home, bentos: dict[str, Packaged], tmp_path: Path
) -> None:
    """The recipe's environment, made for real without dependencies of dependencies, scores without CUDA's."""
    uv = str(Path(sys.executable).with_name("uv"))
    venv = tmp_path / "venv"
    subprocess.run([uv, "venv", "-q", "--python", sys.executable, str(venv)], check=True, timeout=60)
    pins = bentos["Propensity"].source / "requirements.txt"
    install = [uv, "pip", "install", "-q", "--offline", "--no-deps", "--python", str(venv), "-r", str(pins)]
    done = subprocess.run(install, capture_output=True, text=True, check=False, timeout=240)
    if done.returncode:
        pytest.skip("the packages are not in uv's cache, and tests ask no network")
    python = venv / "bin" / "python"
    names = "('nvidia', 'mlflow', 'sklearn', 'optuna', 'training', 'pandas', 'feast')"
    probe = f"import importlib.util as u; print([n for n in {names} if u.find_spec(n)])"
    run = subprocess.run(
        [python, "-I", "-c", probe], cwd="/", capture_output=True, text=True, check=True, timeout=60
    )
    assert run.stdout.strip() == "[]"
    score = (
        "import sys; sys.path.insert(0, '.')\n"
        "from pathlib import Path\n"
        "from serving.packaging.packaged import settle, Packaged\n"
        "settle(Path.cwd())\n"
        "from serving.bundles import Trust, current, open_proved_propensity\n"
        "p = Packaged.find()\n"
        "b = open_proved_propensity(current(p.bundles, 'propensity'), Trust.read(p.trust))\n"
        "print(b.digest)"
    )
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    run = subprocess.run(
        [python, "-c", score],
        cwd=bentos["Propensity"].source,
        env=clean,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert run.stdout.strip() == bentos["Propensity"].told["brings"]["propensity"], run.stderr
