"""A simulated Redis: it can be down, emptied, or set back to a snapshot."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import TypeVar

from services.predictor.ports import StateLoading
from shared.core.errors import Unavailable
from shared.core.online.partition import PartitionState
from tests.simulation.network import Process, RequestKind, RequestTimedOut
from tests.support.fakes import FakeStateStore
from tests.support.states import load_state

T = TypeVar("T")


class SimulatedRedis:
    """The server, shared by all replicas."""

    def __init__(self, kind: type[FakeStateStore]) -> None:
        self._kind = kind
        self.states = kind()
        self.snapshot = kind()
        self.is_down = False

    def keep_snapshot(self) -> None:
        self.snapshot = self.states.copy()

    def restore_snapshot(self) -> None:
        self.states = self.snapshot.copy()

    def flush(self) -> None:
        self.states = self._kind()


class SimulatedStateStore:
    """A replica's connection to Redis: a request for each state, one for the partition's head."""

    def __init__(self, redis: SimulatedRedis, process: Process) -> None:
        self._redis, self._process = redis, process

    def save(
        self,
        partition: int,
        profile: str,
        state: PartitionState,
        changed: Iterable[str],
        base_offset: int | None,
    ) -> bool:
        names = sorted(changed)
        for name in names:
            self._request("save_state", partial(self._put, profile, state, name))
        return self._request(
            "save_head",
            lambda: self._redis.states.mark(partition, profile, state, names, base_offset),
        )

    def _put(self, profile: str, state: PartitionState, name: str) -> None:
        # Look the store up now, not when the request is made: a fault may replace it in between.
        self._redis.states.put(profile, state, name)

    def load_in_blocks(self, partition: int, profile: str) -> StateLoading:
        yield
        return self._request(
            "load_states", lambda: load_state(self._redis.states, partition, profile)
        )

    def _request(self, kind: RequestKind, call: Callable[[], T]) -> T:
        if self._redis.is_down:
            raise Unavailable("Redis is down")
        try:
            return self._process.request(kind, call)
        except RequestTimedOut:
            raise Unavailable("Redis does not answer") from None
