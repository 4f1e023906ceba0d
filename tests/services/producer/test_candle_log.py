from services.producer.backfill.sequencer import SymbolCursor
from services.producer.candle_log import to_cursor, to_producer_record
from shared.adapters.schemas.headers import KlineHeaders
from shared.adapters.schemas.klines import KlineCodec
from shared.core.records import SymbolStatus
from shared.core.topics import Topics
from shared.log.positions import SymbolPosition

SYMBOL, STEP_MS = "BTCUSDT", 300_000
START_MS = 3 * STEP_MS


def test_a_symbol_resumes_where_the_log_ends_and_a_new_one_begins_at_the_start() -> None:
    halted = SymbolStatus(SYMBOL, 9 * STEP_MS, "halted", "")
    removed = SymbolStatus(SYMBOL, STEP_MS, "removed", "")

    assert to_cursor(SYMBOL, SymbolPosition(9 * STEP_MS), START_MS) == SymbolCursor(
        SYMBOL, 9 * STEP_MS
    )
    assert to_cursor(SYMBOL, None, START_MS) == SymbolCursor(SYMBOL, START_MS, is_new=True)
    assert to_cursor(SYMBOL, SymbolPosition(9 * STEP_MS, halted), START_MS) == SymbolCursor(
        SYMBOL, 9 * STEP_MS, status="halted"
    )
    assert to_cursor(SYMBOL, SymbolPosition(STEP_MS, removed), START_MS) == SymbolCursor(
        SYMBOL, START_MS, is_new=True, status="removed"
    )


def test_a_status_is_a_record_of_its_symbols_partition() -> None:
    topics, status = Topics("5m", 6), SymbolStatus(SYMBOL, 9 * STEP_MS, "halted", "no trades")

    record = to_producer_record(status, topics, 7)

    assert (record.topic, record.key) == (topics.klines, SYMBOL.encode())
    assert KlineCodec("5m", STEP_MS, 6).decode(record.value, record.partition) == status


def test_the_headers_of_a_record_are_as_the_contract_says() -> None:
    status = SymbolStatus(SYMBOL, 9 * STEP_MS, "halted", "no trades")
    record = to_producer_record(status, Topics("5m", 6), 7)
    headers = {name: value.decode() for name, value in record.headers}

    assert KlineHeaders.model_validate(headers).source == "producer"
    assert record.timestamp_ms == 9 * STEP_MS - 1
