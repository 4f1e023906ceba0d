"""Check that a snapshot from Redis is a state of the log as it was committed."""

from services.predictor.recovery.prediction_tail import PublishedTail
from shared.core.online.partition import PartitionState
from shared.core.online.prediction import Prediction
from shared.core.online.state import SymbolState
from shared.core.sequence import OPEN_TIME


def is_committed(snapshot: PartitionState, next_offset: int, published: PublishedTail) -> bool:
    """Return whether a snapshot is a fold of committed records.

    Args:
        snapshot: the state as it was saved.
        next_offset: the next record to predict from.
        published: the end of the partition's predictions.
    """
    # 1. It must not be ahead of the log: such a Redis was restored from elsewhere.
    if snapshot.next_offset > next_offset:
        return False
    # 2. Every published prediction that it includes must be the one its state remembers.
    for symbol, prediction in published.last.items():
        is_included = prediction.source_offset < snapshot.next_offset
        if is_included and not _remembers(snapshot, symbol, prediction):
            return False
    # 3. No state may remember a prediction that was never published.
    return not any(
        symbol not in published.last
        and state.pending is not None
        and state.pending.source_offset is not None
        and published.covers(state.pending.source_offset)
        for symbol, state in snapshot.symbols.items()
    )


def _remembers(snapshot: PartitionState, symbol: str, prediction: Prediction) -> bool:
    """Return whether a symbol's state is the one after its last prediction."""
    state = snapshot.symbols.get(symbol)
    if state is None:
        return False
    if _has_begun_since(state, prediction):
        return True
    if state.pending is None or not state.pending.is_published:
        # A promotion since then clears the pending prediction.
        return snapshot.promotion_offset != prediction.promotion_offset
    return (
        state.pending.source_offset == prediction.source_offset
        and state.pending.open_time_ms == prediction.open_time_ms
        and state.pending.change == prediction.predicted_change
        and state.scores == prediction.scores
    )


def _has_begun_since(state: SymbolState, prediction: Prediction) -> bool:
    """Return whether a symbol has ended since a prediction, and perhaps begun anew."""
    return not len(state.sequence) or state.sequence[0, OPEN_TIME] >= prediction.open_time_ms
