"""What every allowance promises, asked of each; and of the shared one, by several processes at once."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moment.errors import DependencyError, InvalidRequest
from serving.adapters.file_rates import SharedAllowance, forget_old
from serving.adapters.memory import FixedClock
from serving.adapters.rates import MemoryAllowance, next_turn
from serving.ports import Allowance, Bounds
from serving.use_cases.allowance import PersonalAllowance

NOW = datetime(2026, 5, 1, 18, 30, tzinfo=UTC)
SECOND = timedelta(seconds=1)
FIVE = Bounds(per_second=5, burst=10)
THREE = Bounds(customers_per_hour=3)


@pytest.fixture(params=["memory", "shared"])
def allowance(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Allowance]:
    if request.param == "memory":
        yield MemoryAllowance()
        return
    shared = SharedAllowance(tmp_path / "allowances", lambda customer_id: f"ref of {customer_id}")
    yield shared
    shared.close()


def test_a_burst_passes_and_then_one_at_a_time(allowance: Allowance) -> None:
    assert [allowance.take("a", FIVE, NOW) for _ in range(10)] == [0.0] * 10
    assert allowance.take("a", FIVE, NOW) == pytest.approx(0.2, abs=1e-5)
    assert allowance.take("a", FIVE, NOW + 0.1 * SECOND) == pytest.approx(0.1, abs=1e-5)
    assert allowance.take("a", FIVE, NOW + 0.2 * SECOND) == 0
    assert allowance.take("a", FIVE, NOW + 0.2 * SECOND) > 0


def test_keys_do_not_take_from_each_other(allowance: Allowance) -> None:
    for _ in range(10):
        allowance.take("a", FIVE, NOW)
    assert allowance.take("b", FIVE, NOW) == 0
    assert allowance.take("a", FIVE, NOW) > 0


def test_after_a_rest_there_is_one_burst_not_more(allowance: Allowance) -> None:
    later = NOW + timedelta(days=1)
    assert [allowance.take("a", FIVE, later) > 0 for _ in range(12)] == [False] * 10 + [True] * 2


def test_a_clock_set_back_locks_nobody_out(allowance: Allowance) -> None:
    allowance.take("a", FIVE, NOW + timedelta(days=1))
    assert allowance.take("a", FIVE, NOW) <= 0.2 + 1e-5
    assert allowance.take("a", FIVE, NOW + SECOND) == 0


@given(
    rate=st.floats(0.1, 1000),
    burst=st.integers(1, 50),
    pauses=st.lists(st.floats(0, 2), min_size=1, max_size=60),
)
def test_in_any_stretch_of_time_no_more_pass_than_rate_and_burst(
    rate: float, burst: int, pauses: list[float]
) -> None:
    bounds, turn, instant = Bounds(per_second=rate, burst=burst), 0.0, 1e6
    passed: list[float] = []
    for pause in pauses:
        instant += pause
        turn, wait = next_turn(turn, instant, bounds)
        if wait == 0:
            passed.append(instant)
        else:
            # Whoever waits as long as they are told passes
            assert next_turn(turn, instant + wait, bounds)[1] == 0
    for first, start in enumerate(passed):
        for last in range(first, len(passed)):
            assert last - first + 1 <= burst + (passed[last] - start) * rate + 1e-3


def test_different_customers_are_counted_and_the_same_not_again(allowance: Allowance) -> None:
    for customer in ("anna", "ben", "anna", "cleo", "ben", "anna"):
        assert allowance.ask_about("a", customer, THREE, NOW) == 0
    assert allowance.ask_about("a", "dora", THREE, NOW) == 1800
    assert allowance.ask_about("a", "anna", THREE, NOW) == 0
    assert allowance.ask_about("b", "dora", THREE, NOW) == 0


def test_a_new_hour_of_the_clock_starts_anew(allowance: Allowance) -> None:
    for customer in ("anna", "ben", "cleo"):
        allowance.ask_about("a", customer, THREE, NOW)
    last = NOW + timedelta(minutes=30) - SECOND
    assert allowance.ask_about("a", "dora", THREE, last) == 1
    for customer in ("dora", "emil", "fritz"):
        assert allowance.ask_about("a", customer, THREE, last + SECOND) == 0
    assert allowance.ask_about("a", "anna", THREE, last + SECOND) > 0


def test_a_refusal_says_how_long_to_wait() -> None:
    clock, allowance = FixedClock(NOW), MemoryAllowance()
    personal = PersonalAllowance("a", Bounds(1, 1, 1), allowance, clock)
    personal.take()
    with pytest.raises(InvalidRequest) as refused:
        personal.take()
    assert refused.value.code == "rate-limited"
    assert refused.value.retry_after == pytest.approx(1, abs=1e-3)
    personal.ask_about("anna")
    with pytest.raises(InvalidRequest) as refused:
        personal.ask_about("ben")
    assert (refused.value.code, refused.value.retry_after) == ("too-many-customers", 1800)
    assert "ben" not in str(refused.value)


WORKER = """
import sys
from datetime import datetime
from pathlib import Path
from serving.adapters.file_rates import SharedAllowance
from serving.ports import Bounds

folder, number, now = Path(sys.argv[1]), int(sys.argv[2]), datetime.fromisoformat(sys.argv[3])
shared = SharedAllowance(folder, str)
bounds = Bounds(per_second=0.001, burst=300, customers_per_hour=300)
taken = sum(shared.take("a", bounds, now) == 0 for _ in range(250))
customers = [100 * number + n for n in range(250)]
print(taken, *[one for one in customers if shared.ask_about("a", str(one), bounds, now) == 0])
"""


def test_processes_at_once_keep_one_limit_exactly(tmp_path: Path) -> None:
    folder = tmp_path / "allowances"
    command = [sys.executable, "-c", WORKER, str(folder)]
    workers = [
        subprocess.Popen([*command, str(number), NOW.isoformat()], stdout=subprocess.PIPE, text=True)
        for number in range(2)
    ]
    answers = [list(map(int, worker.communicate(timeout=60)[0].split())) for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0]
    assert sum(answer[0] for answer in answers) == 300
    # The two have 150 customers in common: those count once
    assert len({customer for answer in answers for customer in answer[1:]}) == 300


def test_the_files_name_nobody(tmp_path: Path) -> None:
    shared = SharedAllowance(tmp_path, lambda customer_id: f"ref of {customer_id}")
    shared.ask_about("key_1", "canary-7f3c", THREE, NOW)
    shared.close()
    (file,) = tmp_path.iterdir()
    assert "canary" not in file.name
    assert b"canary" not in file.read_bytes()
    assert file.stat().st_mode & 0o777 == 0o600


def test_more_keys_than_files_may_be_open_are_still_counted(tmp_path: Path) -> None:
    shared = SharedAllowance(tmp_path, str)
    one = Bounds(customers_per_hour=1)
    for number in range(300):
        assert shared.ask_about(f"key_{number}", "anna", one, NOW) == 0
    assert all(shared.ask_about(f"key_{number}", "ben", one, NOW) > 0 for number in range(300))
    shared.close()


def test_counting_that_cannot_be_done_is_said(tmp_path: Path) -> None:
    (tmp_path / "allowances").write_text("in the way")
    with pytest.raises(DependencyError, match="cannot be counted"):
        SharedAllowance(tmp_path / "allowances", str).take("a", FIVE, NOW)


def test_old_files_are_forgotten(tmp_path: Path) -> None:
    for name in ("key_1.8", "key_2.8"):
        (tmp_path / name).write_bytes(b"")
    os.utime(tmp_path / "key_1.8", (0, 0))
    forget_old(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["key_2.8"]
    forget_old(tmp_path / "nowhere")
