import pytest

from services.producer.finality.candle_memory import LogTail, TailCandle, fingerprint
from services.producer.finality.log_tail import LogTailReader, TailCollector
from shared.adapters.kafka.producer import ProducerRecord, TransactionalProducer
from shared.adapters.kafka.reader import ConsumerRecord
from shared.adapters.schemas.klines import (
    KlineCodec,
    add_market,
    encode_correction,
    encode_gap,
    encode_status,
)
from shared.core.records import Gap, MarketMove, SymbolStatus
from shared.core.topics import interval_ms, partition_for
from tests.support.builders import START_MS, STEP_MS
from tests.support.deployment import Deployment

SYMBOL = "BTCUSDT"
CODEC = KlineCodec("5m", interval_ms("5m"), 1)
GAP = Gap(SYMBOL, START_MS + 2 * STEP_MS, START_MS + 5 * STEP_MS)


def value(at: int, close: str = "1.5") -> bytes:
    text = (
        '{"close":"%s","high":"2","interval":"5m","low":"1","open":"1.0","open_time_ms":%d,'
        '"schema":1,"symbol":"BTCUSDT","type":"candle","volume":"7"}'
    )
    return (text % (close, START_MS + at * STEP_MS)).encode()


def collected(*records: tuple[int, bytes], candles_from: int = 0) -> LogTail:
    """Return the tail of records, each with the candle number of its time."""
    collector = TailCollector(CODEC, START_MS + candles_from * STEP_MS)
    for offset, (at, each) in enumerate(records):
        timestamp_ms = START_MS + (at + 1) * STEP_MS - 1
        collector.add(ConsumerRecord(0, offset, timestamp_ms, SYMBOL.encode(), each))
    return collector.tail()


def candle(at: int, close: str = "1.5", amendments: int = 0) -> TailCandle:
    open_ms = START_MS + at * STEP_MS
    return TailCandle(SYMBOL, open_ms, fingerprint(value(at, close)), amendments)


def test_of_each_candle_the_newest_value_is_kept_with_the_number_of_its_corrections() -> None:
    amendment = encode_correction(value(1, "1.7"), "amendment")

    tail = collected((0, value(0)), (1, value(1)), (2, value(2)), (1, amendment))

    assert tail.candles == [candle(0), candle(1, "1.7", 1), candle(2)]


def test_candles_before_the_span_are_left_out_but_not_their_fills() -> None:
    fill = encode_correction(value(3), "fill")

    tail = collected((0, value(0)), (4, encode_gap(GAP, "5m")), (9, value(9)), (3, fill),
                     candles_from=8)  # fmt: skip

    assert tail.candles == [candle(9), candle(3, amendments=1)]
    assert tail.gaps == [GAP]


def test_what_was_before_the_end_of_a_symbol_is_not_corrected_any_more() -> None:
    end = encode_status(SymbolStatus(SYMBOL, START_MS + 6 * STEP_MS, "delisted", "gone"), "5m")

    tail = collected((0, value(0)), (4, encode_gap(GAP, "5m")), (5, end), (9, value(9)))

    assert tail == LogTail([candle(9)], [])


def test_the_markets_move_and_the_way_numbers_are_written_are_no_part_of_a_value() -> None:
    with_market = add_market(value(0, "1.50"), MarketMove(0.01, 9))

    assert collected((0, with_market)).candles == [candle(0)]


def test_what_cannot_be_read_is_left_out() -> None:
    assert collected((0, b"nonsense"), (0, b""), (0, value(0)[:-1])) == LogTail([], [])


@pytest.mark.integration
def test_the_end_of_a_log_is_read(deployment: Deployment) -> None:
    servers, topics = deployment.kafka, deployment.topics
    partition = partition_for(SYMBOL, topics.partitions)
    records = [(0, value(0)), (4, encode_gap(GAP, "5m")), (5, value(5)), (40, value(40))]
    producer = TransactionalProducer(servers, f"{topics.prefix}test")
    producer.write(
        [
            ProducerRecord(
                topics.klines, partition, b"BTCUSDT", each, START_MS + (at + 1) * STEP_MS - 1
            )
            for at, each in records
        ]
    )
    producer.close()
    codec = KlineCodec("5m", STEP_MS, topics.partitions)

    tail = LogTailReader(servers, topics, codec).read(START_MS + 40 * STEP_MS)

    assert tail == LogTail([candle(40)], [GAP])
