"""Rows kept as a model was trained on them, so that it can be made again: one parquet file per set of rows.

A file is called by the SHA-256 of its content. Beside it stands what it holds now: erasing a customer takes
their rows out and says how many are missing since, which is told apart from damage.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from features import lake
from moment.errors import DependencyError
from moment.home import Home

CUSTOMER = "customer_id"
"""The column every kept row has: whose it is."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What stands beside a file of rows.

    Parameters
    ----------
    rows
        How many there were when they were kept.
    sha256
        Of the file as it is, or is about to be.
    before
        Of the file as it was until it was last written anew: right as long as that is not finished.
    left
        How many rows it holds.
    """

    rows: int
    sha256: str
    before: str
    left: int

    @property
    def erased(self) -> int:
        """How many rows are missing because their customers were erased."""
        return self.rows - self.left


def rows_file(home: Home, name: str) -> Path:
    """Return where a set of rows is."""
    return home.training_sets / f"{name}.parquet"


def keep(home: Home, rows: pa.Table) -> str:
    """Keep rows and return their name; the same rows kept again change nothing.

    Whoever was erased while a model was being trained is left out: their rows were read before, and whoever
    erases has cleared the lake before it comes here.

    Raises
    ------
    ValueError
        They do not say whose they are.
    """
    if CUSTOMER not in rows.column_names:
        raise ValueError(f"kept rows need a column {CUSTOMER}, so that erasing somebody reaches them")
    home.training_sets.mkdir(parents=True, exist_ok=True)
    with _alone(home):
        there = pc.is_in(rows[CUSTOMER], value_set=pa.array(_still_known(home), pa.string()))
        beside = home.training_sets / f".{os.getpid()}.partial"
        pq.write_table(rows.filter(there), beside, compression="zstd")
        name = _sha256(beside)
        if _state_file(home, name).is_file() and rows_file(home, name).is_file():
            beside.unlink()
            return name
        _write_state(home, name, Kept(rows.num_rows, name, name, pc.sum(there).as_py() or 0))
        beside.replace(rows_file(home, name))
    return name


def read(home: Home, name: str) -> tuple[pa.Table, Kept]:
    """Return kept rows as far as they are still there, and what is said of them.

    Raises
    ------
    DependencyError
        They are gone, or the file is not what was kept.
    """
    file, state = rows_file(home, name), _state_file(home, name)
    where = f"the rows {name[:12]} in {home.training_sets.name}/"
    if not file.is_file() or not state.is_file():
        raise DependencyError(f"{where} are gone; restore a backup, or train again")
    kept = _kept(state)
    if _sha256(file) not in (kept.sha256, kept.before):
        raise DependencyError(f"{where} are damaged: the file is not the one that was kept; restore a backup")
    rows = pq.read_table(file)
    return rows, Kept(kept.rows, kept.sha256, kept.before, rows.num_rows)


def counted(home: Home, count: Callable[[Path], int]) -> dict[str, int]:
    """Return by name what somebody counts in each set of rows; whoever keeps rows is waited for."""
    if not home.training_sets.is_dir():
        return {}
    with _alone(home):
        return {file.name: count(file) for file in sorted(home.training_sets.glob("*.parquet"))}


def without(home: Home, rewrite: Callable[[Path, Path], int]) -> int:
    """Write every set of rows anew that has rows of somebody, and return how many were taken out.

    Parameters
    ----------
    rewrite
        Writes the first file's rows that may stay to the second and returns how many may not; where all may,
        it writes nothing.
    """
    if not home.training_sets.is_dir():
        return 0
    with _alone(home):
        for interrupted in (*home.training_sets.glob(".*.partial"), *home.training_sets.glob(".*.erasing")):
            interrupted.unlink(missing_ok=True)
        return sum(_without(home, file, rewrite) for file in sorted(home.training_sets.glob("*.parquet")))


def _without(home: Home, file: Path, rewrite: Callable[[Path, Path], int]) -> int:
    name, beside = file.stem, file.with_name(f".{file.stem}.erasing")
    gone = rewrite(file, beside)
    if gone:
        left = pq.read_metadata(beside).num_rows
        state = _state_file(home, name)
        known = _kept(state).rows if state.is_file() else left + gone
        # The new file's digest first: whoever reads in between finds the old file, which `before` knows
        _write_state(home, name, Kept(known, _sha256(beside), _sha256(file), left))
        beside.replace(file)
    return gone


def _still_known(home: Home) -> list[str]:
    with lake.connect(home) as connection:
        found = connection.execute(
            "SELECT customer_id FROM customers UNION SELECT customer_id FROM presentations"
        ).fetchall()
    return [str(row[0]) for row in found]


@contextmanager
def _alone(home: Home) -> Iterator[None]:
    """Wait until nobody else keeps or takes out rows; both take a second or two."""
    with (home.training_sets / ".lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _state_file(home: Home, name: str) -> Path:
    return home.training_sets / f"{name}.json"


def _kept(state: Path) -> Kept:
    try:
        return Kept(**json.loads(state.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise DependencyError(f"{state.name} beside kept rows cannot be read; restore a backup") from error


def _write_state(home: Home, name: str, kept: Kept) -> None:
    file = _state_file(home, name)
    beside = file.with_name(f".{file.name}.{os.getpid()}")
    beside.write_text(json.dumps(asdict(kept), sort_keys=True) + "\n", encoding="utf-8")
    beside.replace(file)


def _sha256(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
