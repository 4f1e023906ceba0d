"""Backtest a model: fold candles as if it had been promoted at a moment."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import chain
from operator import attrgetter
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from shared.core.arrays import read_only64
from shared.core.evaluation.forecasts import ForecastSeries, HeldOutSpan, changes_to_next
from shared.core.model.card import Bundle
from shared.core.online.context import FoldContext, FoldOptions
from shared.core.online.interval_scores import COVERAGES, IntervalScores
from shared.core.online.model import Model
from shared.core.online.partition import PartitionState, fold
from shared.core.online.prediction import Prediction
from shared.core.online.scores import Scores
from shared.core.online.start import build_start
from shared.core.online.state import SymbolState
from shared.core.records import Promotion
from shared.core.sequence import row_candle

# The digest of the state belongs to predictions that are published; a backtest needs none.
SCORING: Final = FoldOptions(jacobian=True, digest=False)

BOUNDS: Final = tuple(
    f"{side}_{coverage}" for coverage in COVERAGES for side in ("lower", "upper")
)  # closes
_LOSSES: Final = ("pinball_loss", "pinball_loss_constant", "pinball_loss_exponential")
_FIELDS: Final = {
    "open_time_ms": np.int64,
    "close": np.float64,
    "predicted_change": np.float64,
    "predicted_close": np.float64,
    "calibrated_change": np.float64,
    "calibrated_close": np.float64,
    "actionable": np.bool_,
    "steps": np.int64,
    "loss": np.float64,  # NaN where there was no step
}
PREDICTION_ROW: Final = np.dtype(
    [
        *_FIELDS.items(),
        *((name, np.float64) for name in BOUNDS),
        *((name, np.float64) for name in _LOSSES),  # running sums over the predictions before
    ]
)
PROGRESS_EVERY: Final = 100  # candles between two reports of progress: some 50 ms

_fields = attrgetter(*_FIELDS)
_losses = attrgetter(*_LOSSES)

ReportProgress: TypeAlias = Callable[[int], None]
"""Takes the number of candles that were processed since its last call; may raise to abort."""


@dataclass(frozen=True, slots=True, eq=False)
class SymbolBacktest:
    """A symbol's predictions, an array (n,) of PREDICTION_ROW, and its running scores."""

    symbol: str
    rows: NDArray[Any]
    scores: Scores
    interval_scores: IntervalScores = field(default_factory=IntervalScores)

    def series(self, step_ms: int) -> ForecastSeries:
        """Return the forecasts without the last one, whose outcome is unknown."""
        rows = self.rows
        times_ms = rows["open_time_ms"].astype(np.float64)
        outcomes = changes_to_next(times_ms, rows["close"], step_ms)
        columns = (times_ms, rows["predicted_change"], rows["calibrated_change"], outcomes)
        return ForecastSeries(*(column[:-1] for column in columns))


def backtest(model: Model, span: HeldOutSpan, context: FoldContext) -> Iterator[Prediction]:
    """Yield a symbol's predictions as if the model had been promoted before the held-out span.

    Args:
        model: the model. If the span learns before, its own starts give way to one that is folded
            from the span's history: they may know the held-out candles.
        span: the held-out candles; those before them fill the model's first window.
        context: the interval and the numeric profile.
    """
    symbol = span.symbol
    if span.learns_before:
        start = build_start(symbol, span.before, model, context)
        model = model.with_starts({} if start is None else {symbol: start})
    state = PartitionState(
        symbols={symbol: SymbolState(symbol, sequence=read_only64(span.recent.copy()))}
    )
    promotion = Promotion(model.version, model.bundle.sha256, context.numeric_profile)
    state.apply(fold(state, promotion, 0, model, context))
    for offset, row in enumerate(span.candles.tolist(), 1):
        candle = row_candle(symbol, row)
        change = fold(state, candle, offset, model, context, SCORING)
        state.apply(change)
        if change.prediction is not None:
            yield change.prediction


def run_backtest(
    bundle: Bundle,
    context: FoldContext,
    span: HeldOutSpan,
    report_progress: ReportProgress = lambda _: None,
) -> SymbolBacktest:
    """Backtest one symbol and collect its predictions.

    Args:
        bundle: the model.
        context: the interval and the numeric profile.
        span: the held-out candles.
        report_progress: called for every PROGRESS_EVERY candles and at the end; raise from it to
            abort.
    """
    predictions = backtest(Model(bundle), span, context)
    reported = _with_progress(predictions, span.events, report_progress)
    return collect_predictions(span.symbol, reported)


def collect_predictions(symbol: str, predictions: Iterable[Prediction]) -> SymbolBacktest:
    """Collect a symbol's predictions as an array, with the scores of the last one."""
    rows, scores, interval_scores = [], Scores(), IntervalScores()
    for prediction in predictions:
        rows.append(_row(prediction))
        scores, interval_scores = prediction.scores, prediction.interval_scores
    return SymbolBacktest(symbol, np.array(rows, PREDICTION_ROW), scores, interval_scores)


def _row(prediction: Prediction) -> tuple[Any, ...]:
    bounds = [(one.lower_close, one.upper_close) for one in prediction.intervals]
    return (*_fields(prediction), *chain(*bounds), *_losses(prediction.interval_scores))


def without_online_learning(bundle: Bundle) -> Bundle:
    """Return the same model whose weights do not move; only its calibration learns."""
    return replace(bundle, card=replace(bundle.card, learns="nothing"), starts={})


def _with_progress(
    predictions: Iterable[Prediction], candles: int, report_progress: ReportProgress
) -> Iterator[Prediction]:
    count = 0
    for count, prediction in enumerate(predictions, 1):
        yield prediction
        if count % PROGRESS_EVERY == 0:
            report_progress(PROGRESS_EVERY)
    # Candles without a prediction count as done: the history, and those before a full window.
    report_progress(candles - count + count % PROGRESS_EVERY)
