"""Swaps, rollbacks and stops under full load: no request fails, no answer mixes versions.

Two workers of the real service, channels that ask without a pause, and another process's acts in the ledger.
Short here; ``MOMENT_RELIABILITY=full`` makes it 100 swaps.
"""

from __future__ import annotations

import http.client
import json
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field

import click
import httpx
import pytest

from moment.home import Home
from serving.adapters.identifiers import utc_now
from serving.adapters.sqlite_shadows import SqliteShadows
from serving.bootstrap import open_keys
from serving.lifecycle import Book, Model, StopKind
from serving.ports import Scope
from serving.records import Mode
from serving.use_cases.keys import create_key
from tests.service.conftest import PROJECT, READY_SECONDS, Server, environment, moment
from tests.service.more_versions import Staff, at_work, policy, propensity

SWAPS = 100
CONNECTIONS = 8
SWAP_SECONDS = 60.0
"""How long opening a bundle may take on a busy machine, its proof in a child included."""
STOP_SECONDS = 1.0

# The short form is the story of tests/integration/training, which swaps and rolls back under load, too
pytestmark = [pytest.mark.timeout(1800), pytest.mark.long_form]

Triple = tuple[str, str, str]
"""The digests of the three models that decided: an empty one where no bundle did."""


@dataclass
class Seen:
    """One answer: when it was asked for, how it came out."""

    asked: float
    status: int
    versions: Triple
    actions: tuple[str, ...]
    approval: str
    degraded: tuple[str, ...]
    arms: tuple[tuple[str, str, str], ...]


@dataclass
class Asker(threading.Thread):
    """One connection that is kept and asked without a pause: it stays with one worker."""

    address: str
    secret: str
    number: int
    seen: list[Seen] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    done: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        super().__init__(name=f"asker-{self.number}", daemon=True)

    def __hash__(self) -> int:
        return id(self)

    def run(self) -> None:
        connection = http.client.HTTPConnection(self.address, timeout=30)
        headers = {"Authorization": f"Bearer {self.secret}", "Content-Type": "application/json"}
        # A customer of its own: what others are given at the same time would have it decide again
        body = {
            "customer_id": str(1 + self.number),
            "channel": "web",
            "placements": [{"name": "home"}],
        }
        while not self.done.is_set():
            asked = time.monotonic()
            try:
                connection.request("POST", "/v1/decisions", json.dumps(body), headers)
                answer = connection.getresponse()
                content = answer.read()
            except (OSError, http.client.HTTPException) as error:
                self.failed.append(type(error).__name__)
                connection.close()
                continue
            if answer.status != 200:
                self.failed.append(f"{answer.status} {content.decode()}")
                continue
            self.seen.append(_seen(asked, json.loads(content)))
        connection.close()


def _seen(asked: float, told: dict[str, object]) -> Seen:
    versions, placements = told["versions"], told["placements"]
    assert isinstance(versions, dict)
    assert isinstance(placements, list)
    experiments = told["experiments"]
    assert isinstance(experiments, list)
    return Seen(
        asked,
        200,
        (versions["segmentation"], versions["propensity"], versions["policy"]),
        tuple(offer["action"] for one in placements for offer in one["offers"]),
        str(told["approval"]),
        tuple(told["degraded"]),  # type: ignore[arg-type]
        tuple((one["layer"], one["experiment"], one["arm"]) for one in experiments),
    )


def champions(book: Book) -> Triple:
    """Return the digests of what the ledger says decides."""
    found = [book.champion(model) for model in (Model.SEGMENTATION, Model.PROPENSITY, Model.NEXT_BEST_ACTION)]
    first, second, third = ("" if one is None else one.digest for one in found)
    return first, second, third


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A home whose three champions are in the ledger; there is no MLflow, and nothing of it on the disk."""
    root = tmp_path_factory.mktemp("swaps")
    made = Home(root / "home", root / "mlruns")
    command = [sys.executable, "-m", "tests.service.make_home", str(root)]
    subprocess.run(command, env=environment(made), cwd=PROJECT, check=True, timeout=300)
    with at_work(made) as staff:
        for bundle in sorted(made.bundles.glob("segmentation/[0-9a-f]*")):
            staff.champion(bundle)
        staff.champion(propensity(made, 0))
        staff.champion(policy(made, 0))
    assert not made.mlruns.exists()
    return made


@pytest.fixture(scope="module")
def server(home: Home) -> Iterator[Server]:
    """``moment serve`` with two workers, in an environment that could not import MLflow."""
    nowhere = home.root.parent / "nowhere"
    nowhere.mkdir()
    (nowhere / "mlflow.py").write_text("raise ImportError('there is no MLflow here')\n", "utf-8")
    keys = open_keys(home)
    made = create_key(keys, mode=Mode.LIVE, scopes=frozenset(Scope), channel=None, label="", now=utc_now())
    keys.close()
    process = subprocess.Popen(
        [sys.executable, "-m", "moment.cli", "serve", "--port", "0", "--workers", "2"],
        env=environment(home)
        | {"MOMENT_LOG": "json", "MOMENT_DEADLINE_MS": "20000", "PYTHONPATH": str(nowhere)},
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    server = Server(process, home, made.secret)
    reader = threading.Thread(target=server.read, daemon=True)
    reader.start()
    deadline = time.monotonic() + 2 * READY_SECONDS
    while not server.admin_url and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.1)
    try:
        assert server.url, server.output
        yield server
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.wait(60)
        reader.join(10)
        assert process.stdout is not None
        process.stdout.close()
    assert process.returncode == 0, server.output


@pytest.fixture
def askers(server: Server) -> Iterator[list[Asker]]:
    """Eight connections, spread over both workers, that are asked as long as the test runs."""
    address = server.url.removeprefix("http://")
    crowd = [Asker(address, server.key, number) for number in range(CONNECTIONS)]
    for one in crowd:
        one.start()
    until(lambda: all(one.seen for one in crowd), 60)
    yield crowd
    for one in crowd:
        one.done.set()
    for one in crowd:
        one.join(30)


def until(reached: Callable[[], bool], seconds: float) -> float:
    """Wait for something and return how long it took."""
    started = time.monotonic()
    while not reached():
        assert time.monotonic() - started < seconds, "it did not come about in time"
        time.sleep(0.005)
    return time.monotonic() - started


def gauge(server: Server, name: str) -> float:
    """Return a gauge of the Admin service; the least of all workers."""
    answer = httpx.get(
        f"{server.admin_url}/metrics",
        headers={"authorization": f"Bearer {server.key}"},
        trust_env=False,
        timeout=30,
    )
    found = re.search(rf"^{name} (\S+)$", answer.text, re.MULTILINE)
    assert found is not None, answer.text
    return float(found[1])


def test_swaps_and_rollbacks_under_load_fail_no_request_and_mix_no_versions(
    server: Server, home: Home, askers: list[Asker]
) -> None:
    bundles = [make(home, number) for number in range(1, SWAPS // 4 + 1) for make in (propensity, policy)]
    took: list[float] = []
    with at_work(home) as staff:
        had = {champions(staff.life.book())}
        for bundle in bundles:
            version = staff.champion(bundle)
            had.add(champions(staff.life.book()))
            took.append(_followed(staff, askers))
            staff.roll_back(version.model)
            had.add(champions(staff.life.book()))
            took.append(_followed(staff, askers))
        last = champions(staff.life.book())
        seq = staff.life.seq()
    until(lambda: gauge(server, "moment_ledger_seq") == seq, 5)
    for one in askers:
        one.done.set()
    for one in askers:
        one.join(30)
    answers = [seen for one in askers for seen in one.seen]
    assert [failure for one in askers for failure in one.failed] == []
    assert {seen.versions for seen in answers} <= had
    assert len({seen.versions for seen in answers}) == len(bundles) + 1
    assert {seen.approval for seen in answers} == {"approved"}
    assert {one.seen[-1].versions for one in askers} == {last}
    took.sort()
    click.echo(
        f"\n{len(took)} swaps, {len(answers)} answers: on every connection after "
        f"{took[len(took) // 2]:.2f} s (median), {took[-1]:.2f} s (longest)"
    )
    assert server.output.count('"swapped"') >= len(took)


def _followed(staff: Staff, askers: list[Asker]) -> float:
    """Wait until each connection was answered by the champions, and return how long that took."""
    wanted = champions(staff.life.book())
    return until(lambda: all(one.seen[-1].versions == wanted for one in askers), SWAP_SECONDS)


def test_a_stop_holds_on_every_worker_within_a_second_and_two_people_lift_it(
    server: Server, home: Home, askers: list[Asker]
) -> None:
    shown = [action for one in askers for seen in one.seen for action in seen.actions]
    action = max(set(shown), key=shown.count)
    with at_work(home) as staff:
        stop = staff.life.stop(StopKind.ACTION, action, "the price is wrong", staff.carl)
        at = time.monotonic()
        until(lambda: all(one.seen[-1].asked > at + 2 * STOP_SECONDS for one in askers), 30)
        late = [seen.asked - at for one in askers for seen in one.seen if action in seen.actions]
        assert max(late) < STOP_SECONDS
        assert gauge(server, "moment_ledger_seq") == staff.life.seq()
        click.echo(f"\nlast shown on any connection {max(late):.2f} s after the stop")

        assert staff.life.resume(stop.stop_id, staff.olga) is not None
        until(lambda: gauge(server, "moment_ledger_seq") == staff.life.seq(), 5)
        again = time.monotonic()
        until(lambda: all(one.seen[-1].asked > again + 1 for one in askers), 30)
        assert not any(action in seen.actions for one in askers for seen in one.seen if seen.asked > again)
        assert staff.life.resume(stop.stop_id, staff.ada) is None
        lifted = time.monotonic()
        until(
            lambda: all(
                any(action in seen.actions for seen in one.seen[-40:] if seen.asked > lifted)
                for one in askers
            ),
            10,
        )
    assert [failure for one in askers for failure in one.failed] == []
    assert all(seen.degraded == () for one in askers for seen in one.seen)


def test_a_challenger_is_asked_beside_and_decides_for_its_share(
    server: Server, home: Home, askers: list[Asker]
) -> None:
    with at_work(home) as staff:
        made = staff.approved(propensity(home, 500))
        before = askers[0].seen[-1].versions
        staff.life.challenge(made.model, made.digest, shadow=1.0, routed=0.5, by=staff.carl)
        until(lambda: made.digest in {one.seen[-1].versions[1] for one in askers}, SWAP_SECONDS)
        again = time.monotonic()
        until(lambda: all(len([seen for seen in one.seen if seen.asked > again + 1]) for one in askers), 60)
        # Each connection asks for one customer, who is in one arm as long as it goes on
        for one in askers:
            assert len({seen.versions[1] for seen in one.seen if seen.asked > again + 1}) == 1
        drawn = {one.seen[-1].versions[1] for one in askers}
        assert drawn <= {before[1], made.digest}
        challenged = [one for one in askers if one.seen[-1].versions[1] == made.digest]
        arms = {arm for one in challenged for arm in one.seen[-1].arms}
        assert arms == {("models", "propensity", made.version)}
        staff.life.challenge(made.model, made.digest, by=staff.carl)
        until(lambda: {one.seen[-1].versions for one in askers} == {before}, 30)
    assert [failure for one in askers for failure in one.failed] == []
    with closing(SqliteShadows(home.database, None)) as shadows:
        until(lambda: bool(shadows.said("propensity", made.digest)), 10)
        said = shadows.said("propensity", made.digest)[0]
    done = moment(home, "decisions", "show", said.decision_id, "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert [one["digest"] for one in told["shadows"]] == [made.digest]
    assert told["versions"]["propensity"] == before[1]
    replayed = moment(home, "decisions", "replay", said.decision_id)
    assert replayed.returncode == 0, replayed.stdout


def test_a_refused_champion_leaves_the_last_good_one_deciding_and_everything_ready(
    server: Server, home: Home, askers: list[Asker]
) -> None:
    before = askers[0].seen[-1].versions
    bundle = propensity(home, 999)
    with at_work(home) as staff:
        made = staff.approved(bundle)
        (bundle / "model.json").write_bytes(b"{}")
        staff.life.promote(made.model, made.digest, "better", staff.olga)
        seq = staff.life.seq()
        until(lambda: gauge(server, "moment_ledger_seq") == seq, 10)
        until(lambda: sum("refused (digest)" in line for line in server.lines) == 2, SWAP_SECONDS)
        with server.client() as client:
            ready = client.get("/readyz")
        assert (ready.status_code, ready.json()["versions"]["propensity"]) == (200, before[1])
        staff.roll_back(Model.PROPENSITY)
    assert [failure for one in askers for failure in one.failed] == []
    assert {seen.versions for one in askers for seen in one.seen} == {before}
