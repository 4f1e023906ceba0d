"""The market's moves of a span, recomputed where the log lacks them."""

from collections.abc import Mapping

import numpy as np
import pytest

from shared.core.arrays import Float64s
from shared.core.market import BasketDefinition, define_baskets, market_move
from shared.core.market_table import tabulate_market, with_market
from shared.core.records import Candle, MarketMove
from shared.core.sequence import (
    BASKETS,
    CLOSE,
    MARKET_CHANGE,
    OPEN_TIME,
    baskets_code,
    candle_row,
    candle_values,
    row_candle,
)
from tests.support.builders import START_MS, STEP_MS, a_walk

NAMES = ["AAAUSDT", "BBBUSDT", "CCCUSDT", "DDDUSDT"]
BASKETS_OF_THREE = define_baskets([NAMES[:3], NAMES[1:]], START_MS, START_MS)
OTHERS = define_baskets([NAMES], START_MS, START_MS)


def a_sequence_of(
    symbol: str, count: int = 50, first: int = 0, market: MarketMove | None = None
) -> Float64s:
    closes = a_walk(count, NAMES.index(symbol) + 1)
    return np.concatenate(
        [
            candle_row(Candle(symbol, START_MS + at * STEP_MS, c, c, c, c, 1.0, market=market))
            for at, c in enumerate(closes, first)
        ]
    )


def some_sequences(market: MarketMove | None = None) -> dict[str, Float64s]:
    return {symbol: a_sequence_of(symbol, market=market) for symbol in NAMES}


def expected_move(
    sequences: Mapping[str, Float64s], at: int, baskets: BasketDefinition
) -> MarketMove:
    def closes(moment: int) -> dict[str, float]:
        time_ms = START_MS + moment * STEP_MS
        return {
            symbol: float(rows[rows[:, OPEN_TIME] == time_ms, CLOSE][0])
            for symbol, rows in sequences.items()
            if (rows[:, OPEN_TIME] == time_ms).any()
        }

    return market_move(closes(at - 1), closes(at), list(sequences), baskets)


def test_a_candle_without_a_move_has_the_one_of_the_closes_of_its_moment() -> None:
    sequences = some_sequences()

    filled = with_market(sequences, (), BASKETS_OF_THREE, STEP_MS)

    for at in (1, 2, 49):
        candle = row_candle("BBBUSDT", filled["BBBUSDT"][at].tolist())
        expected = expected_move(sequences, at, BASKETS_OF_THREE)
        assert candle.market is not None
        assert (candle.market.change, candle.market.symbols) == (expected.change, 4)
        assert candle.market.basket_changes[:2] == expected.basket_changes


def test_a_move_of_the_log_stays_where_it_is_of_the_definition() -> None:
    move = MarketMove(0.5, 40, BASKETS_OF_THREE.version, (0.1, None))

    filled = with_market(some_sequences(move), (), BASKETS_OF_THREE, STEP_MS)

    assert filled.recomputed_share() == 0.0
    assert filled["AAAUSDT"][:, MARKET_CHANGE].tolist() == [0.5] * 50


@pytest.mark.parametrize(
    "move",
    [
        None,
        MarketMove(None, 2),
        MarketMove(0.5, 40),
        MarketMove(0.5, 40, OTHERS.version, (0.1,)),
    ],
)
def test_a_move_of_no_or_of_another_definition_is_recomputed(move: MarketMove | None) -> None:
    filled = with_market(some_sequences(move), (), BASKETS_OF_THREE, STEP_MS)

    assert filled.recomputed_share() == 1.0
    assert (np.abs(filled["AAAUSDT"][1:, MARKET_CHANGE]) < 0.1).all()
    assert set(filled["AAAUSDT"][:, BASKETS]) == {baskets_code(BASKETS_OF_THREE.version)}


def test_without_a_definition_a_known_move_of_the_log_stays() -> None:
    filled = with_market(some_sequences(MarketMove(0.5, 40)), (), None, STEP_MS)

    assert filled.recomputed_share() == 0.0


def test_symbols_of_other_spans_count_while_they_have_candles() -> None:
    sequences = some_sequences() | {"BBBUSDT": a_sequence_of("BBBUSDT", 20, first=10)}

    table = tabulate_market(sequences, BASKETS_OF_THREE, STEP_MS)

    for at in (5, 10, 11, 29, 30, 49):
        expected = expected_move(sequences, at, BASKETS_OF_THREE)
        row = table.at(np.array([START_MS + at * STEP_MS], dtype=np.float64))[0]
        values = candle_values(Candle("X", 0, 1.0, 1.0, 1.0, 1.0, 1.0, market=expected))
        assert np.array_equal(row, values[MARKET_CHANGE:], equal_nan=True)


def test_a_long_span_is_measured_in_parts_without_a_seam() -> None:
    sequences = {symbol: a_sequence_of(symbol, 4_200) for symbol in NAMES}

    table = tabulate_market(sequences, None, STEP_MS)

    assert np.isnan(table.columns[0, 0])
    assert np.isfinite(table.columns[1:, 0]).all()


def test_only_the_wanted_symbols_are_given_but_all_make_the_market() -> None:
    sequences = some_sequences()

    filled = with_market(sequences, ["CCCUSDT"], None, STEP_MS)

    assert list(filled) == ["CCCUSDT"]
    assert filled["CCCUSDT"][1, MARKET_CHANGE + 1] == 4
    with pytest.raises(KeyError):
        filled["AAAUSDT"]
