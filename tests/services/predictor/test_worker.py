"""The worker between hand-made ports: what it does, and what it does not when something fails."""

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial

import pytest

from services.predictor.batch_sizer import (
    BACKLOG_BATCHES,
    CLOSE_RECORDS,
    FIRST_RECORDS,
    GROWTH,
)
from services.predictor.checkpointer import MAX_LAG_S, PAUSE_S, StateCheckpointer
from services.predictor.metrics import PredictorMetrics
from services.predictor.partition_task import LONGEST_HOLD_S, PartitionTask
from services.predictor.readiness import JOIN_S
from services.predictor.recovery.open_transaction import OpenTransactions
from services.predictor.recovery.partition_recovery import PartitionRecovery
from services.predictor.worker import IDLE_AFTER_S, Worker
from shared.adapters.kafka.consumer_group import Batch
from shared.adapters.kafka.errors import Refused
from shared.adapters.kafka.producer import OffsetsToCommit, ProducerRecord
from shared.adapters.kafka.reader import ConsumerRecord
from shared.adapters.prometheus import Telemetry
from shared.adapters.schemas.kline_messages import PromotionMessage
from shared.adapters.schemas.klines import KlineCodec, encode_record
from shared.core.errors import Unavailable
from shared.core.online.model import Model
from shared.core.online.partition import PartitionState
from shared.core.topics import Topics
from shared.log.record_processor import Models, RecordProcessor
from tests.support.builders import CONTEXT, START_MS, STEP_MS, a_model, a_walk, candle_bytes
from tests.support.fakes import FakeStateStore, FakeTopicHistory
from tests.support.states import load_state

MODEL = a_model()
TOPICS = Topics("5m", 1)
WINDOW = MODEL.card.architecture.window_length
PROMOTION = PromotionMessage(
    type="promotion",
    model_version=MODEL.version,
    bundle_sha256=MODEL.bundle.sha256,
    numeric_profile=CONTEXT.numeric_profile,
)
CLOSES = a_walk(30)


def log_of(values: Iterable[bytes]) -> list[ConsumerRecord]:
    return [
        ConsumerRecord(0, offset, START_MS + offset * STEP_MS, None, value)
        for offset, value in enumerate(values)
    ]


def candles_of(symbol: str, closes: Sequence[float] = CLOSES) -> list[bytes]:
    return [candle_bytes(at, symbol, f"{close:.6f}") for at, close in enumerate(closes)]


LOG = log_of([encode_record(PROMOTION), *candles_of("BTCUSDT")])


@dataclass
class FakeKafka:
    """The only member of the group and its writer; gives a log record by record."""

    log: list[ConsumerRecord] = field(default_factory=lambda: LOG)
    membership: bytes | None = b"a member"
    position: int | None = None
    written: list[ProducerRecord] = field(default_factory=list)
    next_offset: int | None = None
    timeouts_s: list[float] = field(default_factory=list)
    paused: list[int] = field(default_factory=list)
    is_cut_off: bool = False

    def poll(self, max_records: int, timeout_s: float) -> Batch | None:
        self.timeouts_s.append(timeout_s)
        if self.position is None or self.position >= len(self.log):
            return None
        self.position += 1
        return Batch([self.log[self.position - 1]], self.membership)

    def is_member(self) -> bool:
        return not self.is_cut_off

    def committed(self, partition: int) -> int | None:
        assert partition == 0
        return self.next_offset

    def resume(self, partition: int, offset: int) -> None:
        assert partition == 0
        self.position = offset

    def end_offset(self, partition: int) -> int | None:
        return len(self.log)

    def pause(self, partition: int) -> None:
        self.paused.append(partition)
        if partition == 0:
            self.position = None

    def write(
        self, records: Sequence[ProducerRecord], offsets: OffsetsToCommit | None = None
    ) -> None:
        assert offsets is not None
        self.written += records
        self.next_offset = offsets.next_offsets[0]


@dataclass
class RefusingKafka(FakeKafka):
    """Refuses the first transactions."""

    refusals: int = 0
    tries: int = 0

    def write(
        self, records: Sequence[ProducerRecord], offsets: OffsetsToCommit | None = None
    ) -> None:
        self.tries += 1
        if self.tries <= self.refusals:
            raise Refused("change the topic", concerns_record=False)
        super().write(records, offsets)


@dataclass
class CrowdedKafka(FakeKafka):
    """Has so many records for each poll; without a membership, so nothing comes of them."""

    available: list[int] = field(default_factory=list)
    asked: list[int] = field(default_factory=list)

    def poll(self, max_records: int, timeout_s: float) -> Batch | None:
        self.asked.append(max_records)
        count = min(max_records, self.available.pop(0))
        return Batch(LOG[:1] * count, None) if count else None


class SlowStates(FakeStateStore):
    """Redis that does not answer: each call takes as long as its client waits."""

    def __init__(self, clock: list[float]) -> None:
        super().__init__()
        self.clock, self.calls = clock, 0

    def save(
        self,
        partition: int,
        profile: str,
        state: PartitionState,
        changed: Iterable[str],
        base_offset: int | None,
    ) -> bool:
        self.calls += 1
        self.clock[0] += 6.0
        raise Unavailable("Redis does not answer")


def models(version: str, sha256: str) -> Model:
    assert version == MODEL.version
    return MODEL


def a_worker(
    kafka: FakeKafka,
    telemetry: Telemetry | None = None,
    states: FakeStateStore | None = None,
    clock: list[float] | None = None,
    load: Models = models,
    batch_records: int = 10,
) -> Worker:
    processor = RecordProcessor(TOPICS.klines, KlineCodec("5m", STEP_MS, 1), CONTEXT, load)
    states, time_s = states or FakeStateStore(), clock or [0.0]
    metrics = PredictorMetrics(telemetry or Telemetry("test"))
    klines, predictions = FakeTopicHistory(kafka.log), FakeTopicHistory([])
    predecessors = OpenTransactions(predictions, "predictor-", lambda _: None)
    recovery = PartitionRecovery(
        processor,
        kafka,
        klines,
        predictions,
        FakeTopicHistory([]),
        states,
        predecessors,
        lambda _: (),
    )

    def now_s() -> float:
        return time_s[0]

    worker = Worker(
        TOPICS,
        kafka,
        kafka,
        partial(PartitionTask, kafka, processor, recovery, now_s),
        StateCheckpointer(states, CONTEXT, metrics, now_s),
        metrics,
        batch_records,
        now_s,
    )
    worker.on_assigned([0])
    return worker


def run_to_the_end(worker: Worker, kafka: FakeKafka) -> None:
    while kafka.next_offset != len(kafka.log):
        worker.run_once()


def test_a_mistake_in_the_fold_holds_the_symbol_group_and_commits_nothing_of_its_batch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kafka, telemetry, clock = FakeKafka(), Telemetry("test"), [0.0]
    worker = a_worker(kafka, telemetry, clock=clock)
    while kafka.next_offset is None or kafka.next_offset < 20:
        worker.run_once()
    written = len(kafka.written)

    def mistaken(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr("shared.log.record_processor.fold", mistaken)
        worker.run_once()

    assert kafka.next_offset == 20
    assert len(kafka.written) == written
    assert "a mistake in the program, ZeroDivisionError" in str(telemetry.not_ready)
    assert "ulstm_test_held_groups" in telemetry.answer("/metrics")[2].decode()
    clock[0] += LONGEST_HOLD_S
    run_to_the_end(worker, kafka)
    worker.run_once()
    assert telemetry.not_ready is None


def test_predictions_that_kafka_refuses_are_offered_again_later_and_none_is_lost() -> None:
    clock, telemetry = [0.0], Telemetry("test")
    kafka = RefusingKafka(refusals=3)
    worker = a_worker(kafka, telemetry, clock=clock)
    tries = []
    while kafka.next_offset != len(kafka.log):
        worker.run_once()
        tries.append(kafka.tries)
        if kafka.tries == 2:
            assert "change the topic" in telemetry.answer("/health/ready")[2].decode()
        clock[0] += 0.5

    assert len(kafka.written) == len(CLOSES) - WINDOW + 1
    # Rounds of half a second: two, four and eight seconds.
    assert [tries.count(number) >= rounds for number, rounds in ((1, 4), (2, 8), (3, 16))] == [
        True
    ] * 3


def test_without_a_membership_nothing_is_written() -> None:
    kafka = FakeKafka(membership=None)
    worker = a_worker(kafka)

    for _ in range(20):
        worker.run_once()

    assert kafka.next_offset is None
    assert kafka.written == []


def test_a_slow_redis_is_left_alone_for_a_while_and_every_candle_predicted() -> None:
    clock = [0.0]
    kafka, states, telemetry = FakeKafka(), SlowStates(clock), Telemetry("test")
    worker = a_worker(kafka, telemetry, states, clock)
    turns = 2 * len(LOG)
    for _ in range(turns):
        worker.run_once()
        clock[0] += 1.0

    assert len(kafka.written) == len(CLOSES) - WINDOW + 1
    assert 0 < states.calls <= turns / PAUSE_S + 1
    assert "ulstm_test_redis_up 0.0" in telemetry.answer("/metrics")[2].decode()


def test_redis_waits_for_idle_time_and_no_longer_than_its_lag() -> None:
    clock = [0.0]
    kafka, states = FakeKafka(), FakeStateStore()
    worker = a_worker(kafka, states=states, clock=clock)
    while kafka.next_offset is None:
        worker.run_once()
    worker.run_once()
    assert load_state(states, 0, CONTEXT.numeric_profile) is None

    clock[0] += MAX_LAG_S
    worker.run_once()

    saved = load_state(states, 0, CONTEXT.numeric_profile)
    assert saved is not None
    assert saved.next_offset == kafka.next_offset != len(LOG)
    while kafka.next_offset != len(LOG) or kafka.position is None:
        worker.run_once()
    for _ in range(5):
        worker.run_once()
    saved = load_state(states, 0, CONTEXT.numeric_profile)
    assert saved is not None
    assert saved.next_offset == len(LOG)


def test_a_graceful_stop_leaves_the_states_in_redis() -> None:
    kafka, states, stop = FakeKafka(), FakeStateStore(), threading.Event()
    worker = a_worker(kafka, states=states, clock=[0.0])
    while kafka.next_offset is None:
        worker.run_once()
    worker.run_once()
    assert load_state(states, 0, CONTEXT.numeric_profile) is None

    stop.set()
    worker.run_until_stopped(stop)

    saved = load_state(states, 0, CONTEXT.numeric_profile)
    assert saved is not None
    assert saved.next_offset == kafka.next_offset


def test_idle_work_waits_for_the_rest_of_a_close_and_then_for_nothing() -> None:
    kafka, states = FakeKafka(), FakeStateStore()
    worker = a_worker(kafka, states=states)
    run_to_the_end(worker, kafka)
    saved, before = None, len(kafka.timeouts_s)
    while saved is None or saved.next_offset != len(LOG):
        worker.run_once()
        saved = load_state(states, 0, CONTEXT.numeric_profile)

    first, *others = kafka.timeouts_s[before:]
    assert first == IDLE_AFTER_S
    assert set(others) == {0.0}


def test_after_a_long_catch_up_redis_waits_for_one_piece_of_idle_work_only() -> None:
    symbols = ["AAAUSDT", "BTCUSDT", "CCCUSDT"]
    candles = zip(*(candles_of(symbol, a_walk(200)) for symbol in symbols), strict=True)
    values = [value for of_one_time in candles for value in of_one_time]
    kafka, states = FakeKafka(log_of([encode_record(PROMOTION), *values])), FakeStateStore()
    worker = a_worker(kafka, states=states)
    run_to_the_end(worker, kafka)

    worker.run_once()  # Jacobians and digests of three symbols
    worker.run_once()

    saved = load_state(states, 0, CONTEXT.numeric_profile)
    assert saved is not None
    assert saved.next_offset == len(kafka.log)


def test_batches_begin_small_and_grow_once_records_pile_up() -> None:
    kafka = CrowdedKafka(available=[1, *[10_000] * (BACKLOG_BATCHES + 3), 3, 0])
    worker = a_worker(kafka, batch_records=5 * CLOSE_RECORDS)

    while kafka.available:
        worker.run_once()

    growing = [FIRST_RECORDS, GROWTH * FIRST_RECORDS]
    at_a_close = [*growing, *[CLOSE_RECORDS] * (BACKLOG_BATCHES - len(growing))]
    behind = [GROWTH * CLOSE_RECORDS, 5 * CLOSE_RECORDS, 5 * CLOSE_RECORDS]
    assert kafka.asked == [FIRST_RECORDS, *at_a_close, *behind, 5 * CLOSE_RECORDS, FIRST_RECORDS]


def test_a_model_that_cannot_be_read_in_idle_time_ends_no_replica() -> None:
    away = [False]

    def models_of_a_log(version: str, sha256: str) -> Model:
        if away[0]:
            raise Unavailable("Kafka does not answer")
        return models(version, sha256)

    kafka, states = FakeKafka(), FakeStateStore()
    worker = a_worker(kafka, states=states, load=models_of_a_log)
    run_to_the_end(worker, kafka)
    away[0] = True

    for _ in range(5):
        worker.run_once()

    assert len(kafka.written) == len(CLOSES) - WINDOW + 1
    saved = load_state(states, 0, CONTEXT.numeric_profile)
    assert saved is not None  # what cannot be computed ahead does not keep Redis waiting
    assert saved.next_offset == len(LOG)


def test_a_replica_that_the_group_has_lost_is_not_ready() -> None:
    clock, kafka, telemetry = [0.0], FakeKafka(), Telemetry("test")
    worker = a_worker(kafka, telemetry, clock=clock)
    run_to_the_end(worker, kafka)
    worker.run_once()
    assert telemetry.not_ready is None

    kafka.is_cut_off = True
    worker.on_revoked([0])
    kafka.position = None
    for _ in range(2):
        worker.run_once()
        clock[0] += 2 * JOIN_S
    assert "not a member of the consumer group" in str(telemetry.not_ready)

    kafka.is_cut_off = False
    worker.run_once()
    assert telemetry.not_ready is None


def test_a_replica_is_not_ready_before_it_has_caught_up() -> None:
    kafka, telemetry = FakeKafka(), Telemetry("test")
    worker = a_worker(kafka, telemetry)
    for _ in range(5):
        worker.run_once()
    assert "symbol groups [0] are" in str(telemetry.not_ready)
    assert "records behind the end of the log" in str(telemetry.not_ready)

    run_to_the_end(worker, kafka)
    worker.run_once()

    assert telemetry.not_ready is None


def test_a_replica_without_a_partition_is_ready() -> None:
    kafka, telemetry = FakeKafka(), Telemetry("test")
    worker = a_worker(kafka, telemetry)
    worker.run_once()

    worker.on_revoked([0])
    kafka.position = None
    worker.run_once()

    assert telemetry.not_ready is None


def test_a_partition_that_was_added_while_running_is_left_alone_and_named() -> None:
    kafka, telemetry = FakeKafka(), Telemetry("test")
    worker = a_worker(kafka, telemetry)
    run_to_the_end(worker, kafka)
    kafka.log = log_of([r.value or b"" for r in LOG] + [candle_bytes(len(CLOSES))])
    paused = len(kafka.paused)

    worker.on_assigned([1])  # the fake allows no other question about it than the pause
    for _ in range(20):
        worker.run_once()

    assert kafka.paused[paused:] == [1]
    assert kafka.next_offset == len(LOG) + 1
    assert telemetry.not_ready is not None
    assert "has a partition 1, SYMBOL_GROUPS is 1: partitions were added" in telemetry.not_ready
    assert "ulstm_test_refused_partitions 1.0" in telemetry.answer("/metrics")[2].decode()
    assert kafka.timeouts_s[-1] > 0  # nothing is tried again and again

    worker.on_revoked([1])
    worker.run_once()

    assert telemetry.not_ready is None
