import itertools
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from services.exchange_simulator.clock import AcceleratedClock
from services.exchange_simulator.kline import event, partial, rest_row
from services.exchange_simulator.limits import BAN_S, WEIGHT_PER_MINUTE, MessageRate, WeightLimiter
from services.exchange_simulator.market import RecordedMarket, recorded
from services.exchange_simulator.synthetic import ORIGIN_MS, SyntheticMarket, names
from services.exchange_simulator.view import View
from shared.adapters.candle_files import CandleRow
from shared.core.errors import BadInput

STEP_MS = 300_000
ROW = CandleRow(
    "BTCUSDT",
    ORIGIN_MS,
    "100.00",
    "110.50",
    "95.25",
    "105.00",
    "12.345",
    "1234.50000000",
    77,
    "6.1",
    "600.5",
)


def synthetic_rows(seed: int, symbol: str, first: int, count: int) -> list[CandleRow]:
    market = SyntheticMarket(names(3), STEP_MS, seed)
    begin = ORIGIN_MS + first * STEP_MS
    return list(market.candles(symbol, begin, begin + count * STEP_MS).rows(0, count))


def write(folder: Path, symbol: str, indices: list[int], name: str = "") -> None:
    columns = {
        column: [float(index + 1) for index in indices]
        for column in ("open", "high", "low", "close", "volume")
    }
    table = pa.table({"open_time": [ORIGIN_MS + index * STEP_MS for index in indices], **columns})
    pq.write_table(table, folder / (name or f"{symbol}-5m.parquet"))


def holed(folder: Path) -> RecordedMarket:
    write(folder, "BTCUSDT", [0, 1, 2, 6, 7])
    return recorded(folder, STEP_MS, (), None)


def test_exchange_time_passes_at_its_own_speed() -> None:
    clock = AcceleratedClock(start_ms=ORIGIN_MS, started_s=7.0, speed=300.0)
    assert clock.time_ms(8.0) == ORIGIN_MS + STEP_MS
    assert clock.seconds_until(ORIGIN_MS + STEP_MS, 7.5) == 0.5


def test_a_synthetic_candle_depends_only_on_seed_symbol_and_time() -> None:
    whole = synthetic_rows(1, "SYN01USDT", 0, 3000)
    assert synthetic_rows(1, "SYN01USDT", 2500, 10) == whole[2500:2510]
    assert synthetic_rows(2, "SYN01USDT", 0, 1) != whole[:1]
    assert synthetic_rows(1, "SYN02USDT", 0, 1) != whole[:1]


def test_synthetic_candles_are_well_formed() -> None:
    for symbol in names(3):
        rows = synthetic_rows(5, symbol, 0, 2000)
        for row in rows:
            opened, high, low, close = (float(text) for text in row[2:6])
            assert 0 < low <= min(opened, close) <= max(opened, close) <= high
            assert float(row.taker_buy_volume or "nan") < float(row.volume)
        assert all(before.close == after.open for before, after in itertools.pairwise(rows))


def test_nothing_comes_before_the_synthetic_market_begins() -> None:
    assert len(SyntheticMarket(names(1), STEP_MS, 1).candles("SYN01USDT", 0, ORIGIN_MS + 1)) == 1
    assert len(SyntheticMarket(names(1), STEP_MS, 1).candles("BTCUSDT", 0, ORIGIN_MS + 1)) == 0


def test_a_hole_in_a_recording_stays_a_hole(tmp_path: Path) -> None:
    market = holed(tmp_path)
    rows = list(market.candles("BTCUSDT", ORIGIN_MS, ORIGIN_MS + 7 * STEP_MS).rows(0, 9))
    assert [row.close for row in rows] == ["1.0", "2.0", "3.0", "7.0"]
    assert market.end_ms == ORIGIN_MS + 8 * STEP_MS


def test_months_of_a_symbol_join_and_overlaps_are_refused(tmp_path: Path) -> None:
    write(tmp_path, "BTCUSDT", [0, 1], "BTCUSDT-5m-2025-01.parquet")
    write(tmp_path, "BTCUSDT", [2, 3], "BTCUSDT-5m-2025-02.parquet")
    stretch = recorded(tmp_path, STEP_MS, (), None).candles("BTCUSDT", 0, ORIGIN_MS * 2)
    assert len(stretch) == 4
    assert [row.close for row in stretch.rows(1, 3)] == ["2.0", "3.0"]
    write(tmp_path, "BTCUSDT", [3, 4], "BTCUSDT-5m-2025-03.parquet")
    with pytest.raises(BadInput, match="keep one of them"):
        recorded(tmp_path, STEP_MS, (), None)


def test_symbols_are_chosen_by_count_or_by_name(tmp_path: Path) -> None:
    for symbol in ("ADAUSDT", "BTCUSDT", "ETHUSDT"):
        write(tmp_path, symbol, [0])
    assert recorded(tmp_path, STEP_MS, (), 2).symbols == ("ADAUSDT", "BTCUSDT")
    assert recorded(tmp_path, STEP_MS, ("ETHUSDT",), None).symbols == ("ETHUSDT",)
    with pytest.raises(BadInput, match="XRPUSDT"):
        recorded(tmp_path, STEP_MS, ("ETHUSDT", "XRPUSDT"), None)


def test_a_view_shows_nothing_that_has_not_happened(tmp_path: Path) -> None:
    view = View(holed(tmp_path), "5m", STEP_MS, ORIGIN_MS)
    open_at = opens(view)
    assert open_at(None, None, 500, 1) == [0, 1]
    assert open_at(None, None, 2, 7) == [6, 7]
    assert open_at(1, None, 2, 7) == [1, 2]
    assert open_at(1, 6, 500, 7) == [1, 2, 6]
    assert open_at(3, 5, 500, 7) == []
    assert open_at(6, 1, 500, 7) == []
    assert opens(View(view.market, "5m", STEP_MS, ORIGIN_MS + 2 * STEP_MS))(0, None, 500, 7) == [
        2,
        6,
        7,
    ]


def opens(view: View) -> Callable[[int | None, int | None, int, int], list[int]]:
    def at(index: int | None) -> int | None:
        return None if index is None else ORIGIN_MS + index * STEP_MS

    def ask(start: int | None, end: int | None, limit: int, now: int) -> list[int]:
        rows = view.klines("BTCUSDT", at(start), at(end), limit, ORIGIN_MS + now * STEP_MS)
        return [(row.open_time_ms - ORIGIN_MS) // STEP_MS for row in rows]

    return ask


def test_an_open_candle_grows_into_the_final_one() -> None:
    shown = [partial(ROW, step / 100) for step in range(100)]
    assert shown[0][2:7] == ("100.00", "100.00", "100.00", "100.00", "0.000")
    for before, after in itertools.pairwise(shown):
        assert float(before.high) <= float(after.high) <= float(ROW.high)
        assert float(before.low) >= float(after.low) >= float(ROW.low)
        assert float(before.volume) <= float(after.volume) <= float(ROW.volume)
    assert (shown[-1].high, shown[-1].low) == (ROW.high, ROW.low)


def test_the_wire_shapes_are_the_exchanges() -> None:
    assert rest_row(ROW, STEP_MS) == [
        ORIGIN_MS, "100.00", "110.50", "95.25", "105.00", "12.345", ORIGIN_MS + STEP_MS - 1,
        "1234.50000000", 77, "6.1", "600.5", "0",
    ]  # fmt: skip
    pushed = event(ROW, "5m", STEP_MS, ORIGIN_MS + STEP_MS, closed=True)
    assert list(pushed) == ["e", "E", "s", "k"]
    kline = pushed["k"]
    assert isinstance(kline, dict)
    assert list(kline) == [*"tTsifLochlvnxqVQB"]
    assert (kline["T"], kline["x"], kline["n"], kline["c"]) == (
        ORIGIN_MS + STEP_MS - 1,
        True,
        77,
        "105.00",
    )


def test_the_budget_refuses_then_bans_then_forgives() -> None:
    budget = WeightLimiter()
    assert budget.spend(WEIGHT_PER_MINUTE, 60.0).status == 200
    refused = budget.spend(1, 61.5)
    assert (refused.status, refused.retry_after_s, refused.used_weight) == (
        429,
        59,
        WEIGHT_PER_MINUTE + 1,
    )
    verdicts = [budget.spend(1, 62.0).status for _ in range(20)]
    assert verdicts[0] == 429
    assert verdicts[-1] == 418
    assert budget.spend(1, 125.0).status == 418
    assert budget.spend(1, 62.0 + BAN_S).status == 200


def test_a_sixth_message_within_a_second_is_one_too_many() -> None:
    rate = MessageRate()
    assert all(rate.allows(now) for now in (0.0, 0.1, 0.2, 0.3, 0.4, 1.0))
    assert not rate.allows(1.05)
