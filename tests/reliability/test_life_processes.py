"""Eight processes act on the same models at once: for real, on one database.

Short here; ``MOMENT_RELIABILITY=full`` makes it 8,000 attempts.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from contextlib import closing
from pathlib import Path

import msgspec

from serving.adapters.database import migrate
from serving.adapters.identifiers import utc_now
from serving.adapters.personal_signing import PersonalSigner
from serving.adapters.sqlite_keys import SqliteKeys
from serving.adapters.sqlite_life import SqliteLife
from serving.lifecycle import Book, Model, State, check
from serving.ports import Role
from serving.use_cases.keys import create_personal_key
from serving.use_cases.life import Life
from tests.reliability.life_actors import Task
from tests.unit.serving.life_kit import MACHINE, PASSED, bundle

PROJECT = Path(__file__).parents[2]
PROCESSES = 8
ATTEMPTS = 1_000 if os.environ.get("MOMENT_RELIABILITY") == "full" else 25
PEOPLE = (
    ("Ada Byron", Role.RISK_OFFICER),
    ("Rosa Luxemburg", Role.RISK_OFFICER),
    ("Carl Gauss", Role.DATA_SCIENTIST),
    ("Olga Ladyzhenskaya", Role.OPERATOR),
)


def prepare(folder: Path) -> Task:
    """Make a database with four people and five versions of Carl's, three of them approved."""
    path = folder / "moment.db"
    migrate(path)
    with closing(SqliteKeys(path)) as keys, closing(SqliteLife(path, MACHINE, keys)) as ledger:
        secrets = [
            create_personal_key(keys, person=person, role=role, now=utc_now()).secret
            for person, role in PEOPLE
        ]
        ada, carl = PersonalSigner(secrets[0], keys), PersonalSigner(secrets[2], keys)
        life = Life(ledger, folder / "bundles", utc_now, MACHINE)
        made = [life.submit(bundle(folder / "bundles", content), carl) for content in "12345"]
        for version in made:
            life.judge(version.model, version.digest, PASSED, MACHINE)
        for version in made[:3]:
            life.approve(version.model, version.digest, by=ada)
    digests = tuple(version.digest for version in made)
    return Task(str(folder), tuple(secrets), digests, ATTEMPTS)


def run(folder: Path, task: Task) -> Counter[str]:
    """Let all of them act at once; return what was acknowledged."""
    (folder / "task.json").write_bytes(msgspec.json.encode(task))
    command = [
        sys.executable,
        "-W",
        "error",
        "-m",
        "tests.reliability.life_actors",
        str(folder / "task.json"),
    ]
    actors = [subprocess.Popen([*command, str(number)], cwd=PROJECT) for number in range(PROCESSES)]
    outs = [folder / f"actor{number}.out" for number in range(PROCESSES)]
    while not all(path.exists() and path.read_text() for path in outs):
        assert all(actor.poll() is None for actor in actors)
        time.sleep(0.02)
    (folder / "go").touch()
    assert [actor.wait(280) for actor in actors] == [0] * PROCESSES
    return Counter(line for path in outs for line in path.read_text().splitlines())


def test_no_act_is_lost_and_no_rule_broken(tmp_path: Path) -> None:
    task = prepare(tmp_path)
    said = run(tmp_path, task)
    assert said["done"] == PROCESSES
    acknowledged = sum(
        count for line, count in said.items() if not line.startswith(("refused", "ready", "done"))
    )
    path = tmp_path / "moment.db"
    with closing(SqliteKeys(path)) as keys, closing(SqliteLife(path, MACHINE, keys)) as ledger:
        entries = [one.entry for one in ledger.entries()]
        assert ledger.verify() == len(entries)
        assert len(entries) == 13 + acknowledged, "each acknowledged act is there, once"
        assert ledger.book() == Book.of(entries)
    book, kinds = Book(), Counter(type(entry.act).__name__ for entry in entries)
    for entry in entries:
        # Each act was allowed with exactly the acts before it: nobody acted on a book that was old
        check(book, entry.act, entry.by, entry.at)
        book = book.after(entry)
        champions = [one for one in book.of_model(Model.PROPENSITY) if one.state is State.CHAMPION]
        assert len(champions) <= 1
    assert kinds["Promoted"] >= 1, kinds
    assert kinds["Resumed"] >= 1, kinds
    assert said["refused not-now"] > 0, "some came too late"


def test_of_many_who_promote_one_version_one_does(tmp_path: Path) -> None:
    """The second sees what the first has done, however close they come."""
    task = prepare(tmp_path)
    path = tmp_path / "moment.db"
    script = (
        "import sys; from pathlib import Path; from contextlib import closing\n"
        "import time\n"
        "from moment.errors import InvalidRequest\n"
        "from serving.adapters.identifiers import utc_now\n"
        "from serving.adapters.personal_signing import PersonalSigner\n"
        "from serving.adapters.sqlite_keys import SqliteKeys\n"
        "from serving.adapters.sqlite_life import SqliteLife\n"
        "from serving.lifecycle import Model\n"
        "from serving.use_cases.life import Life\n"
        "from tests.unit.serving.life_kit import MACHINE\n"
        "path, go, secret, digest = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], sys.argv[4]\n"
        "with closing(SqliteKeys(path)) as keys, closing(SqliteLife(path, MACHINE, keys)) as ledger:\n"
        "    life, by = Life(ledger, path, utc_now, MACHINE), PersonalSigner(secret, keys)\n"
        "    life.book(); print('ready', flush=True)\n"
        "    while not go.exists(): time.sleep(0.001)\n"
        "    try: life.promote(Model.PROPENSITY, digest, 'x', by); print('promoted')\n"
        "    except InvalidRequest as error: print(error.code)\n"
    )
    actors = [
        subprocess.Popen(
            [sys.executable, "-c", script, path, tmp_path / "go", task.secrets[3], task.digests[0]],
            cwd=PROJECT,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    for actor in actors:
        assert actor.stdout is not None
        assert actor.stdout.readline() == "ready\n"
    (tmp_path / "go").touch()
    said = sorted(actor.communicate(timeout=60)[0].strip() for actor in actors)
    assert said == ["not-now", "not-now", "not-now", "promoted"]
