"""Log lines as they are written: one an event, whatever the text, without a password."""

import json
import logging
import subprocess
import sys
from datetime import datetime
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.adapters.logs import (
    LONGEST,
    REPEAT_S,
    STORM_LINES,
    ConsoleFormatter,
    JsonFormatter,
    Outage,
    StormFilter,
)
from tests.support.imports import ROOT

HOSTILE: Final = (
    "\x1b[2J\x07\r\n2026-01-01T00:00:00.000Z predictor ERROR x forged \u202e\u2028\x85end"
)


def a_record(message: str, *arguments: object, error: Exception | None = None) -> logging.LogRecord:
    failure = None if error is None else (type(error), error, error.__traceback__)
    return logging.LogRecord("a.module", logging.WARNING, "f", 1, message, arguments, failure)


def console(record: logging.LogRecord) -> str:
    return ConsoleFormatter("predictor").format(record)


def as_json(record: logging.LogRecord) -> dict[str, Any]:
    text = JsonFormatter("predictor").format(record)
    assert text.isascii()
    assert text.isprintable()
    fields: dict[str, Any] = json.loads(text)
    return fields


@given(st.text())
def test_any_text_makes_one_line_that_a_terminal_only_shows(text: str) -> None:
    for record in (a_record("%s", text), a_record(text)):
        assert console(record).isprintable()
        assert as_json(record)["message"].isprintable()


def test_both_formats_say_the_same() -> None:
    record = a_record("symbol group %d waits: %s", 3, "Kafka is away")

    time, *rest = console(record).split(" ", 4)
    fields = as_json(record)

    assert rest == ["predictor", "WARNING", "a.module", fields["message"]]
    assert fields["message"] == "symbol group 3 waits: Kafka is away"
    assert fields["event"] == "symbol group %d waits: %s"
    assert fields["arguments"] == [3, "Kafka is away"]
    assert fields["time"] == time
    at = datetime.fromisoformat(time)
    assert at.timestamp() == pytest.approx(record.created, abs=0.002)
    assert at.utcoffset() is not None


def test_a_traceback_cannot_forge_a_line() -> None:
    record = a_record("it fails", error=ValueError(HOSTILE))

    first, *lines = console(record).split("\n")

    assert first.endswith("it fails")
    assert lines
    assert all(line.startswith("  | ") and line.isprintable() for line in lines)
    assert all(line.isprintable() for line in as_json(record)["exception"])


@pytest.mark.parametrize(
    "address",
    [
        "redis://:secret@10.0.0.1:6379/0",
        "rediss://user:se/secret@host:1/0",
        "redis://host?password=secret&db=1",
        "https://user:secret@proxy:3128",
    ],
)
def test_a_password_in_an_address_is_in_no_line(address: str) -> None:
    for record in (a_record("Redis at %s: refused", address), a_record(f"at {address}")):
        assert "secret" not in console(record)
        assert "secret" not in json.dumps(as_json(record))
        assert "refused" in console(record) or "at" in console(record)


def test_a_long_text_is_cut() -> None:
    assert len(console(a_record("%s", "x" * 100_000))) < LONGEST + 200


FAILING: Final = """
import threading, warnings
from shared.adapters.logs import start_logging
start_logging("INFO", "trainer", "json")
warnings.warn("a library complains")
thread = threading.Thread(target=lambda: 1 // 0)
thread.start()
thread.join()
raise ValueError("\\x1b[2J\\nforged")
"""


def test_warnings_and_errors_that_end_a_thread_or_the_process_are_lines_too() -> None:
    done = subprocess.run(
        [sys.executable, "-c", FAILING], capture_output=True, text=True, cwd=ROOT, check=False
    )

    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert [line["level"] for line in lines] == ["WARNING", "CRITICAL", "CRITICAL"]
    assert all(line["service"] == "trainer" for line in lines)
    assert "a library complains" in lines[0]["message"]
    assert lines[1]["exception"][-1].startswith("ZeroDivisionError")
    assert lines[2]["exception"][-2:] == ["ValueError: \\x1b[2J", "forged"]
    assert done.returncode == 1


def test_a_storm_of_one_event_is_cut_and_counted_and_others_go_on() -> None:
    storm, shown = StormFilter(), list[str]()

    def write(message: str, at_s: float, *arguments: object) -> None:
        record = a_record(message, *arguments)
        record.created = at_s
        if storm.filter(record):
            shown.append(record.getMessage())

    for number in range(3 * STORM_LINES):
        write("record %d cannot be read", 1_000.0 + number / 100, number)
    write("Kafka is away", 1_001.0)
    write("record %d cannot be read", 1_000.0 + REPEAT_S, 7)

    assert shown[-2] == "Kafka is away"
    assert shown[-1].startswith("record 7 cannot be read")
    assert f" {2 * STORM_LINES} " in shown[-1]
    assert len(shown) == STORM_LINES + 2


def test_an_outage_is_told_when_it_begins_once_a_minute_and_when_it_ends(
    caplog: pytest.LogCaptureFixture,
) -> None:
    now_s = [0.0]
    outage = Outage(logging.getLogger("an.outage"), lambda: now_s[0])
    with caplog.at_level(logging.INFO, "an.outage"):
        for _ in range(13):
            outage.report("%s does not answer", "Redis")
            now_s[0] += REPEAT_S / 6
        outage.end("Redis answers")
        outage.end("Redis answers")

    told = [(record.levelname, record.getMessage()) for record in caplog.records]
    assert told == [("WARNING", "Redis does not answer")] * 3 + [
        ("INFO", "Redis answers again after 130 s")
    ]
