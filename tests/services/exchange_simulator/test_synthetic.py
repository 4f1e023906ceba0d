import itertools

import numpy as np
from numpy.typing import NDArray

from services.exchange_simulator.synthetic import (
    ORIGIN_MS,
    SyntheticMarket,
    is_thin,
    synthetic_symbols,
)
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
            assert float(row.taker_buy_volume or "nan") <= float(row.volume)
            assert (row.trades == 0) == (float(row.volume) == 0) <= (high == low)
        assert all(before.close == after.open for before, after in itertools.pairwise(rows))


def test_nothing_comes_before_the_synthetic_market_begins() -> None:
    market = SyntheticMarket(synthetic_symbols(1), STEP_MS, 1)
    assert len(market.find("SYN01USDT", 0, ORIGIN_MS + 1)) == 1
    assert len(market.find("BTCUSDT", 0, ORIGIN_MS + 1)) == 0


def changes(market: SyntheticMarket, symbol: str) -> NDArray[np.float64]:
    closes = np.array([float(row.close) for row in market.rows(symbol, range(4000))])
    return np.asarray(closes[1:] / closes[:-1] - 1)


def test_liquid_symbols_move_with_the_market_and_thin_ones_follow_it() -> None:
    market = SyntheticMarket(synthetic_symbols(15), STEP_MS, 1)
    all_changes = {symbol: changes(market, symbol) for symbol in market.symbols}
    move = np.median(np.array(list(all_changes.values())), axis=0)

    for symbol, own in all_changes.items():
        late = np.corrcoef(own[1:], move[:-1])[0, 1]
        assert (late > 0.15) == is_thin(symbol)
        assert (np.mean(own == 0.0) > 0.2) == is_thin(symbol)
        assert is_thin(symbol) or np.corrcoef(own, move)[0, 1] > 0.5


def test_symbols_of_a_cluster_have_more_in_common_than_others() -> None:
    market = SyntheticMarket(("SYN01USDT", "SYN07USDT", "SYN02USDT"), STEP_MS, 1)
    first, same, other = (changes(market, symbol) for symbol in market.symbols)

    assert np.corrcoef(first, same)[0, 1] > np.corrcoef(first, other)[0, 1] + 0.05
