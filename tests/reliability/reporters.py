"""A process that decides and reports without end on a real database, and says what was acknowledged."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import msgspec

from serving.adapters.sqlite_outcomes import SqliteOutcomes
from serving.adapters.sqlite_records import SqliteRecords
from serving.adapters.vault import Vault
from serving.ports import Entry, OutcomeReport, Reporter
from serving.records import DecisionRecord, Mode

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
SECRET = bytes(range(32))
TOGETHER = 5
"""How many reports go into one request."""


def report(number: int, event_id: str) -> OutcomeReport:
    return OutcomeReport(f"d{number}.1", f"d{number}", "clicked", event_id, NOW, NOW, 1.0)


def main(database: Path, name: str) -> None:
    """Work on `database`; the record to store again and again, under other ids, lies beside it."""
    vault = Vault(SECRET)
    records = SqliteRecords(database, vault)
    outcomes = SqliteOutcomes(database, records.writer, vault)
    decoder = msgspec.json.Decoder(DecisionRecord)
    pattern = decoder.decode((database.parent / "record.json").read_bytes())
    for number in count():
        decision = int(name) * 1_000_000 + number
        if number % 2:  # of every second decision the reports come first
            made = msgspec.structs.replace(pattern, decision_id=f"d{decision}")
            records.append(Entry(made, b"body")).result()
        reports = [report(decision, f"{name}-{number}-{part}") for part in range(TOGETHER)]
        outcomes.append(reports, by=Reporter("key", Mode.LIVE), received_at=NOW).result()
        sys.stdout.write(f"{decision}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
