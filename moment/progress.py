"""Progress on anything that takes longer than people like to wait.

Progress goes to standard error, so that standard output stays what a script reads. Where standard error
is no terminal, each step is one plain line.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)


class Step(Protocol):
    """A running step that can be told how far it has come."""

    def advance(self, amount: float = 1, *, note: str | None = None) -> None:
        """Move on by ``amount`` and, with ``note``, say what is being done now."""


class _SilentStep:
    def advance(self, amount: float = 1, *, note: str | None = None) -> None:
        """Ignore the news."""


class _BarStep:
    def __init__(self, progress: Progress, title: str, total: float | None) -> None:
        self._progress = progress
        self._title = title
        self._task = progress.add_task(title, total=total)

    def advance(self, amount: float = 1, *, note: str | None = None) -> None:
        title = f"{self._title} [dim]{note}[/dim]" if note else self._title
        self._progress.update(self._task, advance=amount, description=title)


SILENT: Step = _SilentStep()
"""The step of a caller who wants no news."""


@contextmanager
def step(title: str, *, total: float | None = None) -> Iterator[Step]:
    """Show a bar (or, without ``total``, a spinner) while the block runs, then one line with its time."""
    console = Console(stderr=True)
    started = time.monotonic()
    if console.is_terminal:
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}"),
            *((BarColumn(), MofNCompleteColumn()) if total else ()),
            TimeElapsedColumn(),
        )
        with Progress(*columns, console=console, transient=True) as progress:
            yield _BarStep(progress, title, total)
    else:
        yield SILENT
    console.print(f"[green]✓[/green] {title} [dim]{time.monotonic() - started:.1f} s[/dim]")
