"""Redis as the simulation has it: it answers, or not, and can be emptied or set back."""

from collections.abc import Callable, Iterable
from typing import TypeVar

from shared.adapters.redis_state_store import StateSnapshot
from shared.core.errors import Unavailable
from shared.core.online.partition import PartitionState
from tests.simulation.network import NoAnswer, Process
from tests.support.fakes import FakeStateStore

T = TypeVar("T")


class Store:
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


class WiredStates:
    """A replica's way to the store: a request for each state, one for the applied_offset."""

    def __init__(self, store: Store, process: Process) -> None:
        self._store, self._process = store, process

    def save(
        self,
        group: int,
        profile: str,
        after: PartitionState,
        changed: Iterable[str],
        since: int | None,
    ) -> bool:
        names = sorted(changed)
        for name in names:
            self._ask("state", lambda name=name: self._store.states.put(profile, after, name))  # type: ignore[misc]
        return self._ask(
            "applied_offset", lambda: self._store.states.mark(group, profile, after, names, since)
        )

    def load(self, group: int, profile: str) -> StateSnapshot | None:
        return self._ask("load", lambda: self._store.states.load(group, profile))

    def _ask(self, what: str, do: Callable[[], T]) -> T:
        if self._store.is_down:
            raise Unavailable("Redis is down")
        try:
            return self._process.ask(what, do)
        except NoAnswer:
            raise Unavailable("Redis does not answer") from None
