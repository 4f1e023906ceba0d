"""A backtest is the live fold, with a promotion before the first held-out candle."""

from dataclasses import replace

import numpy as np

from shared.core.evaluation.backtest import run_backtest, without_online_learning
from shared.core.evaluation.forecasts import hold_out, split_at
from tests.support.builders import (
    CONTEXT,
    START_MS,
    STEP_MS,
    a_bundle,
    a_model,
    a_promotion,
    a_sequence,
    a_walk,
    candles,
    fold_all,
)

FROM_MS = START_MS + 60 * STEP_MS


def test_forecasts_are_those_of_the_live_fold() -> None:
    model = a_model()
    (span,) = hold_out({"BTCUSDT": a_sequence(1)}, FROM_MS, 40, 1)
    records = candles(a_walk(120, 1))

    result = run_backtest(model.bundle, CONTEXT, span)

    _, live = fold_all(
        [*records[:60], a_promotion(model), *records[60:100]], {model.version: model}
    )
    series = result.series(STEP_MS)
    assert result.scores == live[-1].scores
    assert series.change.tolist() == [p.predicted_change for p in live[:-1]]
    assert series.calibrated.tolist() == [p.calibrated_change for p in live[:-1]]
    assert series.outcome.tolist() == [p.previous.outcome_change for p in live[1:] if p.previous]
    assert series.open_time_ms.tolist() == [p.open_time_ms for p in live[:-1]]


def test_a_model_that_learns_before_forecasts_as_if_it_had_been_live_all_along() -> None:
    model = a_model()
    (span,) = hold_out({"BTCUSDT": a_sequence(1)}, FROM_MS, 40, 1)

    result = run_backtest(model.bundle, CONTEXT, replace(span, learns_before=True))

    _, live = fold_all([a_promotion(model), *candles(a_walk(120, 1))[:100]], {model.version: model})
    assert result.series(STEP_MS).change.tolist() == [p.predicted_change for p in live[-40:-1]]
    assert result.scores.n == 39


def test_a_frozen_model_keeps_its_weights() -> None:
    (span,) = split_at({"BTCUSDT": a_sequence(1)}, FROM_MS)

    frozen, learning = (
        run_backtest(bundle, CONTEXT, span).series(STEP_MS)
        for bundle in (without_online_learning(a_bundle()), a_bundle())
    )

    assert frozen.change[0] == learning.change[0]
    assert frozen.change[-1] != learning.change[-1]


def test_a_gap_has_no_outcome_and_no_loss() -> None:
    sequence = a_sequence(1)
    (span,) = split_at({"BTCUSDT": np.delete(sequence, 90, axis=0)}, FROM_MS)

    result = run_backtest(a_bundle(), CONTEXT, span)

    at_gap = result.series(STEP_MS).open_time_ms == START_MS + 90 * STEP_MS
    assert np.isnan(result.series(STEP_MS).outcome).tolist() == at_gap.tolist()
    assert np.flatnonzero(np.isnan(result.rows["loss"])).tolist() == [0, 30]


def test_progress_adds_up_to_the_candles_of_the_span() -> None:
    for count in (0, 10, 100, 150, 300):
        (span,) = split_at({"BTCUSDT": a_sequence(1, 5 + count)}, START_MS + 5 * STEP_MS)
        for learns_before in (False, True):
            reported: list[int] = []
            chosen = replace(span, learns_before=learns_before)

            run_backtest(a_bundle(), CONTEXT, chosen, reported.append)

            assert sum(reported) == chosen.events == count + 5 * learns_before
