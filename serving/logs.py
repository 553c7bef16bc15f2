"""The log of the running service: one line an event on stderr, as JSON or as text; never anything personal.

Ours may hold ids that Moment made itself (of requests, decisions, keys), templates of addresses, codes,
counts and times. What libraries log is written by people who do not know whose data it is about, so only its
origin and severity are kept: a message of theirs may hold anything.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import sys
import threading
from datetime import UTC, datetime
from enum import StrEnum
from typing import TextIO

import msgspec

_OURS = "moment"
_MOST_WAITING = 10_000
_STANDARD = frozenset(vars(logging.LogRecord("", 0, "", 0, "", (), None)))


class LogForm(StrEnum):
    """How the log is written. `text` is for people at a terminal and leaves out what went well."""

    JSON = "json"
    TEXT = "text"


class JsonLines(logging.Formatter):
    """Writes a record as one JSON object with time, level and event; extra fields follow."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        said: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            **_event(record),
        }
        return msgspec.json.encode(said, enc_hook=str).decode()


class TextLines(logging.Formatter):
    """Writes a record for people."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        event = _event(record)
        name = event.pop("event")
        details = "  ".join(f"{key}={value}" for key, value in event.items() if key != "message")
        said = (record.levelname.lower(), name, event.get("message"), details)
        lines = "  ".join(str(part) for part in said if part).splitlines()
        return " | ".join(line.strip() for line in lines)


class Unhurried(logging.Handler):
    """Writes in a thread of its own: a reader of stderr that does not read must not hold up any answer.

    What comes while too much waits is left out, and how much that was is said later.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._stream = stream
        self._lines: queue.Queue[str | None] = queue.Queue(_MOST_WAITING)
        self._left_out = 0
        self._thread = threading.Thread(target=self._write, name="log", daemon=True)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        """Hand over the line, or leave it out."""
        try:
            self._lines.put_nowait(self.format(record))
        except queue.Full:
            self._left_out += 1

    def close(self) -> None:
        """Write what waits; give up on a reader that does not read."""
        if self._thread.is_alive():
            try:
                self._lines.put(None, timeout=1)
            except queue.Full:
                return
            self._thread.join(1)
        super().close()

    def _write(self) -> None:
        while (line := self._lines.get()) is not None:
            lines = [line]
            if self._left_out:
                left_out, self._left_out = self._left_out, 0
                gap = logging.LogRecord(f"{_OURS}.log", logging.WARNING, "", 0, "lines left out", (), None)
                gap.lines = left_out
                lines.append(self.format(gap))
            try:
                self._stream.write("\n".join(lines) + "\n")
                self._stream.flush()
            except (OSError, ValueError):
                return  # nobody reads any more


def configure(form: LogForm, stream: TextIO | None = None) -> logging.Handler:
    """Send this process's log to stderr, in place of whatever else was set up; return the handler."""
    handler = Unhurried(sys.stderr if stream is None else stream)
    handler.setFormatter(JsonLines() if form is LogForm.JSON else TextLines())
    for name in ("", _OURS, *list(logging.root.manager.loggerDict)):
        logger = logging.getLogger(name)
        for earlier in logger.handlers[:]:
            logger.removeHandler(earlier)
        logger.propagate = True
    logging.root.addHandler(handler)
    logging.root.setLevel(logging.WARNING)
    logging.getLogger(_OURS).setLevel(logging.INFO if form is LogForm.JSON else logging.WARNING)
    return handler


def say(form: LogForm, event: str, message: str, level: str = "info", **more: object) -> None:
    """Write one line to stderr at once, from a process whose log is not set up: it has little to say."""
    if form is LogForm.TEXT:
        line = message
    else:
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        told = {"time": now, "level": level, "event": event, "message": message, **more}
        line = msgspec.json.encode(told, enc_hook=str).decode()
    with contextlib.suppress(OSError, ValueError):  # nobody reads any more
        sys.stderr.write(line + "\n")
        sys.stderr.flush()


def _event(record: logging.LogRecord) -> dict[str, object]:
    """Return what may be told of a record, the name of the event first."""
    if record.name.partition(".")[0] != _OURS:
        told: dict[str, object] = {"event": "library", "logger": record.name}
        if record.exc_info and record.exc_info[0]:
            told["error"] = record.exc_info[0].__name__
        return told
    extra = {key: value for key, value in vars(record).items() if key not in _STANDARD and key != "message"}
    if record.levelno == logging.INFO:
        return {"event": record.getMessage(), **extra}
    return {"event": record.name, "message": record.getMessage(), **extra}
