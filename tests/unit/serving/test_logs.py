"""The log: what each form writes, what it keeps to itself, and that it never holds anything up."""

from __future__ import annotations

import io
import json
import logging
import threading
from collections.abc import Iterator
from datetime import datetime

import pytest

from serving.logs import JsonLines, LogForm, TextLines, Unhurried, configure, say


def record(name: str, level: int, message: str, *arguments: object, **extra: object) -> logging.LogRecord:
    made = logging.LogRecord(name, level, __file__, 1, message, arguments, None)
    vars(made).update(extra)
    return made


def as_json(made: logging.LogRecord) -> dict[str, object]:
    line = JsonLines().format(made)
    assert "\n" not in line
    found = json.loads(line)
    assert isinstance(found, dict)
    return found


def test_an_event_is_one_json_object_with_its_time_first() -> None:
    told = as_json(record("moment.requests", logging.INFO, "request", route="/v1/decisions", ms=1.5))
    assert list(told) == ["time", "level", "event", "route", "ms"]
    assert (told["level"], told["event"], told["ms"]) == ("info", "request", 1.5)
    written = datetime.fromisoformat(str(told["time"])).utcoffset()
    assert written is not None
    assert not written


def test_what_goes_wrong_says_where_and_what() -> None:
    told = as_json(record("moment.api", logging.ERROR, "%s in %s\nplace", "KeyError", "/v1/decisions"))
    assert (told["event"], told["message"]) == ("moment.api", "KeyError in /v1/decisions\nplace")


def test_a_librarys_words_are_not_taken_over() -> None:
    made = record("feast.store", logging.WARNING, "no rows for %s", "canary-7f3c", customer="canary-7f3c")
    made.exc_info = (ValueError, ValueError("canary-7f3c"), None)
    told = as_json(made)
    told.pop("time")
    assert told == {"level": "warning", "event": "library", "logger": "feast.store", "error": "ValueError"}
    assert TextLines().format(made) == "warning  library  logger=feast.store  error=ValueError"


def test_text_is_for_people() -> None:
    made = record("moment.api", logging.WARNING, "the store is away", seconds=3)
    assert TextLines().format(made) == "warning  moment.api  the store is away  seconds=3"


def test_a_defect_is_one_line_in_text_too() -> None:
    made = record("moment.api", logging.ERROR, "KeyError in GET /v1\n%s", '  File "a.py", line 1\n    b[c]\n')
    assert TextLines().format(made) == 'error  moment.api  KeyError in GET /v1 | File "a.py", line 1 | b[c]'


@pytest.mark.parametrize("form", LogForm)
def test_what_has_no_log_says_its_lines_in_the_same_form(
    form: LogForm, capsys: pytest.CaptureFixture[str]
) -> None:
    say(form, "serve", "Stopped.", pid=7)
    out, err = capsys.readouterr()
    assert not out
    if form is LogForm.TEXT:
        assert err == "Stopped.\n"
    else:
        told = json.loads(err)
        assert (told["event"], told["message"], told["pid"]) == ("serve", "Stopped.", 7)


@pytest.fixture
def loggers() -> Iterator[None]:
    """Put the process's logging back as it was."""
    root, ours = logging.root, logging.getLogger("moment")
    kept = root.handlers[:], root.level, ours.level
    others = {
        name: logger.handlers[:]
        for name in root.manager.loggerDict
        if (logger := logging.getLogger(name)).handlers
    }
    yield
    root.handlers[:], level, ours_level = kept
    root.setLevel(level)
    ours.setLevel(ours_level)
    for name, handlers in others.items():
        logging.getLogger(name).handlers[:] = handlers


@pytest.mark.usefixtures("loggers")
@pytest.mark.parametrize(("form", "told"), [(LogForm.JSON, 2), (LogForm.TEXT, 1)])
def test_requests_are_told_as_json_alone_and_others_handlers_are_gone(form: LogForm, told: int) -> None:
    leak, stream = io.StringIO(), io.StringIO()
    other = logging.getLogger("some.library")
    other.addHandler(logging.StreamHandler(leak))
    handler = configure(form, stream)
    logging.getLogger("moment.requests").info("request", extra={"status": 200})
    other.warning("canary-7f3c")
    handler.close()
    assert len(stream.getvalue().splitlines()) == told
    assert "canary" not in stream.getvalue() + leak.getvalue()


class Stuck(io.StringIO):
    """Takes nothing until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.let_go = threading.Event()

    def write(self, text: str) -> int:
        self.let_go.wait(30)
        return super().write(text)


def test_a_reader_who_does_not_read_holds_nobody_up_and_is_told_what_is_missing() -> None:
    stream = Stuck()
    handler = Unhurried(stream)
    handler.setFormatter(JsonLines())
    for number in range(12_000):
        handler.emit(record("moment.requests", logging.INFO, "request", number=number))
    stream.let_go.set()
    handler.close()
    told = [json.loads(line) for line in stream.getvalue().splitlines()]
    missing = sum(line.get("lines", 0) for line in told)
    assert missing >= 1_999
    assert sum(line["event"] == "request" for line in told) + missing == 12_000
