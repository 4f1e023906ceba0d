"""Where a symbol begins at a promotion: as training left it, and what has come since on top."""

from dataclasses import replace

import numpy as np
import pytest

from shared.adapters.bundle_codec import decode_bundle, encode_bundle
from shared.core.errors import BadInput
from shared.core.online.model import Model
from shared.core.online.partition import PartitionState
from shared.core.online.start import build_start
from shared.core.online.state import SymbolState
from shared.core.online.state_codec import encode_state
from shared.core.online.state_digest import state_digest
from shared.core.records import Record
from shared.core.sequence import SEQUENCE_LENGTH, candle_row
from tests.shared.core.online.models import BOTH, HEAD, RETURNS, WINDOW, all_kinds
from tests.support.builders import CONTEXT, a_promotion, a_walk, candles, fold_all

TRAINED = 120  # candles that training has seen
WALK = a_walk(TRAINED + 60)
SYMBOL = "BTCUSDT"


def a_start(model: Model, until: int = TRAINED) -> SymbolState:
    rows = np.concatenate([candle_row(c) for c in candles(WALK[:until])])  # type: ignore[arg-type]
    start = build_start(SYMBOL, rows, model, CONTEXT)
    assert start is not None
    return start


def with_start(model: Model, start: SymbolState | None = None) -> Model:
    """The model as a bundle would carry it, with the symbol's start."""
    bundle, starts = model.bundle, {SYMBOL: encode_state(start or a_start(model))}
    data = encode_bundle(bundle.card, bundle.weights, bundle.head, starts)
    return Model(decode_bundle(f"{model.version}-started", data))


def fold_with(model: Model, records: list[Record]) -> PartitionState:
    return fold_all(records, {model.version: model})[0]


@all_kinds
def test_a_promotion_goes_on_where_training_ended(model: Model) -> None:
    """As if the model had predicted all along: what is learnt is the same to the bit."""
    started = with_start(model)
    later = candles(WALK)

    promoted = fold_with(started, [*later, a_promotion(started)]).symbols[SYMBOL]
    uninterrupted = a_start(model, len(WALK))

    assert promoted.calibration == uninterrupted.calibration
    assert promoted.calibration.outcomes == len(WALK) - WINDOW
    assert promoted.features is not None
    assert uninterrupted.features is not None
    assert promoted.features.carry == uninterrupted.features.carry
    assert np.array_equal(promoted.features.rows, uninterrupted.features.rows)
    for one, other in (
        (promoted.head, uninterrupted.head),
        (promoted.learner, uninterrupted.learner),
    ):
        assert (one is None) == (other is None)
        assert one is None or other is None or np.array_equal(one.parameters, other.parameters)


@all_kinds
def test_scores_and_steps_count_published_predictions_alone(model: Model) -> None:
    started = with_start(model)
    records = [*candles(WALK[:-3]), a_promotion(started), *candles(WALK)[-3:]]

    state, predictions = fold_all(records, {started.version: started})

    assert [p.steps for p in predictions] == [0, 1, 2]
    assert [p.scores.n for p in predictions] == [0, 1, 2]
    assert predictions[0].previous is None
    assert predictions[0].loss is None
    assert predictions[1].previous is not None
    # It was learnt from all the same.
    assert state.symbols[SYMBOL].calibration.outcomes == len(WALK) - WINDOW


@all_kinds
def test_a_start_that_knows_later_candles_than_the_log_is_not_used(model: Model) -> None:
    started, records = with_start(model), candles(WALK[: TRAINED - 1])

    promoted = fold_with(started, [*records, a_promotion(started)]).symbols[SYMBOL]

    assert promoted.calibration.outcomes == 0
    assert promoted.pending is None


def test_a_symbol_without_a_start_keeps_its_sequence_and_its_features() -> None:
    records = candles(WALK)

    promoted = fold_with(HEAD, [*records, a_promotion(HEAD)]).symbols[SYMBOL]

    assert promoted.calibration.outcomes == 0
    assert promoted.head is None
    assert promoted.features is not None
    assert len(promoted.features.rows) == WINDOW


def test_a_start_that_ended_long_before_the_candles_kept_is_still_used() -> None:
    walk = a_walk(TRAINED + SEQUENCE_LENGTH + 50)
    started = with_start(HEAD)

    promoted = fold_with(started, [*candles(walk), a_promotion(started)]).symbols[SYMBOL]

    # It predicts again once the candles kept fill a window.
    assert promoted.calibration.outcomes == TRAINED + SEQUENCE_LENGTH - 2 * WINDOW


def test_a_promotion_of_the_same_candles_gives_the_same_state() -> None:
    started = with_start(BOTH)

    one = fold_with(started, [*candles(WALK), a_promotion(started)])
    kept = PartitionState(
        next_offset=len(WALK),
        symbols={SYMBOL: SymbolState(SYMBOL, sequence=one.symbols[SYMBOL].sequence)},
    )
    other, _ = fold_all(
        [a_promotion(started)], {started.version: started}, kept, first_offset=len(WALK)
    )

    assert state_digest(one.symbols[SYMBOL]) == state_digest(other.symbols[SYMBOL])


@pytest.mark.parametrize(
    "start",
    [
        a_start(HEAD),
        replace(a_start(RETURNS), symbol="ETHUSDT"),
        replace(a_start(RETURNS), sequence=np.zeros((2, 24))),
        replace(a_start(RETURNS), features=None),
    ],
    ids=["of another model", "of another symbol", "with candles", "no features"],
)
def test_a_start_that_does_not_fit_its_bundle_is_refused(start: SymbolState) -> None:
    with pytest.raises(BadInput, match="start of BTCUSDT"):
        with_start(RETURNS, start)
