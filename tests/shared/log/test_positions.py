from collections.abc import Iterator, Sequence

import pytest

from shared.adapters.env_settings import ServiceSettings
from shared.adapters.kafka.admin import ensure_topics
from shared.adapters.kafka.backwards_reader import (
    FIRST_BLOCK,
    await_settled,
    last_record_of_each_key,
)
from shared.adapters.kafka.connection import KafkaConnection
from shared.adapters.kafka.producer import ProducerRecord, TransactionalProducer
from shared.adapters.kafka.reader import ConsumerRecord, Reader
from shared.adapters.schemas.kline_messages import PromotionMessage
from shared.adapters.schemas.klines import encode_gap, encode_record, encode_status
from shared.core.records import Gap, StatusName, SymbolStatus
from shared.core.topics import partition_for
from shared.log.positions import read_positions, read_symbol_positions
from tests.support.builders import START_MS, STEP_MS, candle_bytes

pytestmark = pytest.mark.integration

SYMBOL = "BTCUSDT"
GROUP = partition_for(SYMBOL, 6)


@pytest.fixture
def settings(kafka: KafkaConnection, topic_prefix: str) -> ServiceSettings:
    settings = ServiceSettings.from_env(
        {"KAFKA_BOOTSTRAP_SERVERS": str(kafka), "TOPIC_PREFIX": topic_prefix}
    )
    ensure_topics(kafka, settings.topics)
    return settings


@pytest.fixture
def writer(settings: ServiceSettings) -> Iterator[TransactionalProducer]:
    writer = TransactionalProducer(settings.kafka, f"{settings.topic_prefix}test")
    yield writer
    writer.close()


def record(
    settings: ServiceSettings, value: bytes, key: bytes | None = b"BTCUSDT"
) -> ProducerRecord:
    return ProducerRecord(settings.topics.klines, GROUP, key, value, START_MS)


def standing(settings: ServiceSettings, symbols: Sequence[str] = (SYMBOL,)) -> dict[str, int]:
    return read_positions(settings.kafka, settings.topics, settings.codec, symbols)


def promotion() -> bytes:
    return encode_record(
        PromotionMessage(
            type="promotion", model_version="m1", bundle_sha256="0" * 64, numeric_profile="1-abc"
        )
    )


def test_an_empty_log_says_nothing(settings: ServiceSettings) -> None:
    assert standing(settings) == {}


def test_a_candle_is_followed_by_the_next_whatever_comes_after_it(
    settings: ServiceSettings, writer: TransactionalProducer
) -> None:
    writer.write(
        [
            record(settings, candle_bytes(4, SYMBOL)),
            record(settings, promotion(), None),
            record(settings, b"nonsense"),
        ]
    )

    assert standing(settings, [SYMBOL, "ETHUSDT"]) == {SYMBOL: START_MS + 5 * STEP_MS}


def test_a_gap_at_the_end_counts(settings: ServiceSettings, writer: TransactionalProducer) -> None:
    until = START_MS + 9 * STEP_MS
    gap = Gap(SYMBOL, START_MS + STEP_MS, until)
    writer.write(
        [record(settings, candle_bytes(0, SYMBOL)), record(settings, encode_gap(gap, "5m"))]
    )

    assert standing(settings) == {SYMBOL: until}


def a_status(status: StatusName, at: int) -> bytes:
    return encode_status(SymbolStatus(SYMBOL, START_MS + at * STEP_MS, status, "seen"), "5m")


def a_gap(start: int, stop: int) -> bytes:
    gap = Gap(SYMBOL, START_MS + start * STEP_MS, START_MS + stop * STEP_MS)
    return encode_gap(gap, "5m")


SIX = [candle_bytes(at, SYMBOL) for at in range(4, 10)]
CANDLE, FILL = candle_bytes(4, SYMBOL), candle_bytes(2, SYMBOL, type="fill")


@pytest.mark.parametrize(
    ("values", "next_at", "status"),
    [
        ([CANDLE, FILL, candle_bytes(3, SYMBOL, type="amendment")], 5, None),
        ([CANDLE, a_status("halted", 5)], 5, "halted"),
        ([CANDLE, a_status("halted", 5), a_status("resumed", 9), a_gap(5, 9)], 9, "resumed"),
        ([CANDLE, a_status("halted", 5), a_gap(5, 9), FILL], 9, "halted"),
        ([a_status("listed", 4), CANDLE], 5, None),
        ([CANDLE, a_status("removed", 5)], 5, "removed"),
        ([CANDLE, a_status("delisted", 5), a_status("listed", 90)], 90, "listed"),
        ([a_status("listed", 90)], 90, "listed"),
        ([a_status("listed", 90), CANDLE], 90, "listed"),
        ([*SIX, CANDLE], 10, None),
        ([*SIX, CANDLE, *SIX, CANDLE, *SIX[:4]], 10, None),
        ([*SIX, a_gap(10, 12), CANDLE], 12, None),
        ([*SIX, a_status("halted", 10), CANDLE], 10, "halted"),
        ([*SIX, a_status("delisted", 10), CANDLE, candle_bytes(9, SYMBOL)], 10, "delisted"),
    ],
)
def test_a_symbol_is_where_its_candles_gaps_and_statuses_leave_it(
    settings: ServiceSettings,
    writer: TransactionalProducer,
    values: list[bytes],
    next_at: int,
    status: StatusName | None,
) -> None:
    writer.write([record(settings, value) for value in values])
    position = read_symbol_positions(settings.kafka, settings.topics, settings.codec, [SYMBOL])[
        SYMBOL
    ]

    assert position.next_open_time_ms == START_MS + next_at * STEP_MS
    assert (position.status and position.status.status) == status
    assert position.is_new == (status in {"listed", "delisted", "removed"})


def test_a_commit_is_seen_at_once_every_time(
    settings: ServiceSettings, writer: TransactionalProducer
) -> None:
    for at in range(20):
        writer.write([record(settings, candle_bytes(at, SYMBOL))])

        assert standing(settings) == {SYMBOL: START_MS + (at + 1) * STEP_MS}


def test_a_symbol_in_the_tail_is_found_without_reading_the_archive_and_an_old_one_is_found_too(
    settings: ServiceSettings, writer: TransactionalProducer
) -> None:
    old, new, archive = b"OLD", b"NEW", 5 * FIRST_BLOCK
    writer.write([record(settings, b"1", old)] + [record(settings, b"2", new)] * archive)
    offered: list[int] = []

    def value_of(found: ConsumerRecord) -> bytes | None:
        offered.append(found.offset)
        return found.value

    with _Counting(settings.kafka, settings.topics.klines) as reader:
        await_settled(reader, [GROUP])
        assert last_record_of_each_key(reader, GROUP, [new], value_of) == {new: b"2"}
        assert offered == [archive]
        assert reader.received <= FIRST_BLOCK
        assert last_record_of_each_key(reader, GROUP, [old, new], value_of) == {
            old: b"1",
            new: b"2",
        }


class _Counting(Reader):
    """A reader that counts what it gives."""

    received = 0

    def read(
        self, partition: int, start: int, end: int | None = None
    ) -> Iterator[list[ConsumerRecord]]:
        for block in super().read(partition, start, end):
            self.received += len(block)
            yield block
