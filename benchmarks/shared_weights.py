"""Forecast with one set of weights for all symbols, as the original project does."""

from collections.abc import Iterator
from dataclasses import replace
from math import isnan
from operator import itemgetter

import numpy as np

from shared.core.arrays import read_only64
from shared.core.evaluation.backtest import (
    PROGRESS_EVERY,
    ReportProgress,
    collect_predictions,
    without_online_learning,
)
from shared.core.evaluation.forecasts import HeldOutSpan, SeriesBySymbol, next_changes
from shared.core.model.card import Bundle
from shared.core.online.context import FoldContext, FoldOptions
from shared.core.online.learning import learn
from shared.core.online.model import Model
from shared.core.online.partition import PartitionState, fold
from shared.core.online.prediction import Prediction
from shared.core.online.state import SymbolState
from shared.core.online.symbol_step import repredict, step_symbol
from shared.core.records import Candle, Promotion
from shared.core.sequence import row_candle

_NO_DIGEST = FoldOptions(digest=False)


def forecast_with_shared_weights(
    bundle: Bundle,
    spans: list[HeldOutSpan],
    context: FoldContext,
    report_progress: ReportProgress = lambda _: None,
) -> SeriesBySymbol:
    """Forecast held-out spans with one set of weights that learns from each candle in turn.

    Candles go by time, those of a moment by symbol. At each candle the one network updates, then
    predicts. The step is the fold's, made on what the shared weights predict at that moment;
    scores and calibration stay a symbol's own.
    """
    # The fold below scores and predicts with weights that it does not change (`frozen`); the step
    # on the shared weights is made outside it, before it predicts.
    model, frozen = Model(bundle), Model(without_online_learning(bundle))
    learner, no_jacobian = model.base_learner, np.zeros(model.base_learner.weights.size, np.float32)
    states = _promoted_states(spans, frozen, context)
    predictions: dict[str, list[Prediction]] = {span.symbol: [] for span in spans}
    for offset, (candle, change) in enumerate(_by_time(spans, context.interval_ms), 1):
        state = replace(states[candle.symbol], learner=learner)
        learner = (
            learn(repredict(state, model), change, None, model)[0].learner or model.base_learner
        )
        state = replace(state, learner=learner, jacobian=no_jacobian)
        states[candle.symbol], prediction = step_symbol(
            state, candle, offset, frozen, context, _NO_DIGEST
        )
        if prediction is not None:
            predictions[candle.symbol].append(prediction)
            learner = model.base_learner if prediction.was_reset else learner
        if offset % PROGRESS_EVERY == 0:
            report_progress(PROGRESS_EVERY)
    return _collect(predictions, context.interval_ms)


def _collect(predictions: dict[str, list[Prediction]], step_ms: int) -> SeriesBySymbol:
    return {
        symbol: collect_predictions(symbol, made).series(step_ms)
        for symbol, made in sorted(predictions.items())
    }


def _promoted_states(
    spans: list[HeldOutSpan], model: Model, context: FoldContext
) -> dict[str, SymbolState]:
    symbols = {
        span.symbol: SymbolState(span.symbol, sequence=read_only64(span.recent.copy()))
        for span in spans
    }
    promotion = Promotion(model.version, model.bundle.sha256, context.numeric_profile)
    state = PartitionState(symbols=symbols)
    state.apply(fold(state, promotion, 0, model, context))
    return dict(state.symbols)


def _by_time(spans: list[HeldOutSpan], step_ms: int) -> Iterator[tuple[Candle, float | None]]:
    """Yield the held-out candles by time, then symbol, each with the label that it completes."""
    rows = []
    for span in spans:
        completed = np.concatenate([[np.nan], next_changes(span.sequence, step_ms)[:-1]])
        rows += [
            (row[0], span.symbol, row, label)
            for row, label in zip(span.candles.tolist(), completed[span.start :], strict=True)
        ]
    for _, symbol, row, label in sorted(rows, key=itemgetter(0, 1)):
        yield row_candle(symbol, row), None if isnan(label) else float(label)
