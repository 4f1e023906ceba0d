"""A task's states, and that its memory does not grow with the length of a catch-up."""

import tracemalloc

import pytest

from services.predictor.partition_task import LONGEST_HOLD_S, RETRY_S, TaskStatus
from shared.adapters.schemas.klines import encode_record
from shared.core.errors import Blocked, Incompatible
from shared.core.online.model import Model
from shared.core.online.partition import fold
from shared.core.online.state_codec import encode_state
from shared.core.records import Promotion
from shared.core.sequence import SEQUENCE_LENGTH
from shared.log.promotion_starts import SYMBOLS_AT_ONCE
from tests.services.predictor.task_harness import MODEL, PROMOTION, SYMBOLS, TaskHarness
from tests.support.builders import CONTEXT, a_walk, candle_bytes


@pytest.fixture
def harness() -> TaskHarness:
    return TaskHarness()


def test_a_task_restores_while_its_partition_is_paused_then_runs(harness: TaskHarness) -> None:
    assert harness.status() is TaskStatus.RESTORING
    assert harness.consumer_group.calls == ["pause 0"]

    harness.task.restore_next_block()

    assert harness.status() is TaskStatus.RUNNING
    assert harness.consumer_group.calls == ["pause 0", "resume 0 at 0"]


def test_a_task_that_cannot_be_restored_now_waits_and_tries_again(harness: TaskHarness) -> None:
    harness.consumer_group.is_away = True
    harness.task.restore_next_block()
    assert harness.status() is TaskStatus.WAITING
    assert harness.task.reason == "Kafka does not answer"
    assert not harness.task.end_wait()

    harness.consumer_group.is_away, harness.now_s = False, RETRY_S
    assert harness.task.end_wait()

    assert harness.status() is TaskStatus.RESTORING
    harness.task.restore_next_block()
    assert harness.task.is_restored


def test_a_record_without_its_model_holds_the_partition_and_is_polled_again() -> None:
    def no_model(version: str, sha256: str) -> Model:
        raise Blocked("no such version yet")

    harness = TaskHarness(no_model)
    harness.task.restore_next_block()
    candle, promotion = harness.record(candle_bytes(0)), harness.record(encode_record(PROMOTION))

    result = harness.task.process([candle, promotion])
    harness.task.apply(result)

    assert result.state.next_offset == 1  # what lies before the promotion is published
    assert harness.status() is TaskStatus.HELD
    assert harness.consumer_group.calls[-1] == "pause 0"
    harness.now_s = RETRY_S
    assert harness.task.end_wait()
    assert harness.status() is TaskStatus.RUNNING
    assert harness.consumer_group.calls[-1] == "resume 0 at 1"
    assert harness.task.is_held, "until the record is processed"


def test_a_held_partition_is_tried_again_after_longer_and_longer_waits(
    harness: TaskHarness,
) -> None:
    harness.task.restore_next_block()
    waits_s = []
    for _ in range(7):
        held_s = harness.now_s
        harness.task.begin_hold(Incompatible("contradicts"))
        while not harness.task.end_wait():
            harness.now_s += 0.5
        waits_s.append(harness.now_s - held_s)
    assert waits_s == [2, 4, 8, 16, LONGEST_HOLD_S, LONGEST_HOLD_S, LONGEST_HOLD_S]

    harness.commit(encode_record(PROMOTION))
    assert not harness.task.is_held
    assert harness.task.reason == ""
    harness.task.begin_hold(Incompatible("contradicts"))
    harness.now_s += RETRY_S
    assert harness.task.end_wait()


def test_the_mark_of_a_transaction_is_no_lag(harness: TaskHarness) -> None:
    harness.task.restore_next_block()
    harness.commit(encode_record(PROMOTION))
    assert harness.task.lag() is None

    harness.consumer_group.end = 2
    assert harness.task.lag() == 0
    harness.consumer_group.end = 9
    assert harness.task.lag() == 7


def test_a_batch_that_is_not_committed_leaves_the_state_as_it_was(harness: TaskHarness) -> None:
    harness.task.restore_next_block()
    harness.commit(encode_record(PROMOTION))
    before = harness.task.state.copy()

    harness.task.process([harness.record(candle_bytes(0))])

    assert harness.task.state == before


def test_records_before_the_state_are_not_processed_again(harness: TaskHarness) -> None:
    harness.task.restore_next_block()
    harness.commit(encode_record(PROMOTION))
    candle = harness.record(candle_bytes(0))
    harness.task.apply(harness.task.process([candle]))

    again = harness.task.process([candle])

    assert again.candles == 0
    assert again.state == harness.task.state


def test_a_long_catch_up_queues_each_symbol_once_and_keeps_memory_flat(
    harness: TaskHarness,
) -> None:
    harness.task.restore_next_block()
    harness.commit(encode_record(PROMOTION))
    closes = a_walk(SEQUENCE_LENGTH + 500)

    def catch_up(start: int, stop: int) -> None:
        for at in range(start, stop):
            for symbol in SYMBOLS:
                harness.commit(candle_bytes(at, symbol, f"{closes[at]:.6f}"))

    catch_up(0, SEQUENCE_LENGTH + 20)  # sequences are full: from here on no state grows
    tracemalloc.start()
    try:
        # Long enough for each sequence to begin another buffer, which is counted from here on.
        catch_up(SEQUENCE_LENGTH + 20, SEQUENCE_LENGTH + 100)
        before = tracemalloc.get_traced_memory()[0]
        catch_up(SEQUENCE_LENGTH + 100, len(closes))
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()

    assert grown < 10_000  # bytes; a queue of every change would hold 800 entries
    assert harness.task.precompute_next(10_000) == len(SYMBOLS)
    assert not harness.task.has_idle_work


def test_a_promotion_is_prepared_in_turns_of_few_symbols_and_gives_the_same_states(
    harness: TaskHarness,
) -> None:
    harness.task.restore_next_block()
    names = [f"S{number:02d}USDT" for number in range(2 * SYMBOLS_AT_ONCE + 1)]
    for at in range(3):
        for name in names:
            harness.commit(candle_bytes(at, name))
    before, promotion = harness.task.state.copy(), harness.record(encode_record(PROMOTION))

    candle = harness.record(candle_bytes(3, names[0]))
    first = harness.task.process([promotion, candle])
    harness.consumer_group.calls.clear()
    turns = harness.prepare()

    assert (first.state.next_offset, turns) == (promotion.offset, 4)  # the last finds no more
    assert harness.consumer_group.calls == [f"resume 0 at {promotion.offset}"]
    assert not harness.task.has_idle_work  # it would replace the states that were prepared
    result = harness.task.process([promotion, candle])
    harness.task.apply(result)
    at_once = fold(before, promotion_record(), promotion.offset, MODEL, CONTEXT)
    after = {name: encode_state(state) for name, state in at_once.symbols.items()}
    assert {n: encode_state(result.state.symbols[n]) for n in names[1:]} == {
        n: after[n] for n in names[1:]
    }
    assert harness.task.has_idle_work


def promotion_record() -> Promotion:
    return Promotion(MODEL.version, MODEL.bundle.sha256, CONTEXT.numeric_profile)
