"""The ``moment`` command: finds a subcommand by name and imports its module only then."""

from __future__ import annotations

import difflib
import importlib
import os
import sys
import time
from dataclasses import dataclass
from typing import NoReturn

import click

from moment import __version__
from moment.errors import MomentError
from moment.life import offices
from moment.private import keep_private


@dataclass(frozen=True, slots=True)
class Mounted:
    """Where a subcommand lives and what ``moment --help`` says of it without importing it."""

    module: str
    summary: str


COMMANDS: dict[str, Mounted] = {
    "demo": Mounted("moment.demo", "History to features, models and decisions over HTTP, in minutes."),
    "ingest": Mounted("features.cli", "Map a source onto the canonical tables of the lake."),
    "features": Mounted("features.cli", "Build, apply, materialize and document features."),
    "training-set": Mounted(
        "training.cli",
        "Assemble the training set of the propensity model: who was presented what, and what was known then.",
    ),
    "train": Mounted(
        "training.cli", "Train a model: out of time, against simpler contenders, into a bundle and MLflow."
    ),
    "retrain": Mounted(
        "moment.retrain",
        "Retrain: from recorded decisions and mature outcomes to challengers that have been through "
        "their gates.",
    ),
    "models": Mounted("moment.models", "Tell what is trained and what serves; approve, promote, roll back."),
    "findings": Mounted("serving.cli", "List, add and close findings."),
    "stop": Mounted("serving.cli", "Take an action, issue, channel or model off at once: one person."),
    "resume": Mounted("serving.cli", "Ask for a stop to be lifted, or agree with who asked: two people."),
    "catalogue": Mounted("serving.cli", "Check, show and compare catalogues; submit, publish, roll back."),
    "keys": Mounted("serving.cli", "Create, list, rotate and revoke API keys."),
    "serve": Mounted("serving.cli", "Keep the decision service up, and the Admin service beside it."),
    "decide": Mounted("serving.cli", "Decide for CUSTOMER here and now, without a server, and say why."),
    "batch": Mounted("serving.cli", "Decide for a whole population, into a file."),
    "decisions": Mounted("serving.cli", "Look at recorded decisions, as they come or one by one."),
    "case": Mounted("serving.cli", "Write all about a DECISION on one page, for a complaint."),
    "records": Mounted("serving.cli", "Look after the records of decisions."),
    "package": Mounted(
        "serving.cli",
        "Build Bentos of the services, with what serves in this home: all four, or those named.",
    ),
    "erase": Mounted("serving.cli", "Erase a customer, for good: from every store and every file of Moment."),
}


class LateGroup(click.Group):
    """A group whose subcommands are imported when called, so that ``--help`` costs nothing."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the names in the order in which people use them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import the module that owns ``cmd_name`` and return its command."""
        mounted = COMMANDS.get(cmd_name)
        if mounted is None:
            return None
        group: click.Group = importlib.import_module(mounted.module).cli
        return group.commands[cmd_name]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the summaries without importing anything."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, mounted.summary) for name, mounted in COMMANDS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, naming the nearest one on a slip of the pen."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            near = difflib.get_close_matches(args[0], COMMANDS, n=1)
            if near:
                message = f"{error.message.rstrip('.')}; did you mean `moment {near[0]}`?"
                raise click.UsageError(message, ctx) from None
            raise


@click.group(cls=LateGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="moment")
def cli() -> None:
    """Decide the next best action for a customer, and live the whole life of the models behind it.

    State is kept in MOMENT_HOME (default: .moment in the project) and mlruns/.

    \b
    Example:
      moment demo                      everything once, with a grocer's households
      moment decide 1228 --explain     one decision, and why
    """  # noqa: D301 - click reads the escaped b as "keep these lines as they are"


def main() -> None:
    """Run the command; every error Moment raises on purpose is one line and a non-zero exit."""
    keep_private()
    _quiet_vendors()
    try:
        sys.exit(cli.main(prog_name="moment", standalone_mode=False, obj=offices()))
    except MomentError as error:
        _fail(str(error), code=1)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        sys.exit(2)
    except click.UsageError as error:
        hint = error.ctx.command_path if error.ctx else "moment"
        _fail(f"{error.format_message()} (see `{hint} --help`)", code=2)
    except click.ClickException as error:
        _fail(error.format_message(), code=error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        _fail("interrupted; what was finished is kept, run the same command again to go on", code=130)
    except BrokenPipeError:
        _close_quietly()


def _quiet_vendors() -> None:
    """Set what libraries read once, at import: no telemetry, local time is UTC, idle threads do not spin."""
    quiet: dict[str, str] = {
        "BENTOML_DO_NOT_TRACK": "True",
        "DO_NOT_TRACK": "1",
        "FEAST_USAGE": "False",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        # Beside others on the same cores, waiting threads that spin cost several times the work itself
        "OMP_WAIT_POLICY": "PASSIVE",
        "TZ": "UTC",
    }
    os.environ.update(quiet)
    if hasattr(time, "tzset"):
        time.tzset()


def _fail(message: str, *, code: int) -> NoReturn:
    click.echo(f"moment: {message}", err=True)
    sys.exit(code)


def _close_quietly() -> None:
    """Leave without a traceback when the reader of our output is gone (``moment … | head``)."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(0)


if __name__ == "__main__":
    main()
