import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from services.cli.candle_import.importer import candle_bytes
from services.cli.candle_import.pipeline import ImportOptions, import_recordings
from shared.adapters.candle_files import find_recordings
from shared.adapters.env_settings import ServiceSettings
from shared.adapters.kafka.admin import ensure_topics
from shared.adapters.kafka.backwards_reader import await_settled
from shared.adapters.kafka.connection import KafkaConnection
from shared.adapters.kafka.errors import Fenced
from shared.adapters.kafka.producer import TransactionalProducer
from shared.adapters.kafka.reader import Reader
from shared.adapters.recording import CandleRow
from shared.adapters.schemas.kline_messages import build_candle_message
from shared.adapters.schemas.klines import encode_record
from shared.core.errors import BadInput, Incompatible
from shared.core.market import define_baskets
from shared.core.records import Candle, MarketMove
from shared.core.topics import partition_for
from shared.log.archive import Archive, TimeSpan
from shared.log.basket_store import BasketStore
from shared.log.kline_writer import producer_transactional_id
from tests.support.builders import START_MS, STEP_MS, a_walk


def line(at: int, close: str = "100.5", scale: int = 1) -> str:
    opens = (START_MS + at * STEP_MS) * scale
    closes = opens + STEP_MS * scale - 1
    return f"{opens},100.0,101.00,99.5,{close},12.5,{closes},1250.0,42,6.25,625.0,0"


HEADER = (
    "open_time,open,high,low,close,volume,close_time,quote_volume,count,"
    "taker_buy_volume,taker_buy_quote_volume,ignore"
)


def a_file(folder: Path, lines: list[str], name: str = "BTCUSDT-5m-2025-01.csv") -> list[Path]:
    path = folder / name
    path.write_text("\n".join(lines) + "\n")
    return [path]


@pytest.fixture
def settings(kafka: KafkaConnection, topic_prefix: str) -> ServiceSettings:
    return ServiceSettings.from_env(
        {"KAFKA_BOOTSTRAP_SERVERS": str(kafka), "TOPIC_PREFIX": topic_prefix}
    )


def run_import(settings: ServiceSettings, paths: list[Path]) -> tuple[int, int, int]:
    summary, _ = import_recordings(settings, find_recordings(paths))
    return summary.candles, summary.gaps, summary.already_there


def closes(settings: ServiceSettings) -> list[float]:
    archived = Archive(settings.kafka, settings.topics).read(TimeSpan())
    return [float(row[4]) for row in archived.sequences["BTCUSDT"]]


@pytest.mark.parametrize("optional", [(None, None, None, None), ("1.5", 7, "0.5", "0.25")])
def test_the_bytes_of_a_row_are_those_of_encode_record(
    optional: tuple[str | None, int | None, str | None, str | None],
) -> None:
    row = CandleRow("BTCUSDT", START_MS, "100.0", "101.00", "99.5", "100.5", "12.5", *optional)
    given = {name: value for name, value in row._asdict().items() if value is not None}

    assert candle_bytes(row, "5m") == encode_record(
        build_candle_message(STEP_MS, interval="5m", **given)
    )


@pytest.mark.integration
def test_a_second_import_writes_nothing(settings: ServiceSettings, tmp_path: Path) -> None:
    paths = a_file(tmp_path, [line(at) for at in range(10)])

    assert run_import(settings, paths) == (10, 0, 0)
    assert run_import(settings, paths) == (0, 0, 10)
    assert len(closes(settings)) == 10


@pytest.mark.integration
def test_an_interrupted_import_continues_where_it_was(
    settings: ServiceSettings, tmp_path: Path
) -> None:
    run_import(settings, a_file(tmp_path, [line(at) for at in range(6)]))

    assert run_import(settings, a_file(tmp_path, [line(at) for at in range(10)])) == (4, 0, 6)


@pytest.mark.integration
def test_a_header_and_microseconds_are_understood(
    settings: ServiceSettings, tmp_path: Path
) -> None:
    paths = a_file(tmp_path, [HEADER, *(line(at, scale=1000) for at in range(4))])

    assert run_import(settings, paths) == (4, 0, 0)


@pytest.mark.integration
def test_a_hole_becomes_a_gap(settings: ServiceSettings, tmp_path: Path) -> None:
    assert run_import(settings, a_file(tmp_path, [line(0), line(1), line(5)])) == (3, 1, 0)


@pytest.mark.integration
def test_a_truncated_file_is_refused_with_its_line(
    settings: ServiceSettings, tmp_path: Path
) -> None:
    with pytest.raises(BadInput, match="line 3"):
        run_import(settings, a_file(tmp_path, [line(0), line(1), line(2)[:40]]))


@pytest.mark.integration
def test_a_row_that_contradicts_the_log_is_refused_with_both_values(
    settings: ServiceSettings, tmp_path: Path
) -> None:
    run_import(settings, a_file(tmp_path, [line(at) for at in range(4)]))

    with pytest.raises(BadInput, match=r"100\.9.*100\.5"):
        run_import(settings, a_file(tmp_path, [line(0), line(1, close="100.9"), line(2)]))
    assert closes(settings) == [100.5] * 4


@pytest.mark.integration
def test_files_that_disagree_are_named_with_line_and_values(
    settings: ServiceSettings, tmp_path: Path
) -> None:
    month = a_file(tmp_path, [line(at) for at in range(3)])
    day = a_file(tmp_path, [line(1, close="100.9")], "BTCUSDT-5m-2025-01-01.csv")

    with pytest.raises(BadInput) as refused:
        run_import(settings, [*month, *day])

    assert f"close 100.9 in {day[0]} line 1" in str(refused.value)
    assert f"close 100.5 in {month[0]} line 2" in str(refused.value)


@pytest.mark.integration
def test_one_value_may_be_written_in_two_ways(settings: ServiceSettings, tmp_path: Path) -> None:
    month = a_file(tmp_path, [line(at) for at in range(3)])
    day = a_file(tmp_path, [line(1, close="100.50000000")], "BTCUSDT-5m-2025-01-01.csv")

    assert run_import(settings, [*month, *day]) == (3, 0, 1)


@pytest.mark.integration
def test_history_before_the_log_begins_is_refused(
    settings: ServiceSettings, tmp_path: Path
) -> None:
    run_import(settings, a_file(tmp_path, [line(at) for at in range(10, 14)]))

    with pytest.raises(BadInput, match="older than the first one"):
        run_import(settings, a_file(tmp_path, [line(at) for at in range(8, 14)]))


@pytest.mark.integration
def test_a_number_that_readers_of_the_log_would_refuse_is_refused(
    settings: ServiceSettings, tmp_path: Path
) -> None:
    huge = line(0).replace("101.00", "2000000000000000")

    with pytest.raises(BadInput, match=r"line 1 .*2000000000000000"):
        run_import(settings, a_file(tmp_path, [huge]))
    with pytest.raises(BadInput, match=r"line 1 .*volume"):
        run_import(settings, a_file(tmp_path, [line(0).replace(",12.5,", ",-0.0,")]))


@pytest.mark.integration
def test_a_second_writer_stops_the_import_and_says_so(
    settings: ServiceSettings, tmp_path: Path
) -> None:
    paths = a_file(tmp_path, [line(at) for at in range(12_000)])

    with pytest.raises(Fenced, match="stop one of them"):
        import_recordings(
            settings,
            find_recordings(paths),
            ImportOptions(on_records=start_producer(settings)),
        )
    assert run_import(settings, paths) == (7_001, 0, 4_999)
    assert len(closes(settings)) == 12_000


def start_producer(settings: ServiceSettings) -> Callable[[int], None]:
    """Return a function that fences an import: another writer takes its transactional id."""

    def start(_: int) -> None:
        TransactionalProducer(settings.kafka, producer_transactional_id(settings.topics)).close()

    return start


def walks(folder: Path, names: list[str], count: int = 40) -> list[Path]:
    """Write a dump for each symbol, whose closes are a random walk of its own."""
    paths = []
    for seed, name in enumerate(names):
        closes = a_walk(count, seed + 1)
        lines = [
            line(at, f"{close:.6f}").replace("101.00,99.5", "1000.0,1.0")
            for at, close in enumerate(closes)
        ]
        paths += a_file(folder, lines, f"{name}-5m-2025-01.csv")
    return paths


def logged_values(settings: ServiceSettings) -> list[tuple[bytes | None, bytes | None]]:
    """Return key and value of every record, in the order of the log."""
    with Reader(settings.kafka, settings.topics.klines) as reader:
        await_settled(reader, range(settings.symbol_groups))
        return [
            (record.key, record.value)
            for partition in range(settings.symbol_groups)
            for block in reader.read(partition, 0)
            for record in block
        ]


def logged_candles(settings: ServiceSettings, symbol: str) -> list[Candle]:
    partition = partition_for(symbol, settings.symbol_groups)
    records = (
        settings.codec.decode(value, partition)
        for key, value in logged_values(settings)
        if key == symbol.encode()
    )
    return [record for record in records if isinstance(record, Candle)]


def market_of(settings: ServiceSettings, symbol: str) -> list[MarketMove | None]:
    return [candle.market for candle in logged_candles(settings, symbol)]


FIVE = ["AAAUSDT", "BBBUSDT", "CCCUSDT", "DDDUSDT", "EEEUSDT"]


@pytest.mark.integration
def test_each_candle_has_the_move_of_all_symbols_from_close_to_close(
    settings: ServiceSettings, tmp_path: Path
) -> None:
    run_import(settings, walks(tmp_path, FIVE))

    closes = np.array([[float(f"{c:.6f}") for c in a_walk(40, seed + 1)] for seed in range(5)])
    changes = np.median(closes[:, 1:] / closes[:, :-1] - 1.0, axis=0)
    first, *moves = market_of(settings, "CCCUSDT")
    assert first is None
    assert [move.symbols for move in moves if move is not None] == [5] * 39
    found = [move.change for move in moves if move is not None]
    assert found == pytest.approx(changes.tolist(), abs=1e-9)


@pytest.mark.integration
@pytest.mark.parametrize(("written", "candles"), [(1, 0), (7, 3), (103, 98)])
def test_an_interrupted_import_gives_the_same_bytes_as_one_that_was_not(
    settings: ServiceSettings, tmp_path: Path, written: int, candles: int
) -> None:
    """Each symbol begins with a record that says so."""
    paths = walks(tmp_path, FIVE)
    whole = settings.model_copy(update={"topic_prefix": f"{settings.topic_prefix}whole."})
    run_import(whole, paths)
    with pytest.raises(Fenced):
        import_recordings(
            settings,
            find_recordings(paths),
            ImportOptions(on_records=start_producer(settings), batch_size=written),
        )

    assert run_import(settings, paths) == (200 - candles, 0, candles)
    assert logged_values(settings) == logged_values(whole)


@pytest.mark.integration
def test_a_symbol_begins_with_its_listing_so_that_nobody_looks_for_it_further_back(
    settings: ServiceSettings, tmp_path: Path
) -> None:
    run_import(settings, walks(tmp_path, FIVE[:2], 3))
    run_import(settings, walks(tmp_path, FIVE[:2], 5))

    values = [value or b"" for key, value in logged_values(settings) if key == b"AAAUSDT"]
    assert [json.loads(value)["type"] for value in values] == ["status", *["candle"] * 5]


@pytest.mark.integration
def test_a_symbol_imported_later_has_the_moves_that_the_log_has(
    settings: ServiceSettings, tmp_path: Path
) -> None:
    run_import(settings, walks(tmp_path, FIVE))
    (tmp_path / "later").mkdir()

    run_import(settings, walks(tmp_path / "later", ["FFFUSDT", "GGGUSDT"]))

    assert market_of(settings, "FFFUSDT") == market_of(settings, "AAAUSDT")


@pytest.mark.integration
def test_symbols_imported_one_by_one_have_a_move_once_there_are_enough(
    settings: ServiceSettings, tmp_path: Path
) -> None:
    for number, path in enumerate(walks(tmp_path, FIVE[:3])):
        run_import(settings, [path])
        known = [move.symbols for move in market_of(settings, FIVE[number]) if move is not None]
        assert known == ([3] * 39 if number == 2 else [])


@pytest.mark.integration
def test_the_baskets_in_force_are_in_each_candle(settings: ServiceSettings, tmp_path: Path) -> None:
    ensure_topics(settings.kafka, settings.topics)
    baskets = define_baskets([FIVE[:3], ["HHHUSDT", "IIIUSDT", "JJJUSDT"]], START_MS, START_MS)
    store = BasketStore(settings.kafka, settings.topics)
    store.publish(baskets)

    run_import(settings, walks(tmp_path, FIVE))

    moves = [move for move in market_of(settings, "EEEUSDT") if move is not None]
    assert len(moves) == 39
    assert {move.baskets for move in moves} == {baskets.version}
    pairs = [move.basket_changes for move in moves]
    assert all(coins is not None and gone is None for coins, gone in pairs)


@pytest.mark.integration
def test_the_whole_kline_is_in_the_log(settings: ServiceSettings, tmp_path: Path) -> None:
    run_import(settings, a_file(tmp_path, [line(0)]))

    (candle,) = logged_candles(settings, "BTCUSDT")
    assert (candle.quote_volume, candle.trades, candle.taker_buy_volume) == (1250.0, 42, 6.25)


def test_another_interval_is_refused(tmp_path: Path) -> None:
    paths = a_file(tmp_path, [line(0)], "BTCUSDT-1m-2025-01.csv")

    with pytest.raises(Incompatible, match="INTERVAL"):
        import_recordings(ServiceSettings.from_env({}), find_recordings(paths))
