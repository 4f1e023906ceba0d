"""With target level the network's output is the next close on the symbol's scaler."""

import numpy as np
import pytest
from hypothesis import given, settings

from shared.adapters.schemas.predictions import encode_prediction
from shared.core.model.scaler import Scaler
from shared.core.online.network_io import network_input
from tests.shared.core.online.models import LEVEL, MODELS, RANGES, WINDOW, walks
from tests.support.builders import (
    a_card,
    a_model,
    a_promotion,
    a_walk,
    candles,
    fold_all,
)


@given(closes=walks)
@settings(max_examples=30, deadline=None)
def test_a_level_is_learnt_as_the_next_close_on_the_symbols_scaler(
    closes: list[float],
) -> None:
    records = [a_promotion(LEVEL), *candles(closes)]
    partition, before = fold_all(records[:-1], MODELS)
    after, _ = fold_all(records[-1:], MODELS, partition, first_offset=len(records) - 1)
    state, stepped = partition.symbols["BTCUSDT"], after.symbols["BTCUSDT"].learner
    scale, offset = RANGES.scale[3], RANGES.offset[3]

    assert state.learner is not None
    assert stepped is not None
    output, jacobian = LEVEL.network.jacobian(state.learner.weights, network_input(state, LEVEL))
    error = np.float32(float(output) - (closes[-1] * scale + offset))
    expected = LEVEL.network.step(state.learner, LEVEL.card.optimiser, error, jacobian)
    assert before[-1].predicted_close == pytest.approx((float(output) - offset) / scale, rel=1e-6)
    # Adam moves by up to the rate whatever the error's size; the moments show the error itself.
    np.testing.assert_allclose(stepped.parameters[1], expected.parameters[1], rtol=1e-4, atol=1e-6)


def test_a_level_of_a_symbol_without_a_scaler_uses_that_of_its_first_window() -> None:
    model = a_model(card=a_card(target="level"))

    partition, predictions = fold_all(
        [a_promotion(model), *candles(a_walk(WINDOW + 5))], {model.version: model}
    )

    state = partition.symbols["BTCUSDT"]
    assert state.scaler is not None
    assert state.learner is not None
    output = float(model.network.predict(state.learner.weights, network_input(state, model)))
    close = (output - state.scaler.offset[3]) / state.scaler.scale[3]
    assert predictions[-1].predicted_close == pytest.approx(close, rel=1e-6)


@pytest.mark.parametrize("wild", [1e-9, 1e15])
@pytest.mark.parametrize("scale", [1e-12, 1e12])
def test_a_level_far_outside_its_scaler_gives_a_finite_prediction(
    wild: float, scale: float
) -> None:
    ranges = Scaler((scale,) * 6, (0.0,) * 6)
    model = a_model(card=a_card(target="level", scalers={"BTCUSDT": ranges}))
    records = [a_promotion(model), *candles([*a_walk(WINDOW + 2), wild, wild, 100.0, *a_walk(3)])]

    _, predictions = fold_all(records, {model.version: model})

    assert len(predictions) == len(records) - WINDOW
    assert all(encode_prediction(p) for p in predictions)
