"""Which changes of readiness are worth a line in the log."""

import logging

from shared.adapters.readiness import REPEAT_NOT_READY_S, SETTLE_S, START_S, ReadinessLog


def lines(
    readiness: ReadinessLog, reason: str | None, start_s: float, stop_s: float
) -> list[tuple[int, str]]:
    """Return the lines of some time, a look every second."""
    seconds = range(int(start_s), int(stop_s))
    looks = (readiness.update(reason, float(second)) for second in seconds)
    return [line for line in looks if line is not None]


def ready() -> ReadinessLog:
    readiness = ReadinessLog()
    readiness.update(None, 0.0)
    return readiness


def test_an_outage_is_told_once_and_its_end_too() -> None:
    readiness = ready()

    assert lines(readiness, "Kafka is away", 10, 70) == [
        (logging.WARNING, f"not ready for {SETTLE_S:.0f} s: Kafka is away")
    ]
    assert lines(readiness, None, 70, 100) == [(logging.INFO, "ready again after 60 s")]


def test_an_outage_that_goes_on_is_told_now_and_then() -> None:
    found = lines(ready(), "Kafka is away", 0, 3 * REPEAT_NOT_READY_S)

    assert len(found) == 3


def test_a_moment_is_not_told() -> None:
    readiness = ready()

    assert lines(readiness, "restoring", 10, 10 + SETTLE_S) == []
    assert lines(readiness, None, 20, 30) == []


def test_a_start_has_its_time() -> None:
    readiness = ReadinessLog()

    assert lines(readiness, "starting", 0, START_S) == []
    assert [text for _, text in lines(readiness, "starting", START_S, START_S + 5)] == [
        f"not ready for {START_S:.0f} s: starting"
    ]
