"""Fills and amendments correct what later windows see; nothing is learnt from them, or twice."""

from collections.abc import Sequence
from dataclasses import replace
from random import Random
from typing import Final

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.adapters.schemas.predictions import encode_prediction
from shared.core.errors import BadInput
from shared.core.online.checkpoints import BLOCK, KEPT
from shared.core.online.model import Model
from shared.core.online.partition import PartitionState, fold
from shared.core.online.prediction import Prediction
from shared.core.online.state import SymbolState
from shared.core.online.state_codec import decode_state, encode_state
from shared.core.online.state_digest import state_digest
from shared.core.records import Amendment, Fill, Gap, MarketMove, Record, StatusName, SymbolStatus
from shared.core.sequence import CLOSE, MARKET_CHANGE, OPEN_TIME, SEQUENCE_LENGTH
from tests.shared.core.online.models import BOTH, MODEL, MODELS, RETURNS, WINDOW
from tests.support.builders import (
    CONTEXT,
    START_MS,
    STEP_MS,
    a_candle,
    a_promotion,
    a_walk,
    applied,
    candles,
    fold_all,
)

OTHER_SYMBOL: Final = "ETHUSDT"
COUNT: Final = WINDOW + 24
CLOSES: Final = a_walk(COUNT)
seeds = st.integers(0, 2**32)
kinds = pytest.mark.parametrize("model", [MODEL, RETURNS, BOTH], ids=["levels", "returns", "both"])


def gap(start: int, stop: int, symbol: str = "BTCUSDT") -> Gap:
    return Gap(symbol, START_MS + start * STEP_MS, START_MS + stop * STEP_MS)


def ended(at: int, symbol: str = "BTCUSDT") -> SymbolStatus:
    return SymbolStatus(symbol, START_MS + at * STEP_MS, "delisted", "listed no more")


def state_after(records: Sequence[Record], model: Model) -> SymbolState:
    return fold_all([a_promotion(model), *records], MODELS)[0].symbols["BTCUSDT"]


def seen(state: SymbolState) -> list[object]:
    """What the next prediction sees, apart from what was learnt."""
    assert state.features is not None
    assert state.intervals is not None
    return [
        state.sequence.tobytes(),
        state.features.carry,
        state.features.rows.tobytes(),
        state.intervals.volatility,
        state.checkpoints.tobytes(),
    ]


def a_corrected_log(seed: int, symbol: str = "BTCUSDT") -> list[Record]:
    """A log whose candles are those of CLOSES in the end, whatever was wrong or missing at first.

    The first candle is right: nothing comes before it.
    """
    rng = Random(seed)
    late = {at: rng.randrange(7) for at in rng.sample(range(1, COUNT), rng.randrange(8))}
    due: list[tuple[int, Record]] = []
    records: list[Record] = []
    for at, close in enumerate(CLOSES):
        right = a_candle(at, close, symbol)
        if at in late and rng.random() < 0.6:
            records.append(gap(at, at + 1, symbol))
            due.append((at + late[at], Fill(right)))
        elif at in late:
            records.append(a_candle(at, close * 1.03, symbol))
            due.append((at + late[at], Amendment(right)))
        else:
            records.append(right)
        records += [record for when, record in due if when == at]
    return records + [record for when, record in due if when >= COUNT]


@kinds
@given(seed=seeds)
@settings(max_examples=30)
def test_after_its_corrections_a_log_shows_what_the_right_one_shows(
    model: Model, seed: int
) -> None:
    records = a_corrected_log(seed)
    corrected, right = state_after(records, model), state_after(candles(CLOSES), model)

    assert seen(corrected) == seen(right)
    assert corrected.corrections == sum(isinstance(r, Fill | Amendment) for r in records)


FIRST_CHECKPOINT: Final = 2 * BLOCK - START_MS // STEP_MS % BLOCK  # of the last 512 of 700 candles


@pytest.mark.parametrize("at", [1, 190, 224, 225, 352, 479, 480, 699])
@pytest.mark.parametrize("kind", [Fill, Amendment])
def test_slow_statistics_are_not_cut_to_the_candles_that_are_kept(
    at: int, kind: type[Fill] | type[Amendment]
) -> None:
    closes = a_walk(700)
    right: list[Record] = candles(closes)
    wrong = gap(at, at + 1) if kind is Fill else a_candle(at, closes[at] * 1.01)
    records = [*right[:at], wrong, *right[at + 1 :], kind(a_candle(at, closes[at]))]

    corrected, expected = state_after(records, RETURNS), state_after(right, RETURNS)

    assert (seen(corrected) == seen(expected)) == (at > FIRST_CHECKPOINT)
    assert corrected.sequence.tobytes() == expected.sequence.tobytes()
    assert corrected.corrections == (at >= 700 - SEQUENCE_LENGTH)
    assert len(corrected.checkpoints) == KEPT


def test_a_correction_from_before_the_promotion_waits_for_the_next_one() -> None:
    records = candles(CLOSES)
    wrong = [*records[:5], a_candle(5, 120.0), *records[6:]]
    state, _ = fold_all([*wrong, a_promotion(RETURNS)], MODELS)
    before = state.symbols["BTCUSDT"]

    amended = fold(state, Amendment(a_candle(5, CLOSES[5])), state.next_offset, RETURNS, CONTEXT)
    after = amended.symbols["BTCUSDT"]

    assert after.sequence[5, CLOSE] == CLOSES[5]
    assert after.features is before.features
    again, _ = fold_all([a_promotion(RETURNS)], MODELS, applied(state, amended), COUNT + 2)
    right, _ = fold_all([*records, a_promotion(RETURNS)], MODELS)
    assert seen(again.symbols["BTCUSDT"]) == seen(right.symbols["BTCUSDT"])


@kinds
@pytest.mark.parametrize("at", [WINDOW + 1, WINDOW + 2])
def test_nothing_is_learnt_from_a_fill_nor_from_the_prediction_before_it(
    model: Model, at: int
) -> None:
    """The fill lies within the window, or after its newest candle."""
    records = candles(CLOSES)
    log = [a_promotion(model), *records[: WINDOW + 1], gap(WINDOW + 1, WINDOW + 2)]
    log += records[WINDOW + 2 : at + 1]
    state, _ = fold_all(log, MODELS)
    before = state.symbols["BTCUSDT"]

    filled = fold(state, Fill(a_candle(WINDOW + 1, 101.0)), len(log), model, CONTEXT)
    after = filled.symbols["BTCUSDT"]
    following = fold(applied(state, filled), records[WINDOW + 3], len(log) + 1, model, CONTEXT)

    assert filled.prediction is None
    assert (after.learner, after.head) == (before.learner, before.head)
    assert (after.steps, after.scores) == (before.steps, before.scores)
    assert (after.calibration, after.evidence) == (before.calibration, before.evidence)
    prediction = following.prediction
    assert prediction is not None
    assert (prediction.loss, prediction.steps, prediction.corrections) == (None, before.steps, 1)
    assert prediction.scores == before.scores


def test_the_outcome_of_a_prediction_is_that_of_its_own_candle() -> None:
    """A fill at the end makes the next candle follow it; what was predicted is another one."""
    records = candles(CLOSES)
    log = [a_promotion(MODEL), *records[: WINDOW + 1], gap(WINDOW + 1, WINDOW + 2)]
    state, predictions = fold_all(log, MODELS)
    fill, candle = Fill(a_candle(WINDOW + 1, 101.0)), a_candle(WINDOW + 2, 103.0)

    _, later = fold_all([fill, candle, records[WINDOW + 3]], MODELS, state, len(log))

    assert later[0].previous is not None
    assert later[0].previous.open_time_ms == predictions[-1].open_time_ms
    assert later[0].previous.outcome_change is None
    assert later[1].loss is not None  # from here on, it learns again


def test_an_amendment_without_the_market_leaves_the_markets_move() -> None:
    move = MarketMove(0.002, 40)
    records = [replace(a_candle(at, close), market=move) for at, close in enumerate(CLOSES)]
    amendment = Amendment(a_candle(3, 99.0))
    other = Amendment(replace(a_candle(4, 99.0), market=MarketMove(0.5, 2)))

    sequence = state_after([*records, amendment, other], MODEL).sequence

    assert sequence[3:5, CLOSE].tolist() == [99.0, 99.0]
    assert sequence[3:5, MARKET_CHANGE].tolist() == [0.002, 0.5]


@pytest.mark.parametrize(
    ("correction", "message"),
    [
        (Fill(a_candle(3, 99.0)), "has this candle; publish an amendment"),
        (Amendment(a_candle(WINDOW + 2, 99.0)), "no such candle; publish a fill"),
        (Amendment(a_candle(COUNT, 99.0)), "no such candle; publish a fill"),
        (Fill(a_candle(3, 99.0, OTHER_SYMBOL)), "no candles of ETHUSDT before it"),
        (Amendment(a_candle(3, 99.0, OTHER_SYMBOL)), "no candles of ETHUSDT before it"),
    ],
)
def test_a_correction_that_contradicts_the_log_is_refused(
    correction: Fill | Amendment, message: str
) -> None:
    records = candles(CLOSES)
    hole = gap(WINDOW + 2, WINDOW + 3)
    state, _ = fold_all(
        [a_promotion(MODEL), *records[: WINDOW + 2], hole, *records[WINDOW + 3 :]], MODELS
    )

    with pytest.raises(BadInput, match=message) as refused:
        fold(state, correction, state.next_offset, MODEL, CONTEXT)

    assert refused.value.reason == "contradiction"


@pytest.mark.parametrize("kind", [Fill, Amendment])
def test_a_correction_of_a_dropped_candle_changes_nothing(
    kind: type[Fill] | type[Amendment],
) -> None:
    state, _ = fold_all([a_promotion(MODEL), *candles(a_walk(WINDOW + 1), start=100)], MODELS)

    after = fold(state, kind(a_candle(3, 7.0)), state.next_offset, MODEL, CONTEXT)

    assert state_digest(after.symbols["BTCUSDT"]) == state_digest(state.symbols["BTCUSDT"])


@kinds
def test_a_symbol_that_ended_is_let_go_and_begins_anew_like_a_new_one(model: Model) -> None:
    first, second = candles(CLOSES), candles(CLOSES, start=COUNT + 50)
    before = state_after(first, model)
    state, _ = fold_all([a_promotion(model), *first, ended(COUNT)], MODELS)
    after = state.symbols["BTCUSDT"]

    assert len(after.sequence) == 0
    assert len(encode_state(after)) < 1_000 < len(encode_state(before))
    _, again = fold_all(second, MODELS, state, 1 + COUNT + 1)
    _, new = fold_all([a_promotion(model), *[gap(0, 1)] * (COUNT + 1), *second], MODELS)
    assert list(map(encode_prediction, again)) == list(map(encode_prediction, new))


def test_a_promotion_leaves_an_ended_symbol_without_a_state() -> None:
    state, _ = fold_all([a_promotion(MODEL), *candles(CLOSES), ended(COUNT)], MODELS)

    change = fold(state, a_promotion(RETURNS), state.next_offset, RETURNS, CONTEXT)

    assert change.symbols == {}


def test_candles_from_before_its_end_do_not_begin_a_symbol_anew() -> None:
    state, _ = fold_all([a_promotion(MODEL), *candles(CLOSES), ended(COUNT)], MODELS)

    with pytest.raises(BadInput, match="begins at") as refused:
        fold(state, a_candle(COUNT - 1), state.next_offset, MODEL, CONTEXT)

    assert refused.value.reason == "out_of_order"
    assert fold(state, a_candle(COUNT), state.next_offset, MODEL, CONTEXT).symbols


def test_a_listing_makes_a_symbol_known_whatever_was_before() -> None:
    state, _ = fold_all([a_promotion(MODEL), *candles(CLOSES)], MODELS)
    listed = replace(ended(COUNT), status="listed")

    for before in (state, PartitionState(next_offset=state.next_offset, known_from=1)):
        after = fold(before, listed, state.next_offset, MODEL, CONTEXT).symbols["BTCUSDT"]
        assert (len(after.sequence), after.begins_ms) == (0, listed.time_ms)


@pytest.mark.parametrize("status", ["halted", "resumed"])
def test_a_halt_changes_nothing(status: StatusName) -> None:
    state, _ = fold_all([a_promotion(MODEL), *candles(CLOSES)], MODELS)
    record = replace(ended(COUNT), status=status)

    assert fold(state, record, state.next_offset, MODEL, CONTEXT).symbols == {}


def an_eventful_log(seed: int) -> list[Record]:
    """Two symbols with corrections, an end and a new beginning, and promotions anywhere."""
    rng = Random(seed)
    first, second = a_corrected_log(seed), a_corrected_log(seed + 1, OTHER_SYMBOL)
    second += [
        ended(COUNT, OTHER_SYMBOL),
        SymbolStatus(OTHER_SYMBOL, START_MS + (COUNT + 9) * STEP_MS, "listed", "trading"),
        *candles(CLOSES, OTHER_SYMBOL, start=COUNT + 9),
    ]
    records: list[Record] = []
    while first or second:
        is_first = rng.random() < len(first) / (len(first) + len(second))
        records.append((first if is_first else second).pop(0))
    for model in (MODEL, BOTH):
        records.insert(rng.randrange(len(records)), a_promotion(model))
    return records


@given(seeds, st.data())
@settings(max_examples=20)
def test_recovery_at_any_offset_goes_on_as_if_nothing_had_happened(
    seed: int, data: st.DataObject
) -> None:
    records = an_eventful_log(seed)
    offset = data.draw(st.integers(0, len(records)))
    whole, predictions = fold_all(records, MODELS)
    before, first = fold_all(records[:offset], MODELS)
    stored = {name: decode_state(encode_state(one)) for name, one in before.symbols.items()}

    after, rest = fold_all(records[offset:], MODELS, replace(before, symbols=stored), offset)

    assert digests(after) == digests(whole)
    assert published(first + rest) == published(predictions)


@given(seeds)
@settings(max_examples=20)
def test_what_happens_to_a_symbol_changes_no_byte_of_another(seed: int) -> None:
    records = an_eventful_log(seed)
    nothing = gap(0, 1, OTHER_SYMBOL)
    alone = [nothing if OTHER_SYMBOL in repr(record) else record for record in records]

    _, both = fold_all(records, MODELS)
    _, one = fold_all(alone, MODELS)

    assert published([p for p in both if p.symbol == "BTCUSDT"]) == published(one)


@given(seeds)
@settings(max_examples=20)
def test_no_candle_is_predicted_or_learnt_from_twice(seed: int) -> None:
    _, predictions = fold_all(an_eventful_log(seed), MODELS)

    predicted = [(p.symbol, p.open_time_ms) for p in predictions]
    outcomes = [(p.symbol, p.previous.open_time_ms) for p in predictions if p.previous]
    assert len(set(predicted)) == len(predicted)
    assert len(set(outcomes)) == len(outcomes)
    for p in predictions:
        since = [q for q in predictions if is_before(q, p)]
        assert p.scores.n <= sum(q.loss is not None for q in since)


def is_before(earlier: Prediction, later: Prediction) -> bool:
    """Whether a prediction is of the same symbol and promotion, and not later."""
    same = (earlier.symbol, earlier.promotion_offset) == (later.symbol, later.promotion_offset)
    return same and earlier.source_offset <= later.source_offset


def published(predictions: Sequence[Prediction]) -> list[bytes]:
    return [encode_prediction(prediction) for prediction in predictions]


def digests(state: PartitionState) -> dict[str, str]:
    return {name: state_digest(one) for name, one in state.symbols.items()}


def test_a_filled_sequence_has_its_candles_in_order() -> None:
    records: list[Record] = [a_candle(0), gap(1, 4), a_candle(4), *map(Fill, map(a_candle, (3, 1)))]

    sequence = state_after(records, MODEL).sequence

    assert ((sequence[:, OPEN_TIME] - START_MS) / STEP_MS).tolist() == [0, 1, 3, 4]


def test_a_candle_follows_a_fill_at_the_end_without_a_gap() -> None:
    records = candles(CLOSES)
    log = [*records[:WINDOW], gap(WINDOW, WINDOW + 1), Fill(a_candle(WINDOW, CLOSES[WINDOW]))]

    corrected = state_after([*log, *records[WINDOW + 1 :]], RETURNS)

    assert seen(corrected) == seen(state_after(records, RETURNS))


def test_a_long_sequence_stays_as_long_as_it_may_be() -> None:
    closes = a_walk(SEQUENCE_LENGTH + 1)
    records: list[Record] = [*candles(closes[:-3]), gap(len(closes) - 3, len(closes) - 2)]
    records += candles(closes[-2:], start=len(closes) - 2)
    missing = a_candle(len(closes) - 3, closes[-3])

    sequence = state_after([*records, Fill(missing)], MODEL).sequence

    np.testing.assert_array_equal(sequence, state_after(candles(closes), MODEL).sequence)
