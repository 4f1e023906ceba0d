"""Folding a record changes the states of its symbols and copies nothing else."""

from typing import NoReturn

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.core.online.partition import PartitionState, fold
from shared.core.online.state import SymbolState
from shared.core.records import Gap, Record
from tests.shared.core.online.models import MODEL, MODELS, OTHER, WINDOW
from tests.support.builders import (
    CONTEXT,
    STEP_MS,
    a_candle,
    a_promotion,
    a_walk,
    applied,
    candles,
    fold_all,
)

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


def test_nothing_is_predicted_before_the_first_promotion() -> None:
    state, predictions = fold_all(candles(a_walk(WINDOW + 5)), MODELS)

    assert predictions == []
    assert len(state.symbols["BTCUSDT"].sequence) == WINDOW + 5


@given(st.permutations(range(2 * (WINDOW + 4))))
@settings(max_examples=20)
def test_a_symbols_predictions_do_not_depend_on_other_symbols(order: list[int]) -> None:
    both = [
        candles(a_walk(WINDOW + 4, seed), name) for seed, name in ((1, "AAAUSDT"), (2, "BBBUSDT"))
    ]
    turns = [both[0], both[1]]
    interleaved: list[Record] = []
    positions = [0, 0]
    for place in order:
        which = place % 2
        interleaved.append(turns[which][positions[which]])
        positions[which] += 1

    _, mixed = fold_all([a_promotion(MODEL), *interleaved], MODELS)
    _, alone = fold_all([a_promotion(MODEL), *both[0]], MODELS)

    values = [(p.open_time_ms, p.predicted_change, p.steps) for p in mixed if p.symbol == "AAAUSDT"]
    assert values == [(p.open_time_ms, p.predicted_change, p.steps) for p in alone]


def test_a_gap_record_changes_no_symbol() -> None:
    records = [a_promotion(MODEL), *candles(a_walk(WINDOW + 1))]
    state, _ = fold_all(records, MODELS)

    after = fold(state, Gap("BTCUSDT", 0, STEP_MS), len(records), MODEL, CONTEXT)

    assert after.prediction is None
    assert after.symbols == {}
    assert after.next_offset == state.next_offset + 1


def test_a_rollback_restarts_the_older_version() -> None:
    closes = a_walk(WINDOW + 8)
    records = candles(closes)
    log = [
        a_promotion(MODEL),
        *records[: WINDOW + 2],
        a_promotion(OTHER),
        *records[WINDOW + 2 : WINDOW + 5],
        a_promotion(MODEL),
        *records[WINDOW + 5 :],
    ]

    _, predictions = fold_all(log, MODELS)

    versions = [p.model_version for p in predictions]
    assert versions == [MODEL.version] * 3 + [OTHER.version] * 3 + [MODEL.version] * 3
    assert predictions[6].steps == 0


def test_while_another_numeric_profile_predicts_only_sequences_grow() -> None:
    theirs = a_promotion(OTHER, "2-other")
    closes = a_walk(WINDOW + 9)
    records = candles(closes)
    log = [
        a_promotion(MODEL),
        *records[: WINDOW + 2],
        theirs,
        *records[WINDOW + 2 : WINDOW + 6],
        a_promotion(OTHER),
        *records[WINDOW + 6 :],
    ]
    during, _ = fold_all(log[: WINDOW + 8], MODELS)

    state, predictions = fold_all(log, MODELS)

    assert during.numeric_profile == "2-other"
    assert during.symbols["BTCUSDT"].learner is None
    assert [p.source_offset for p in predictions] == [
        *range(WINDOW, WINDOW + 3),
        *range(WINDOW + 9, WINDOW + 12),
    ]
    assert [p.steps for p in predictions] == [0, 1, 2, 0, 1, 2]
    times_ms = [r.open_time_ms for r in records]  # type: ignore[union-attr]
    assert np.array_equal(state.symbols["BTCUSDT"].sequence[:, 0], times_ms)


def test_a_promotion_needs_its_model() -> None:
    with pytest.raises(ValueError, match="without its model"):
        fold(PartitionState(), a_promotion(MODEL), 0, None, CONTEXT)
