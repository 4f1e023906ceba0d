"""The market's moves of an import, from recordings and from the log."""

from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from services.cli.candle_import.market_history import LoggedMarket, MarketHistory
from services.cli.candle_import.time_blocks import BlockSlice, TimeBlock
from shared.adapters.recording import Block
from shared.core.market import define_baskets
from shared.core.records import Candle, MarketMove
from tests.support.builders import START_MS, STEP_MS

Closes = Mapping[str, Sequence[float]]
THREE: Closes = {"AAA": [1.0, 1.01, 1.01], "BBB": [1.0, 1.02, 1.02], "CCC": [1.0, 1.03, 1.03]}


def at(moment: int) -> int:
    return START_MS + moment * STEP_MS


def a_time_block(closes: Closes, first: int = 0) -> TimeBlock:
    slices = []
    for symbol, values in closes.items():
        times = at(first) + STEP_MS * np.arange(len(values))
        numbers = np.repeat(np.array(values)[:, None], 5, axis=1)
        slices.append(BlockSlice(Block(symbol, times, numbers, None), 0, len(values)))
    length = max(map(len, closes.values()))
    return TimeBlock(at(first), at(first + length), slices)


def a_logged_candle(
    symbol: str, moment: int, close: float, market: MarketMove | None = None
) -> Candle:
    return Candle(symbol, at(moment), close, close, close, close, 1.0, market=market)


def logged(*candles: Candle) -> LoggedMarket:
    market = LoggedMarket(START_MS, STEP_MS)
    for candle in candles:
        market.add(candle)
    return market


def a_history(symbols: Closes, market: LoggedMarket | None = None) -> MarketHistory:
    return MarketHistory(symbols, None, market or logged(), STEP_MS)


def test_a_move_is_the_median_over_all_recordings_from_close_to_close() -> None:
    moves = a_history(THREE).measure(a_time_block(THREE))

    assert moves == {at(1): MarketMove(0.02, 3), at(2): MarketMove(0.0, 3)}


def test_the_move_at_the_start_of_a_block_is_from_the_closes_of_the_block_before() -> None:
    history = a_history(THREE)
    history.measure(a_time_block({symbol: values[:1] for symbol, values in THREE.items()}))

    moves = history.measure(
        a_time_block({symbol: values[1:] for symbol, values in THREE.items()}, 1)
    )

    assert moves[at(1)] == MarketMove(0.02, 3)


def test_after_a_hole_of_all_recordings_the_move_is_unknown() -> None:
    history = a_history(THREE)
    history.measure(a_time_block({symbol: values[:1] for symbol, values in THREE.items()}))

    moves = history.measure(a_time_block(THREE, first=2))

    assert at(2) not in moves
    assert moves[at(3)] == MarketMove(0.02, 3)


def test_closes_of_the_log_count_where_its_records_have_no_move() -> None:
    market = logged(a_logged_candle("DDD", 0, 1.0), a_logged_candle("DDD", 1, 1.05))

    moves = a_history(THREE, market).measure(a_time_block(THREE))

    assert moves[at(1)] == MarketMove(0.025, 4)


def test_the_log_has_the_word_where_it_knows_as_many_symbols() -> None:
    written = MarketMove(0.5, 3, "0000abcd", (0.1,))

    moves = a_history(THREE, logged(a_logged_candle("DDD", 1, 1.0, written))).measure(
        a_time_block(THREE)
    )

    assert moves[at(1)] == written


def test_recordings_of_more_symbols_than_the_log_knows_are_taken_instead() -> None:
    written = MarketMove(0.5, 2)

    moves = a_history(THREE, logged(a_logged_candle("DDD", 1, 1.0, written))).measure(
        a_time_block(THREE)
    )

    assert moves[at(1)] == MarketMove(0.02, 3)


def test_of_two_records_of_a_moment_the_one_over_more_symbols_counts() -> None:
    few, many = MarketMove(0.1, 30), MarketMove(0.2, 40)
    market = logged(
        a_logged_candle("DDD", 1, 1.0, few),
        a_logged_candle("EEE", 1, 1.0, many),
        a_logged_candle("FFF", 1, 1.0, few),
    )

    assert a_history(THREE, market).measure(a_time_block(THREE))[at(1)] == many


def test_fewer_symbols_than_a_quorum_give_no_move() -> None:
    two = {symbol: THREE[symbol] for symbol in ("AAA", "BBB")}

    assert a_history(two).measure(a_time_block(two)) == {}


def test_a_change_in_the_log_needs_the_close_before_it_whatever_that_record_has() -> None:
    market = logged(
        a_logged_candle("DDD", 0, 1.0, MarketMove(0.0, 40)),
        a_logged_candle("DDD", 1, 1.05),
    )

    assert a_history(THREE, market).measure(a_time_block(THREE))[at(1)] == MarketMove(0.025, 4)


@pytest.mark.parametrize("interrupted_at", [1, 2])
def test_a_move_does_not_depend_on_where_an_import_was_interrupted(interrupted_at: int) -> None:
    baskets = define_baskets([["AAA", "BBB", "CCC"]], 0, 0)
    whole = MarketHistory(THREE, baskets, logged(), STEP_MS).measure(a_time_block(THREE))
    # The interrupted import has written AAA, and not the others of the last moment.
    written = [
        a_logged_candle(symbol, moment, THREE[symbol][moment], whole.get(at(moment)))
        for symbol in THREE
        for moment in range(interrupted_at + (symbol == "AAA"))
    ]

    resumed = MarketHistory(THREE, baskets, logged(*written), STEP_MS)

    assert resumed.measure(a_time_block(THREE)) == whole
