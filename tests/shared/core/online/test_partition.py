"""Folding a record changes the states of its symbols and copies nothing else."""

from typing import NoReturn

from shared.core.online.partition import PartitionState, fold
from shared.core.online.state import SymbolState
from tests.support.builders import (
    CONTEXT,
    a_candle,
    a_model,
    a_promotion,
    a_walk,
    applied,
    candles,
    fold_all,
)

MODEL = a_model()
WINDOW = MODEL.card.architecture.window_length
SYMBOLS = [f"S{number:03d}USDT" for number in range(200)]


class WatchedMap(dict[str, SymbolState]):
    """A map of symbols that fails when it is copied or walked."""

    def __iter__(self) -> NoReturn:
        raise AssertionError

    keys = values = items = copy = __iter__


def a_state_of_many_symbols() -> PartitionState:
    state = PartitionState(symbols={name: SymbolState(name) for name in SYMBOLS})
    return applied(state, fold(state, a_promotion(MODEL), 0, MODEL, CONTEXT))


def test_candles_are_folded_without_copying_the_map_of_symbols() -> None:
    state = a_state_of_many_symbols()
    state.symbols = WatchedMap(state.symbols)
    owned, others = state.symbols, {name: dict.get(state.symbols, name) for name in SYMBOLS[1:]}

    for offset, candle in enumerate(candles(a_walk(WINDOW + 5), SYMBOLS[0]), start=1):
        change = fold(state, candle, offset, MODEL, CONTEXT)
        state.apply(change)

        assert change.symbols.keys() == {SYMBOLS[0]}
        assert state.symbols is owned

    assert all(state.symbols[name] is before for name, before in others.items())
    assert len(state.symbols[SYMBOLS[0]].sequence) == WINDOW + 5


def test_folding_leaves_the_state_it_reads_as_it_was() -> None:
    state, _ = fold_all([a_promotion(MODEL), *candles(a_walk(WINDOW + 2))], {MODEL.version: MODEL})
    offset, symbols = state.next_offset, dict(state.symbols)

    change = fold(state, a_candle(WINDOW + 2), offset, MODEL, CONTEXT)

    assert change.next_offset == offset + 1
    assert (state.next_offset, state.symbols) == (offset, symbols)


def test_a_copy_of_a_state_is_changed_alone() -> None:
    state = PartitionState()
    copy = state.copy()

    copy.apply(fold(copy, a_candle(0), 0, None, CONTEXT))

    assert state == PartitionState()
    assert copy.symbols.keys() == {"BTCUSDT"}
