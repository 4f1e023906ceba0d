"""States as a store has them, loaded at once."""

from services.predictor.ports import StateStore
from shared.core.online.partition import PartitionState


def load_state(states: StateStore, partition: int, profile: str) -> PartitionState | None:
    """Return the state of a partition, or None if there is none to use."""
    loading = states.load_in_blocks(partition, profile)
    while True:
        try:
            next(loading)
        except StopIteration as finished:
            state: PartitionState | None = finished.value
            return state
