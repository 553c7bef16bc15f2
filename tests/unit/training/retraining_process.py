"""A retraining of four steps that each write down that they ran. A process of its own, to be killed."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import click

from moment.errors import DependencyError
from moment.home import Home
from training.retrain import NOTHING_NEW, Asked, Journal, Outcome, Outcomes, Reason, Stage, retrain

STEPS = ("decisions", "features", "train propensity", "enter propensity")


def main(root: Path, manner: str) -> None:
    home = Home(root / "home", root / "mlruns")
    ran, world = root / "ran", root / "world"

    def work(name: str) -> Outcome:
        with ran.open("a") as file:
            file.write(f"{name}\n")
        if manner == f"fails in {name}":
            raise DependencyError("the lake is on fire; put it out")
        if manner == f"nothing new in {name}":
            return {NOTHING_NEW: "it was all learned before"}
        return {"of": name}

    def pause_after(name: str) -> None:
        if manner == f"waits after {name}":
            (root / "waiting").touch()
            time.sleep(60)

    def stage(number: int, name: str) -> Stage:
        def inputs(_: Outcomes) -> str:
            # Whoever asks a step's inputs has finished the step before
            if number:
                pause_after(STEPS[number - 1])
            return world.read_text() if world.exists() else "as ever"

        return Stage(name, name.capitalize(), inputs, lambda _: work(name))

    def stages(_: Journal) -> list[Stage]:
        return [stage(number, name) for number, name in enumerate(STEPS)]

    journal = retrain(home, Asked(models=("propensity",)), stages, reason=Reason.SCHEDULE, note="nightly")
    pause_after(STEPS[-1])
    click.echo(journal.status)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else "")
