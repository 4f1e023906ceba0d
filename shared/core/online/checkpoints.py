"""Checkpoints of what is folded from a symbol's candles, so that a correction can fold it again.

Slow statistics remember candles that are long gone, so they cannot be folded again from the candles
that are kept. From a checkpoint before the corrected candle they can, and they are then those of a
log that had the right candle from the beginning.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from shared.core.arrays import Float64s, read_only64
from shared.core.features.base import Carry, Features, append_features, compute_features
from shared.core.online.context import FoldContext
from shared.core.online.intervals import IntervalState
from shared.core.online.model import Model
from shared.core.online.state import SymbolState
from shared.core.online.volatility import Volatility, fold_candle
from shared.core.sequence import OPEN_TIME, SEQUENCE_LENGTH, count_before

BLOCK: Final = 128  # intervals from one checkpoint to the next
KEPT: Final = 5  # checkpoints of a symbol: as many as there are blocks among the candles kept

_BEFORE_ALL: Final = -1.0


class Checkpoint(NamedTuple):
    """What is folded from the candles up to one of them."""

    open_time_ms: float  # of that candle; -1: none is folded yet
    carry: Carry
    volatility: Volatility


def with_checkpoint(state: SymbolState) -> SymbolState:
    """Return a state with one checkpoint, after its newest candle; none where no model predicts."""
    if state.features is None or state.intervals is None:
        return state
    time_ms = _BEFORE_ALL if state.last_open_time_ms is None else float(state.last_open_time_ms)
    newest = Checkpoint(time_ms, state.features.carry, state.intervals.volatility)
    return state.replace(checkpoints=_append(np.empty((0, 0)), newest))


def extend_checkpoints(
    checkpoints: Float64s,
    last_ms: int | None,
    open_time_ms: int,
    features: Features | None,
    intervals: IntervalState | None,
    step_ms: int,
) -> Float64s:
    """Return the checkpoints after a candle: one more if it is the first of a block.

    Args:
        checkpoints: (checkpoints, numbers) before the candle.
        last_ms: open time of the candle before; None: there is none.
        open_time_ms: of the candle.
        features: after the candle; None where no model predicts.
        intervals: after the candle; None where no model predicts.
        step_ms: the interval.
    """
    block_ms = BLOCK * step_ms
    is_first = last_ms is None or open_time_ms // block_ms != last_ms // block_ms
    if not is_first or features is None or intervals is None:
        return checkpoints
    newest = Checkpoint(float(open_time_ms), features.carry, intervals.volatility)
    return _append(checkpoints, newest)


def fold_again(
    before: SymbolState, after: SymbolState, time_ms: int, model: Model, context: FoldContext
) -> SymbolState:
    """Return a corrected state with its features and its volatility folded again.

    They are folded from the newest checkpoint before the correction on. Where there is none, the
    correction is of a candle from before the promotion, and they stay as they are until the next
    one; but features that do not fill a window yet are folded from the candles kept, as then.

    Args:
        before: the state before the correction.
        after: the state with the corrected sequence.
        time_ms: open time of the candle that was corrected.
        model: the symbol's model.
        context: the interval and the numeric profile.
    """
    kept = _before(after, time_ms)
    if before.features is None or after.intervals is None:
        return after
    if not len(kept):
        is_full = len(before.features.rows) == model.window_length
        return after if is_full else with_checkpoint(_fold_kept(after, model, context))
    time, carry, volatility = _checkpoint(kept[-1].tolist(), len(before.features.carry))
    features = Features(carry, _rows_until(before, time))
    intervals, last_ms = after.intervals, int(time) if time >= 0.0 else None
    for candle in after.sequence[count_before(after.sequence, int(time) + 1) :]:
        # The same steps as of a candle that is appended, in the same order.
        features = append_features(
            model.feature_set, features, candle, context.interval_ms, model.window_length
        )
        volatility = fold_candle(
            volatility, candle.tolist(), context.interval_ms, model.card.intervals
        )
        intervals = intervals.with_volatility(volatility)
        open_time_ms = int(candle[OPEN_TIME])
        kept = extend_checkpoints(
            kept, last_ms, open_time_ms, features, intervals, context.interval_ms
        )
        last_ms = open_time_ms
    return after.replace(features=features, intervals=intervals, checkpoints=kept)


def _fold_kept(state: SymbolState, model: Model, context: FoldContext) -> SymbolState:
    features = compute_features(
        model.feature_set, state.sequence, context.interval_ms, model.window_length
    )
    return state.replace(features=features)


def _before(after: SymbolState, time_ms: int) -> Float64s:
    """Return the checkpoints before a time; none if candles since the newest were dropped."""
    if not len(after.checkpoints):
        return after.checkpoints
    times = after.checkpoints[:, 0]
    count = int(np.searchsorted(times, time_ms))
    is_full = len(after.sequence) == SEQUENCE_LENGTH
    if count and is_full and times[count - 1] < after.sequence[0, OPEN_TIME]:
        count = 0
    return after.checkpoints[:count]


def _rows_until(state: SymbolState, time_ms: float) -> Float64s:
    """Return the rows of the features of the candles up to a time."""
    if state.features is None:
        raise ValueError(f"{state.symbol} has no features")
    rows, later = state.features.rows, len(state.sequence)
    later -= count_before(state.sequence, int(time_ms) + 1)
    return rows[: max(len(rows) - later, 0)]


def _append(checkpoints: Float64s, newest: Checkpoint) -> Float64s:
    time_ms, carry, v = newest
    volatility = (v.candles, v.open_time_ms, v.close, *v.means)
    row = [(time_ms, *carry, *volatility, v.forecast, v.exponential, v.constant)]
    rows = np.concatenate((checkpoints, row)) if len(checkpoints) else np.array(row)
    return read_only64(rows[-KEPT:].copy())


def _checkpoint(row: Sequence[float], carry_length: int) -> Checkpoint:
    carry, rest = tuple(row[1 : 1 + carry_length]), row[1 + carry_length :]
    candles, open_time_ms, close, *means, forecast, exponential, constant = rest
    volatility = Volatility(
        int(candles), int(open_time_ms), close, tuple(means), forecast, exponential, constant
    )
    return Checkpoint(row[0], carry, volatility)
