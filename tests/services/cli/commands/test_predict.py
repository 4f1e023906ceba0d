"""What `ulstm predict` shows of a prediction."""

from dataclasses import replace

from services.cli.commands.predict import describe_prediction
from shared.core.online.prediction import Prediction
from tests.support.builders import a_model, a_promotion, a_walk, candles, fold_all


def a_shown_prediction() -> Prediction:
    model = a_model()
    _, predictions = fold_all([a_promotion(model), *candles(a_walk(60))], {model.version: model})
    return predictions[-1]


def test_predict_shows_each_interval_and_how_they_have_held() -> None:
    prediction = a_shown_prediction()

    rows = describe_prediction(prediction)

    for interval in prediction.intervals:
        shown = rows[f"{interval.coverage} % interval"]
        assert f"{interval.lower_close:.8g} to {interval.upper_close:.8g}" in shown
    assert rows["closes within them"].endswith(f"of {prediction.interval_scores.n}")
    assert "exponentially weighted volatility" in rows["pinball loss"]


def test_predict_shows_a_prediction_without_intervals() -> None:
    old = replace(
        a_shown_prediction(),
        intervals=(),
        interval_scores=replace(a_shown_prediction().interval_scores, n=0),
    )

    assert "90 % interval" not in describe_prediction(old)
