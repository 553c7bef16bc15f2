"""Many processes that act on the same models at once; run as a module by the test beside it.

Each says ``ready``, waits for the file ``go``, and acts as one of the people. What was acknowledged, or
refused, is a line in its own file.
"""

from __future__ import annotations

import os
import random
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import msgspec

from moment.errors import InvalidRequest
from serving.adapters.identifiers import utc_now
from serving.adapters.personal_signing import PersonalSigner
from serving.adapters.sqlite_keys import SqliteKeys
from serving.adapters.sqlite_life import SqliteLife
from serving.lifecycle import Model, Severity, StopKind
from serving.ports.life import Signer
from serving.use_cases.life import Life
from tests.unit.serving.life_kit import MACHINE


class Task(msgspec.Struct, frozen=True):
    """What actors do: `secrets` are the keys of those who act, `digests` the versions they act on."""

    folder: str
    secrets: tuple[str, ...]
    digests: tuple[str, ...]
    attempts: int


def act(life: Life, by: Signer, task: Task, chance: random.Random) -> str:
    """Do one of everything people quarrel over, and say what it was."""
    digest = chance.choice(task.digests)
    what: dict[str, Callable[[], object]] = {
        "promote": lambda: life.promote(Model.PROPENSITY, digest, "x", by),
        "roll_back": lambda: life.roll_back(Model.PROPENSITY, None, "x", by),
        "approve": lambda: life.approve(Model.PROPENSITY, digest, by=by),
        "stop": lambda: life.stop(StopKind.ACTION, chance.choice(["tea", "ham"]), "x", by),
        "resume": lambda: life.resume(chance.choice([*life.book().stops, "stop_0"]), by),
        "add_finding": lambda: life.add_finding(
            Model.PROPENSITY, digest, severity=Severity.LOW, section="data", blocks=True, reason="x", by=by
        ),
        "close_finding": lambda: life.close_finding(
            chance.choice([*life.book().findings, "finding_0"]), "x", by
        ),
        "install": lambda: life.install(Model.PROPENSITY, digest, reason="x"),
    }
    name = chance.choice(list(what))
    what[name]()
    return name


def run(task: Task, number: int) -> None:
    """Act, and write down what was acknowledged."""
    folder = Path(task.folder)
    path, chance = folder / "moment.db", random.Random(number)  # noqa: S311
    with (
        closing(SqliteKeys(path)) as keys,
        closing(SqliteLife(path, MACHINE, keys)) as ledger,
        (folder / f"actor{number}.out").open("w", buffering=1) as out,
    ):
        life = Life(ledger, folder / "bundles", utc_now, MACHINE)
        by = PersonalSigner(task.secrets[number % len(task.secrets)], keys)
        out.write("ready\n")
        while not (folder / "go").exists():
            time.sleep(0.005)
        for _ in range(task.attempts):
            try:
                out.write(f"{act(life, by, task, chance)}\n")
            except InvalidRequest as error:
                out.write(f"refused {error.code}\n")
        out.write("done\n")


if __name__ == "__main__":
    run(msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Task), int(sys.argv[2]))
    os._exit(0)
