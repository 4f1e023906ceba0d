"""The log as it would have gone, had a model been promoted at a moment: the same fold, over one symbol's sequence."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

import numpy as np

from shared.core.arrays import Float64s, read_only64
from shared.core.features.registry import feature_set
from shared.core.model.card import Bundle
from shared.core.online.context import FoldContext, FoldOptions
from shared.core.online.model import Model
from shared.core.online.partition import PartitionState, fold
from shared.core.online.prediction import Prediction
from shared.core.online.state import SymbolState
from shared.core.records import Candle, Promotion
from shared.core.sequence import CLOSE, OPEN_TIME, SEQUENCE_LENGTH

VOLATILITY: Final = "returns"  # the features whose unit is a symbol's volatility
SCORING: Final = FoldOptions(jacobian=True, digest=False)


def backtest(
    model: Model, symbol: str, sequence: Float64s, from_ms: int, context: FoldContext
) -> Iterator[Prediction]:
    """Yield the predictions of a symbol, had the model been promoted before the candle at `from_ms`.

    Args:
        model: the model.
        symbol: the symbol.
        sequence: its candles (n, columns), oldest first, those before `from_ms` included.
        from_ms: the open time of the first candle after the promotion.
        context: the interval and the numeric profile.
    """
    start = int(np.searchsorted(sequence[:, OPEN_TIME], from_ms))
    before = sequence[max(0, start - SEQUENCE_LENGTH) : start]
    state = PartitionState(
        symbols={symbol: SymbolState(symbol, sequence=read_only64(before.copy()))}
    )
    promotion = Promotion(model.version, model.bundle.sha256, context.numeric_profile)
    state.apply(fold(state, promotion, 0, model, context))
    for offset, row in enumerate(sequence[start:].tolist(), 1):
        candle = Candle(symbol, int(row[0]), *row[1:])
        change = fold(state, candle, offset, model, context, SCORING)
        state.apply(change)
        if change.prediction is not None:
            yield change.prediction


def without_online_learning(bundle: Bundle) -> Bundle:
    """Return the same model without online learning."""
    optimiser = replace(bundle.card.optimiser, rate=0.0)
    return replace(bundle, card=replace(bundle.card, optimiser=optimiser))


def next_changes(sequence: Float64s, step_ms: int) -> Float64s:
    """Return the label of the window that ends at each candle (n,): next close / close - 1.

    NaN where the next candle is not the next open time: a gap gives no label.
    """
    return changes(sequence[:, OPEN_TIME], sequence[:, CLOSE], step_ms)


def changes(times_ms: Float64s, closes: Float64s, step_ms: int) -> Float64s:
    """Return the change (n,) from each close to the next, as a fraction; NaN across a gap, and at last."""
    labels = np.full(len(closes), np.nan)
    follows = np.diff(times_ms) == step_ms
    labels[:-1][follows] = (closes[1:] / closes[:-1] - 1.0)[follows]
    return labels


def volatility(before: Float64s, candles: Float64s, step_ms: int) -> Float64s:
    """Return what changes are measured in when the candles after the first are forecast (n - 1,).

    Args:
        before: the candles (n, columns) before, from which it is known.
        candles: the candles forecast, and first the one that the first forecast is made at.
        step_ms: the interval.
    """
    _, _, units = feature_set(VOLATILITY).compute(np.concatenate([before, candles]), step_ms)
    return units[len(before) : -1]
