import itertools

from services.exchange_simulator.synthetic import ORIGIN_MS, SyntheticMarket, synthetic_symbols
from shared.adapters.recording import CandleRow
from tests.support.builders import STEP_MS


def synthetic_rows(seed: int, symbol: str, first: int, count: int) -> list[CandleRow]:
    market = SyntheticMarket(synthetic_symbols(3), STEP_MS, seed)
    begin = ORIGIN_MS + first * STEP_MS
    return list(market.rows(symbol, market.find(symbol, begin, begin + count * STEP_MS)))


def test_a_synthetic_candle_depends_only_on_seed_symbol_and_time() -> None:
    whole = synthetic_rows(1, "SYN01USDT", 0, 3000)
    assert synthetic_rows(1, "SYN01USDT", 2500, 10) == whole[2500:2510]
    assert synthetic_rows(2, "SYN01USDT", 0, 1) != whole[:1]
    assert synthetic_rows(1, "SYN02USDT", 0, 1) != whole[:1]


def test_synthetic_candles_are_well_formed() -> None:
    for symbol in synthetic_symbols(3):
        rows = synthetic_rows(5, symbol, 0, 2000)
        for row in rows:
            opened, high, low, close = (float(text) for text in row[2:6])
            assert 0 < low <= min(opened, close) <= max(opened, close) <= high
            assert float(row.taker_buy_volume or "nan") < float(row.volume)
        assert all(before.close == after.open for before, after in itertools.pairwise(rows))


def test_nothing_comes_before_the_synthetic_market_begins() -> None:
    market = SyntheticMarket(synthetic_symbols(1), STEP_MS, 1)
    assert len(market.find("SYN01USDT", 0, ORIGIN_MS + 1)) == 1
    assert len(market.find("BTCUSDT", 0, ORIGIN_MS + 1)) == 0
