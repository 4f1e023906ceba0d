from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from services.exchange_simulator.faults.scripted_market import ScriptedMarket
from services.exchange_simulator.market import RecordedMarket, read_recordings
from services.exchange_simulator.market_view import MarketView
from services.exchange_simulator.synthetic import ORIGIN_MS
from shared.core.errors import BadInput
from tests.support.builders import STEP_MS


def write_parquet(folder: Path, symbol: str, indices: list[int], name: str = "") -> None:
    columns = {
        column: [float(index + 1) for index in indices]
        for column in ("open", "high", "low", "close", "volume")
    }
    table = pa.table({"open_time": [ORIGIN_MS + index * STEP_MS for index in indices], **columns})
    pq.write_table(table, folder / (name or f"{symbol}-5m.parquet"))


def market_with_hole(folder: Path) -> RecordedMarket:
    write_parquet(folder, "BTCUSDT", [0, 1, 2, 6, 7])
    return read_recordings(folder, STEP_MS, (), None)


def test_a_hole_in_a_recording_stays_a_hole(tmp_path: Path) -> None:
    market = market_with_hole(tmp_path)
    numbers = market.find("BTCUSDT", ORIGIN_MS, ORIGIN_MS + 7 * STEP_MS)
    rows = list(market.rows("BTCUSDT", numbers))
    assert [row.close for row in rows] == ["1.0", "2.0", "3.0", "7.0"]
    assert market.end_ms == ORIGIN_MS + 8 * STEP_MS


def test_months_of_a_symbol_join_and_overlaps_are_refused(tmp_path: Path) -> None:
    write_parquet(tmp_path, "BTCUSDT", [0, 1], "BTCUSDT-5m-2025-01.parquet")
    write_parquet(tmp_path, "BTCUSDT", [2, 3], "BTCUSDT-5m-2025-02.parquet")
    market = read_recordings(tmp_path, STEP_MS, (), None)
    numbers = market.find("BTCUSDT", 0, ORIGIN_MS * 2)
    assert len(numbers) == 4
    assert [row.close for row in market.rows("BTCUSDT", numbers[1:3])] == ["2.0", "3.0"]
    write_parquet(tmp_path, "BTCUSDT", [3, 4], "BTCUSDT-5m-2025-03.parquet")
    with pytest.raises(BadInput, match="keep one of them"):
        read_recordings(tmp_path, STEP_MS, (), None)


def test_symbols_are_chosen_by_count_or_by_name(tmp_path: Path) -> None:
    for symbol in ("ADAUSDT", "BTCUSDT", "ETHUSDT"):
        write_parquet(tmp_path, symbol, [0])
    assert read_recordings(tmp_path, STEP_MS, (), 2).symbols == ("ADAUSDT", "BTCUSDT")
    assert read_recordings(tmp_path, STEP_MS, ("ETHUSDT",), None).symbols == ("ETHUSDT",)
    with pytest.raises(BadInput, match="XRPUSDT"):
        read_recordings(tmp_path, STEP_MS, ("ETHUSDT", "XRPUSDT"), None)


def test_a_view_never_shows_the_future(tmp_path: Path) -> None:
    view = MarketView(ScriptedMarket(market_with_hole(tmp_path), STEP_MS), "5m", STEP_MS, ORIGIN_MS)
    open_at = opens(view)
    assert open_at(None, None, 500, 1) == [0, 1]
    assert open_at(None, None, 2, 7) == [6, 7]
    assert open_at(1, None, 2, 7) == [1, 2]
    assert open_at(1, 6, 500, 7) == [1, 2, 6]
    assert open_at(3, 5, 500, 7) == []
    assert open_at(6, 1, 500, 7) == []
    assert opens(MarketView(view.market, "5m", STEP_MS, ORIGIN_MS + 2 * STEP_MS))(
        0, None, 500, 7
    ) == [
        2,
        6,
        7,
    ]


def opens(view: MarketView) -> Callable[[int | None, int | None, int, int], list[int]]:
    def at(index: int | None) -> int | None:
        return None if index is None else ORIGIN_MS + index * STEP_MS

    def ask(start: int | None, end: int | None, limit: int, now: int) -> list[int]:
        rows = view.klines("BTCUSDT", at(start), at(end), limit, ORIGIN_MS + now * STEP_MS)
        return [(row.open_time_ms - ORIGIN_MS) // STEP_MS for row in rows]

    return ask
