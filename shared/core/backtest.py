"""The log as it would have gone, had a model been promoted at a moment: the same fold, over one symbol's sequence."""

from collections.abc import Iterator
from typing import Final

import numpy as np

from shared.core.arrays import Float64s, frozen64
from shared.core.candle import Candle, Promotion
from shared.core.features import OPEN_TIME
from shared.core.fold import Beside, Deployment, GroupState, Model, fold
from shared.core.prediction import Prediction
from shared.core.state import SEQUENCE_LENGTH, SymbolState

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
