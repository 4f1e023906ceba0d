"""The log as it would have gone, had a model been promoted at a moment: the same fold, over one symbol's sequence."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

import numpy as np

from shared.core.arrays import Float64s, frozen64
from shared.core.candle import Candle, Promotion
from shared.core.card import Bundle
from shared.core.features import CLOSE, OPEN_TIME, feature_set
from shared.core.fold import Beside, Deployment, GroupState, Model, fold
from shared.core.prediction import Prediction
from shared.core.state import SEQUENCE_LENGTH, SymbolState

VOLATILITY: Final = "returns"  # the features whose unit is a symbol's volatility
SCORING: Final = Beside(jacobian=True, digest=False)


def backtest(
    model: Model, symbol: str, sequence: Float64s, from_ms: int, deployment: Deployment
) -> Iterator[Prediction]:
    """Yield the predictions of a symbol, had the model been promoted before the candle at `from_ms`.

    Args:
        model: the model.
        symbol: the symbol.
        sequence: its candles (n, columns), oldest first, those before `from_ms` included.
        from_ms: the open time of the first candle after the promotion.
        deployment: the interval and the numeric profile.
    """
    start = int(np.searchsorted(sequence[:, OPEN_TIME], from_ms))
    before = sequence[max(0, start - SEQUENCE_LENGTH) : start]
    group = GroupState(symbols={symbol: SymbolState(symbol, sequence=frozen64(before.copy()))})
    group, _ = fold(group, Promotion(model.version, model.bundle.sha256), 0, model, deployment)
    for offset, row in enumerate(sequence[start:].tolist(), 1):
        candle = Candle(symbol, int(row[0]), *row[1:])
        group, prediction = fold(group, candle, offset, model, deployment, SCORING)
        if prediction is not None:
            yield prediction


def frozen(bundle: Bundle) -> Bundle:
    """Return the same model without online learning."""
    optimiser = replace(bundle.card.optimiser, rate=0.0)
    return replace(bundle, card=replace(bundle.card, optimiser=optimiser))


def changes_after(sequence: Float64s, step_ms: int) -> Float64s:
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
    _, _, units = feature_set(VOLATILITY).over(np.concatenate([before, candles]), step_ms)
    return units[len(before) : -1]
