"""Learning scores a prediction and never leaves weights that are not finite."""

import numpy as np

from shared.adapters.schemas.predictions import encode_prediction
from tests.shared.core.online.models import MODELS, RETURNS, WINDOW
from tests.support.builders import (
    a_card,
    a_model,
    a_promotion,
    a_walk,
    candles,
    fold_all,
)


def test_a_calibrated_prediction_starts_at_zero_change_and_follows_what_is_realised() -> None:
    closes = [100.0 * (1.001 if at % 2 else 1.0) for at in range(600)]

    _, predictions = fold_all([a_promotion(RETURNS), *candles(closes)], MODELS)

    first, last = predictions[0], predictions[-1]
    assert first.predicted_change != 0.0
    assert (first.calibrated_change, first.calibrated_close, first.actionable) == (
        0.0,
        first.close,
        False,
    )
    assert last.calibration > 0.5
    assert last.calibrated_change == last.predicted_change * last.calibration
    assert last.actionable
    assert (last.scores.calibrated_skill() or 0.0) > 0.5


def test_weights_that_explode_are_reset_to_the_models() -> None:
    wild = a_model(card=a_card(rate=1.0, label_scale=1e-9))
    closes = [100.0 * (10.0 if i % 2 else 1.0) ** 20 for i in range(WINDOW + 6)]

    _, predictions = fold_all([a_promotion(wild), *candles(closes)], {wild.version: wild})

    assert all(np.isfinite(p.predicted_change) for p in predictions)
    assert any(p.was_reset for p in predictions)


def test_a_change_beyond_float32_resets_the_symbol() -> None:
    model = a_model(card=a_card(label_scale=1e-5))
    records = [a_promotion(model), *candles([*a_walk(WINDOW + 2), 1e-20, 1e15, 1e-20, *a_walk(3)])]

    _, predictions = fold_all(records, {model.version: model})

    assert len(predictions) == len(records) - WINDOW
    reset = next(p for p in predictions if p.was_reset)
    assert reset.steps == 0
    assert all(encode_prediction(p) for p in predictions)
