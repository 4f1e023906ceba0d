import pytest

from services.producer.rest.request_queue import (
    MAX_PROBE_S,
    MIN_PROBE_S,
    RequestOutcome,
    RequestQueue,
)
from services.producer.rest.requests import KlineRequest, Priority


def request(symbol: str, priority: Priority = Priority.BACKFILL, from_ms: int = 0) -> KlineRequest:
    return KlineRequest(symbol, from_ms, priority=priority)


def queue_of(*symbols: str, threads: int = 4) -> RequestQueue:
    queue = RequestQueue(threads)
    for symbol in symbols:
        queue.put(request(symbol))
    return queue


def send_next(queue: RequestQueue, now_s: float = 0.0) -> KlineRequest | None:
    sent = queue.peek(now_s)
    if sent is not None:
        queue.send(sent)
    return sent


def fail(queue: RequestQueue, *symbols: str, now_s: float = 0.0) -> None:
    for symbol in symbols:
        queue.put(request(symbol))
        queue.send(request(symbol))
        queue.end(request(symbol), RequestOutcome.FAILED, now_s)


def test_the_most_urgent_request_is_sent_first_then_the_oldest() -> None:
    queue = queue_of("A", "B")
    queue.put(request("C", Priority.LIVE))
    queue.put(request("D", Priority.RECONCILIATION))

    sent = [send_next(queue) for _ in range(5)]

    assert [each and each.symbol for each in sent] == ["C", "A", "B", "D", None]


def test_a_request_replaces_the_one_of_its_symbol_that_waits() -> None:
    queue = queue_of("A")

    queue.put(request("A", Priority.LIVE, from_ms=9))
    queue.put(request("A", Priority.RECONCILIATION))

    assert len(queue) == 2
    assert send_next(queue) == request("A", Priority.LIVE, from_ms=9)
    assert send_next(queue) == request("A", Priority.RECONCILIATION)


def test_a_request_that_replaces_another_keeps_its_place() -> None:
    queue = queue_of("A", "B")

    queue.put(request("A", from_ms=9))

    assert send_next(queue) == request("A", from_ms=9)


def test_a_symbol_that_is_dropped_is_not_requested() -> None:
    queue = queue_of("A", "B")

    queue.drop("A")

    assert send_next(queue) == request("B")
    assert len(queue) == 0


def test_symbols_that_failed_come_last_and_take_half_of_the_threads() -> None:
    queue = RequestQueue(threads=4)
    fail(queue, "A", "B")
    queue.end(send_good(queue), RequestOutcome.ANSWERED, 0.0)
    for symbol in ("A", "B"):
        queue.put(request(symbol))
        fail(queue, symbol)
        queue.end(send_good(queue), RequestOutcome.ANSWERED, 0.0)
    fail(queue, "C")
    for symbol in ("A", "B", "C", "D"):
        queue.put(request(symbol))

    sent = [send_next(queue) for _ in range(4)]

    assert [each and each.symbol for each in sent] == ["D", "A", "B", None]


def send_good(queue: RequestQueue) -> KlineRequest:
    queue.put(request("GOOD", Priority.LIVE))
    queue.send(request("GOOD", Priority.LIVE))
    return request("GOOD", Priority.LIVE)


def test_an_exchange_that_answers_nobody_is_asked_by_one_request_at_a_time() -> None:
    queue = queue_of("D", "E", "F", "G")
    fail(queue, "A", "B", "C")

    pauses_s, now_s = [], 0.0
    for _ in range(6):
        waited_s = 0.0
        while (probe := send_next(queue, now_s)) is None:
            now_s, waited_s = now_s + MIN_PROBE_S / 2, waited_s + MIN_PROBE_S / 2
        assert queue.peek(now_s + 60) is None
        queue.end(probe, RequestOutcome.FAILED, now_s)
        queue.put(probe)
        pauses_s.append(waited_s)

    assert pauses_s == pytest.approx([0.5, 1.0, 2.0, 4.0, MAX_PROBE_S, MAX_PROBE_S], abs=0.5)


def test_one_answer_ends_the_outage() -> None:
    queue = queue_of("D", "E", "F")
    fail(queue, "A", "B", "C")
    probe = send_next(queue, MIN_PROBE_S)
    assert probe is not None

    queue.end(probe, RequestOutcome.ANSWERED, MIN_PROBE_S)

    assert send_next(queue, MIN_PROBE_S) == request("E")
    assert send_next(queue, MIN_PROBE_S) == request("F")


def test_a_ban_is_no_failure_of_a_symbol() -> None:
    queue = queue_of("A", "B", "C", "D")
    for _ in range(3):
        sent = send_next(queue)
        assert sent is not None
        queue.end(sent, RequestOutcome.BANNED, 0.0)

    assert queue.peek(0.0) == request("D")
