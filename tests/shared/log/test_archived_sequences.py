"""Sequences of an archive: compact, built when asked for, the same values as the candles'."""

import numpy as np
import pytest

from shared.core.records import Candle, MarketMove
from shared.core.sequence import CLOSE, OPEN_TIME, SEQUENCE_COLUMNS, candle_values
from shared.core.sequence_mapping import SelectedSequences, own_columns
from shared.log.archived_sequences import ArchivedSequences, MarketMoveTable, SequenceBuilder
from tests.support.builders import START_MS, STEP_MS

MOVE = MarketMove(0.001, 40, "0000abcd", (0.002, None))


def a_candle_of(
    symbol: str, at: int, close: float = 100.0, market: MarketMove | None = MOVE
) -> Candle:
    time_ms = START_MS + at * STEP_MS
    return Candle(symbol, time_ms, close, close, close, close, 1.0, 2.0, 3, None, market)


def collected(
    *candles: Candle, keep: int | None = None, total: int | None = None
) -> ArchivedSequences:
    builder = SequenceBuilder(keep, total)
    for candle in candles:
        builder.append(candle)
    return builder.sequences()


def test_a_sequence_has_the_values_of_its_candles() -> None:
    candles = [a_candle_of("BBB", 0), a_candle_of("BBB", 1, 101.0, None), a_candle_of("BBB", 3)]

    sequence = collected(*candles)["BBB"]

    expected = [candle_values(candle) for candle in candles]
    assert np.array_equal(sequence, np.array(expected), equal_nan=True)


def test_symbols_are_sorted_and_an_unknown_one_is_refused() -> None:
    sequences = collected(a_candle_of("BBB", 0), a_candle_of("AAA", 0))

    assert list(sequences) == ["AAA", "BBB"]
    with pytest.raises(KeyError):
        sequences["CCC"]


def test_a_candle_that_is_not_newer_is_refused() -> None:
    builder = SequenceBuilder()

    appended = [builder.append(a_candle_of("AAA", at)) for at in (0, 1, 1, 0, 2)]

    assert appended == [True, True, False, False, True]


def test_an_amendment_replaces_the_candle_and_its_move() -> None:
    builder = SequenceBuilder()
    for at in range(3):
        builder.append(a_candle_of("AAA", at))
    amended = a_candle_of("AAA", 1, 7.0, MarketMove(0.5, 3))
    for candle in (amended, a_candle_of("AAA", 9), a_candle_of("ZZZ", 1)):
        builder.amend(candle)

    sequence = builder.sequences()["AAA"]

    assert sequence[:, CLOSE].tolist() == [100.0, 7.0, 100.0]
    assert np.array_equal(sequence[1], candle_values(amended), equal_nan=True)


def test_an_amendment_without_a_move_leaves_the_candles_own() -> None:
    builder = SequenceBuilder()
    builder.append(a_candle_of("AAA", 0))
    builder.amend(a_candle_of("AAA", 0, 7.0, None))

    expected = candle_values(a_candle_of("AAA", 0, 7.0, MOVE))
    assert np.array_equal(builder.sequences()["AAA"][0], expected, equal_nan=True)


@pytest.mark.parametrize("keep", [None, 3, 6])
def test_a_fill_goes_to_its_time_once(keep: int | None) -> None:
    builder = SequenceBuilder(keep)
    for at in (2, 3, 6, 7):
        builder.append(a_candle_of("AAA", at))
    fills = [a_candle_of("AAA", at, 50.0 + at, None) for at in (4, 1, 8, 4, 6)]

    assert [builder.fill(fill) for fill in fills] == [2, 0, 6, None, None]
    assert not builder.append(a_candle_of("AAA", 8))
    builder.append(a_candle_of("AAA", 9))
    sequence = builder.sequences()["AAA"]
    times = [1, 2, 3, 4, 6, 7, 8, 9][-(keep or 8) :]
    assert sequence[:, OPEN_TIME].tolist() == [START_MS + at * STEP_MS for at in times]
    assert sequence[times.index(8), CLOSE] == 58.0


@pytest.mark.parametrize("keep", [1, 3, 10])
def test_at_most_so_many_candles_are_kept_the_newest_ones(keep: int) -> None:
    sequence = collected(*(a_candle_of("AAA", at) for at in range(10)), keep=keep)["AAA"]

    times = [START_MS + at * STEP_MS for at in range(10)][-keep:]
    assert sequence[:, OPEN_TIME].tolist() == times


def test_a_move_is_kept_once_for_all_candles_that_have_it() -> None:
    table = MarketMoveTable()
    equal = MarketMove(0.001, 40, "0000abcd", (0.002, None))

    numbers = [table.number(move) for move in (MOVE, None, equal, MarketMove(0.1, 3), MOVE)]

    assert numbers == [1, 0, 1, 2, 1]
    assert table.rows().shape == (3, SEQUENCE_COLUMNS - 9)


def test_the_markets_columns_can_be_had_of_some_candles() -> None:
    sequences = collected(*(a_candle_of("AAA", at) for at in range(5)))

    part = sequences.market_columns("AAA", slice(1, 3))

    assert np.array_equal(part, sequences["AAA"][1:3, 9:], equal_nan=True)


def test_a_selection_has_the_wanted_symbols_alone() -> None:
    sequences = collected(*(a_candle_of(symbol, 0) for symbol in ("AAA", "BBB", "CCC")))
    selected = SelectedSequences(sequences, ["CCC", "AAA"])

    assert list(selected) == list(own_columns(selected)) == ["CCC", "AAA"]
    assert own_columns(selected)["AAA"].shape == (1, 9)
    with pytest.raises(KeyError):
        selected["BBB"]


@pytest.mark.parametrize(("total", "share"), [(1, 1), (6, 2), (30, 10), (1_000, 100)])
def test_symbols_share_a_total_whichever_come_first(total: int, share: int) -> None:
    names = ("CCC", "AAA", "BBB")
    candles = [a_candle_of(name, at) for name in names for at in range(100)]

    sequences = collected(*candles, total=total)

    newest = [START_MS + at * STEP_MS for at in range(100)][-share:]
    assert {name: sequences[name][:, OPEN_TIME].tolist() for name in sequences} == dict.fromkeys(
        sorted(names), newest
    )


def test_sequences_since_a_time_are_those_of_the_symbols_with_candles_then() -> None:
    sequences = collected(
        *(a_candle_of("AAA", at) for at in range(5)),
        a_candle_of("BBB", 0),
        a_candle_of("CCC", 4, 7.0, None),
    )

    since = sequences.since(START_MS + 3 * STEP_MS)

    assert {name: len(since[name]) for name in since} == {"AAA": 2, "CCC": 1}
    assert np.array_equal(since["AAA"], sequences["AAA"][3:], equal_nan=True)
    assert np.array_equal(since["CCC"], sequences["CCC"], equal_nan=True)
