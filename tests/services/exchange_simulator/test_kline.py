import itertools

from services.exchange_simulator.kline import partial_candle, to_rest_row, to_stream_event
from services.exchange_simulator.synthetic import ORIGIN_MS
from shared.adapters.recording import CandleRow
from tests.support.builders import STEP_MS

ROW = CandleRow(
    "BTCUSDT", ORIGIN_MS, "100.00", "110.50", "95.25", "105.00", "12.345",
    "1234.50000000", 77, "6.1", "600.5",
)  # fmt: skip


def test_an_open_candle_grows_into_the_final_one() -> None:
    shown = [partial_candle(ROW, step / 100) for step in range(100)]
    assert shown[0][2:7] == ("100.00", "100.00", "100.00", "100.00", "0.000")
    for before, after in itertools.pairwise(shown):
        assert float(before.high) <= float(after.high) <= float(ROW.high)
        assert float(before.low) >= float(after.low) >= float(ROW.low)
        assert float(before.volume) <= float(after.volume) <= float(ROW.volume)
    assert (shown[-1].high, shown[-1].low) == (ROW.high, ROW.low)


def test_candles_are_sent_in_the_exchanges_format() -> None:
    assert to_rest_row(ROW, STEP_MS) == [
        ORIGIN_MS, "100.00", "110.50", "95.25", "105.00", "12.345", ORIGIN_MS + STEP_MS - 1,
        "1234.50000000", 77, "6.1", "600.5", "0",
    ]  # fmt: skip
    pushed = to_stream_event(ROW, "5m", STEP_MS, ORIGIN_MS + STEP_MS, closed=True)
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
