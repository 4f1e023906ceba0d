"""Check that a snapshot from Redis is a state of the log as it was committed."""

from services.predictor.recovery.prediction_tail import PublishedTail
from shared.adapters.redis_state_store import StateSnapshot
from shared.core.online.partition import PartitionState
from shared.core.online.prediction import Prediction


def usable_state(
    snapshot: StateSnapshot | None, next_offset: int, published: PublishedTail, profile: str
) -> PartitionState | None:
    """Return the state of a snapshot, or None if it is not a fold of what was committed.

    Args:
        snapshot: the snapshot; None if Redis has none.
        next_offset: the next record to predict from.
        published: the end of the partition's predictions.
        profile: the numeric profile that the snapshot was saved under.
    """
    if snapshot is None or snapshot.applied_offset > next_offset:
        return None
    # Every published prediction that the snapshot includes must be the one its state remembers.
    for symbol, prediction in published.last.items():
        is_included = prediction.source_offset < snapshot.applied_offset
        if is_included and not _remembers(snapshot, symbol, prediction):
            return None
    # And no state may remember a prediction that was never published.
    for symbol, state in snapshot.symbols.items():
        is_unpublished = symbol not in published.last
        if is_unpublished and state.pending and published.covers(state.pending.open_time_ms):
            return None
    return PartitionState(
        snapshot.applied_offset,
        snapshot.promotion_offset,
        snapshot.model_version,
        dict(snapshot.symbols),
        snapshot.known_from,
        profile,
    )


def _remembers(snapshot: StateSnapshot, symbol: str, prediction: Prediction) -> bool:
    """Return whether a symbol's state is the one after its last prediction."""
    state = snapshot.symbols.get(symbol)
    if state is None or state.pending is None:
        # A promotion since then clears the pending prediction.
        return state is not None and snapshot.promotion_offset != prediction.promotion_offset
    return (
        state.pending.open_time_ms == prediction.open_time_ms
        and state.pending.change == prediction.predicted_change
        and state.scores == prediction.scores
    )
