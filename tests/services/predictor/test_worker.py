"""The loop with hand-made surroundings: what it does not do when something goes wrong."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import pytest

from services.predictor.worker import (
    BACKLOG_BATCHES,
    CLOSE_RECORDS,
    FIRST_RECORDS,
    REDIS_LAG_S,
    REDIS_REST_S,
    Worker,
)
from shared.adapters.kafka.consumer_group import Batch
from shared.adapters.kafka.producer import OffsetsToCommit, ProducerRecord
from shared.adapters.kafka.reader import ConsumerRecord
from shared.adapters.prometheus import Telemetry
from shared.adapters.schemas import KlineCodec, PromotionMessage, encode_record
from shared.core.errors import Unavailable
from shared.core.online.model import Model
from shared.core.online.partition import PartitionState
from shared.core.topics import Topics
from shared.log.record_processor import Models, RecordProcessor
from tests.support.builders import CONTEXT, START_MS, STEP_MS, a_model, a_walk, candle_bytes
from tests.support.fakes import FakeStateStore, FakeTopicHistory

MODEL = a_model()
TOPICS = Topics("5m", 1)
PROMOTION = PromotionMessage(
    type="promotion", model_version=MODEL.version, bundle_sha256=MODEL.bundle.sha256
)
CLOSES = a_walk(30)
VALUES = [
    encode_record(PROMOTION),
    *(candle_bytes(at, close=f"{close:.6f}") for at, close in enumerate(CLOSES)),
]
LOG = [
    ConsumerRecord(0, offset, START_MS + offset * STEP_MS, None, value)
    for offset, value in enumerate(VALUES)
]


@dataclass
class Alone:
    """The group's only member; gives the log record by record, and takes what is written."""

    membership: bytes | None = b"a member"
    at: int | None = None
    written: list[ProducerRecord] = field(default_factory=list)
    next_offset: int | None = None
    waited_s: list[float] = field(default_factory=list)

    def poll(self, most: int, timeout_s: float) -> Batch | None:
        self.waited_s.append(timeout_s)
        if self.at is None or self.at >= len(LOG):
            return None
        self.at += 1
        return Batch([LOG[self.at - 1]], self.membership)

    def committed(self, partition: int) -> int | None:
        return self.next_offset

    def resume(self, partition: int, offset: int) -> None:
        self.at = offset

    def pause(self, partition: int) -> None:
        self.at = None

    def write(
        self, records: Sequence[ProducerRecord], progress: OffsetsToCommit | None = None
    ) -> None:
        assert progress is not None
        self.written += records
        self.next_offset = progress.next_offsets[0]


@dataclass
class Crowd(Alone):
    """Has so many records for each poll; this client is no member, so nothing comes of them."""

    waiting: list[int] = field(default_factory=list)
    asked: list[int] = field(default_factory=list)

    def poll(self, most: int, timeout_s: float) -> Batch | None:
        self.asked.append(most)
        count = min(most, self.waiting.pop(0))
        return Batch(LOG[:1] * count, None) if count else None


class SlowStates(FakeStateStore):
    """Redis that answers nobody: each call takes as long as its client is patient."""

    def __init__(self, clock: list[float]) -> None:
        super().__init__()
        self.clock, self.calls = clock, 0

    def save(
        self,
        group: int,
        profile: str,
        after: PartitionState,
        changed: Iterable[str],
        since: int | None,
    ) -> bool:
        self.calls += 1
        self.clock[0] += 6.0
        raise Unavailable("Redis does not answer")


def models(version: str, sha256: str) -> Model:
    assert version == MODEL.version
    return MODEL


def a_loop(
    alone: Alone,
    telemetry: Telemetry,
    states: FakeStateStore | None = None,
    clock: list[float] | None = None,
    load: Models = models,
    most_records: int = 10,
) -> Worker:
    processor = RecordProcessor(TOPICS.klines, KlineCodec("5m", STEP_MS, 1), CONTEXT, load)
    now = clock or [0.0]
    loop = Worker(
        TOPICS,
        processor,
        alone,
        alone,
        FakeTopicHistory(LOG),
        FakeTopicHistory([]),
        FakeTopicHistory([]),
        states or FakeStateStore(),
        telemetry,
        most_records,
        lambda: now[0],
    )
    loop.on_assigned([0])
    return loop


def test_a_mistake_in_the_fold_ends_the_replica_and_commits_nothing_of_its_batch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    alone = Alone()
    loop = a_loop(alone, Telemetry("test"))
    while alone.next_offset is None or alone.next_offset < 20:
        loop.run_once()
    written = len(alone.written)

    def mistaken(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("shared.log.record_processor.fold", mistaken)
    with pytest.raises(ZeroDivisionError):
        loop.run_once()

    assert alone.next_offset == 20
    assert len(alone.written) == written


def test_without_a_membership_nothing_is_written() -> None:
    alone = Alone(membership=None)
    loop = a_loop(alone, Telemetry("test"))

    for _ in range(20):
        loop.run_once()

    assert alone.next_offset is None
    assert alone.written == []


def test_a_slow_redis_is_left_alone_for_a_while_and_every_candle_predicted() -> None:
    clock = [0.0]
    alone, states, telemetry = Alone(), SlowStates(clock), Telemetry("test")
    loop = a_loop(alone, telemetry, states, clock)
    turns = 2 * len(LOG)
    for _ in range(turns):
        loop.run_once()
        clock[0] += 1.0

    assert len(alone.written) == len(CLOSES) - 15
    assert 0 < states.calls <= turns / REDIS_REST_S + 1
    assert "ulstm_test_redis_up 0.0" in telemetry.answer("/metrics")[2].decode()


def test_redis_waits_for_a_quiet_time_and_no_longer_than_its_lag() -> None:
    clock = [0.0]
    alone, states = Alone(), FakeStateStore()
    loop = a_loop(alone, Telemetry("test"), states, clock)
    while alone.next_offset is None:
        loop.run_once()
    loop.run_once()
    assert states.load(0, CONTEXT.numeric_profile) is None

    clock[0] += REDIS_LAG_S
    loop.run_once()

    saved = states.load(0, CONTEXT.numeric_profile)
    assert saved is not None
    assert saved.applied_offset == alone.next_offset != len(LOG)
    while alone.next_offset != len(LOG) or alone.at is None:
        loop.run_once()
    for _ in range(5):
        loop.run_once()
    saved = states.load(0, CONTEXT.numeric_profile)
    assert saved is not None
    assert saved.applied_offset == len(LOG)


def test_no_poll_waits_while_redis_is_to_be_told() -> None:
    alone, states = Alone(), FakeStateStore()
    loop = a_loop(alone, Telemetry("test"), states)
    while alone.next_offset != len(LOG):
        loop.run_once()
    saved, before = None, len(alone.waited_s)
    while saved is None or saved.applied_offset != len(LOG):
        loop.run_once()
        saved = states.load(0, CONTEXT.numeric_profile)

    assert set(alone.waited_s[before:]) == {0.0}


def test_batches_begin_small_and_grow_once_records_pile_up() -> None:
    alone = Crowd(waiting=[1, *[10_000] * (BACKLOG_BATCHES + 3), 3, 0])
    loop = a_loop(alone, Telemetry("test"), most_records=5 * CLOSE_RECORDS)

    while alone.waiting:
        loop.run_once()

    at_a_close = [FIRST_RECORDS, 2 * FIRST_RECORDS, *[CLOSE_RECORDS] * (BACKLOG_BATCHES - 2)]
    behind = [2 * CLOSE_RECORDS, 4 * CLOSE_RECORDS, 5 * CLOSE_RECORDS]
    assert alone.asked == [FIRST_RECORDS, *at_a_close, *behind, 5 * CLOSE_RECORDS, FIRST_RECORDS]


def test_a_model_that_cannot_be_read_in_the_quiet_time_ends_no_replica() -> None:
    away = [False]

    def models_of_a_log(version: str, sha256: str) -> Model:
        if away[0]:
            raise Unavailable("Kafka does not answer")
        return models(version, sha256)

    alone = Alone()
    loop = a_loop(alone, Telemetry("test"), load=models_of_a_log)
    while alone.next_offset != len(LOG):
        loop.run_once()
    away[0] = True

    loop.run_once()

    assert len(alone.written) == len(CLOSES) - 15


def test_a_replica_without_a_group_is_ready() -> None:
    alone, telemetry = Alone(), Telemetry("test")
    loop = a_loop(alone, telemetry)
    loop.run_once()

    loop.on_revoked([0])
    alone.at = None
    loop.run_once()

    assert telemetry.not_ready is None
