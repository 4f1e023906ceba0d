"""A task's states, and that its memory does not grow with the length of a catch-up."""

import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from services.predictor.partition_task import RETRY_S, PartitionTask, TaskStatus
from services.predictor.recovery.partition_recovery import PartitionRecovery
from shared.adapters.kafka.consumer_group import Batch
from shared.adapters.kafka.reader import ConsumerRecord
from shared.adapters.schemas.klines import KlineCodec, PromotionMessage, encode_record
from shared.core.errors import Unavailable
from shared.core.online.model import Model
from shared.core.sequence import SEQUENCE_LENGTH
from shared.log.record_processor import RecordProcessor
from tests.support.builders import CONTEXT, START_MS, STEP_MS, a_model, a_walk, candle_bytes
from tests.support.fakes import FakeStateStore, FakeTopicHistory

MODEL = a_model()
SYMBOLS = ("AAAUSDT", "BBBUSDT")
PROMOTION = PromotionMessage(
    type="promotion",
    model_version=MODEL.version,
    bundle_sha256=MODEL.bundle.sha256,
    numeric_profile=CONTEXT.numeric_profile,
)


@dataclass
class RecordingGroup:
    """Notes what is asked of the consumer group; its committed offset may be unavailable."""

    calls: list[str] = field(default_factory=list)
    is_away: bool = False

    def poll(self, max_records: int, timeout_s: float) -> Batch | None:
        raise NotImplementedError

    def committed(self, partition: int) -> int | None:
        if self.is_away:
            raise Unavailable("Kafka does not answer")
        return 0

    def pause(self, partition: int) -> None:
        self.calls.append(f"pause {partition}")

    def resume(self, partition: int, offset: int) -> None:
        self.calls.append(f"resume {partition} at {offset}")


def model_of(version: str, sha256: str) -> Model:
    assert version == MODEL.version
    return MODEL


class Bench:
    """A task of partition 0 on a log that is still empty, and its surroundings."""

    def __init__(self, models: Callable[[str, str], Model] = model_of) -> None:
        self.group, self.now_s, self.next_offset = RecordingGroup(), 0.0, 0
        processor = RecordProcessor("klines.5m", KlineCodec("5m", STEP_MS, 1), CONTEXT, models)
        topics = FakeTopicHistory([]), FakeTopicHistory([]), FakeTopicHistory([])
        recovery = PartitionRecovery(processor, self.group, *topics, FakeStateStore())
        self.task = PartitionTask(self.group, processor, recovery, lambda: self.now_s, 0)

    def status(self) -> TaskStatus:
        return self.task.status

    def record(self, value: bytes) -> ConsumerRecord:
        self.next_offset += 1
        return ConsumerRecord(0, self.next_offset - 1, START_MS, None, value)

    def commit(self, value: bytes) -> None:
        """Process a batch of one record, and take over its result as after a commit."""
        self.task.apply(self.task.process([self.record(value)]))


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_a_task_restores_while_its_partition_is_paused_then_runs(bench: Bench) -> None:
    assert bench.status() is TaskStatus.RESTORING
    assert bench.group.calls == ["pause 0"]

    bench.task.restore_next_block()

    assert bench.status() is TaskStatus.RUNNING
    assert bench.group.calls == ["pause 0", "resume 0 at 0"]


def test_a_task_that_cannot_be_restored_now_waits_and_tries_again(bench: Bench) -> None:
    bench.group.is_away = True
    bench.task.restore_next_block()
    assert bench.status() is TaskStatus.WAITING
    assert bench.task.reason == "Kafka does not answer"
    assert not bench.task.end_wait()

    bench.group.is_away, bench.now_s = False, RETRY_S
    assert bench.task.end_wait()

    assert bench.status() is TaskStatus.RESTORING
    bench.task.restore_next_block()
    assert bench.task.is_restored


def test_a_record_without_its_model_pauses_the_partition_and_is_polled_again() -> None:
    def no_model(version: str, sha256: str) -> Model:
        raise Unavailable("no such version yet")

    bench = Bench(no_model)
    bench.task.restore_next_block()
    candle, promotion = bench.record(candle_bytes(0)), bench.record(encode_record(PROMOTION))

    result = bench.task.process([candle, promotion])
    bench.task.apply(result)

    assert result.state.next_offset == 1  # what lies before the promotion is published
    assert bench.status() is TaskStatus.WAITING
    assert bench.group.calls[-1] == "pause 0"
    bench.now_s = RETRY_S
    assert bench.task.end_wait()
    assert bench.status() is TaskStatus.RUNNING
    assert bench.group.calls[-1] == "resume 0 at 1"


def test_a_batch_that_is_not_committed_leaves_the_state_as_it_was(bench: Bench) -> None:
    bench.task.restore_next_block()
    bench.commit(encode_record(PROMOTION))
    before = bench.task.state.copy()

    bench.task.process([bench.record(candle_bytes(0))])

    assert bench.task.state == before


def test_records_before_the_state_are_not_processed_again(bench: Bench) -> None:
    bench.task.restore_next_block()
    bench.commit(encode_record(PROMOTION))
    candle = bench.record(candle_bytes(0))
    bench.task.apply(bench.task.process([candle]))

    again = bench.task.process([candle])

    assert again.candles == 0
    assert again.state == bench.task.state


def test_a_long_catch_up_queues_each_symbol_once_and_keeps_memory_flat(bench: Bench) -> None:
    bench.task.restore_next_block()
    bench.commit(encode_record(PROMOTION))
    closes = a_walk(SEQUENCE_LENGTH + 500)

    def catch_up(start: int, stop: int) -> None:
        for at in range(start, stop):
            for symbol in SYMBOLS:
                bench.commit(candle_bytes(at, symbol, f"{closes[at]:.6f}"))

    catch_up(0, SEQUENCE_LENGTH + 20)  # sequences are full: from here on no state grows
    tracemalloc.start()
    try:
        catch_up(SEQUENCE_LENGTH + 20, SEQUENCE_LENGTH + 40)
        before = tracemalloc.get_traced_memory()[0]
        catch_up(SEQUENCE_LENGTH + 40, len(closes))
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()

    assert grown < 10_000  # bytes; a queue of every change would hold 920 entries
    assert bench.task.precompute_next(10_000) == len(SYMBOLS)
    assert not bench.task.has_idle_work
