"""Requests between a process and its servers, and the faults that can strike one of them."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Final, Literal, Protocol, TypeVar

from tests.simulation.clock import SimulatedClock

T = TypeVar("T")

RequestKind = Literal[
    "init_producer",
    "add_partitions",
    "produce",
    "add_offsets",
    "commit_offsets",
    "end_transaction",
    "fetch_offset",
    "list_offsets",
    "offsets_for_times",
    "save_state",
    "save_head",
    "load_states",
]
"""Requests by the names of Kafka's protocol, and those to Redis."""

REQUEST_TIMEOUT_S: Final = 1.0  # a client waits this long for an answer


class Crashed(BaseException):
    """Raised in a process that dies. No production code catches it: it is no Exception."""


class RequestTimedOut(Exception):
    """Raised when no answer came: the request may have been done, may be done later, or never."""


class RequestFault(Enum):
    """A fault of one request."""

    LOST = "request lost"
    REPLY_LOST = "reply lost"
    LATE = "request late"
    DOUBLED = "connection lost, request doubled"
    HANG = "call hangs"
    CRASH_BEFORE = "crash before a request"
    CRASH_AFTER = "crash after a request"
    PAUSE_BEFORE = "pause before a request"
    PAUSE_AFTER = "pause after a request"
    SLOW = "step too slow"
    EMPTIED = "redis emptied before a request"
    SET_BACK = "redis set back before a request"


@dataclass(frozen=True, slots=True)
class ActiveFault:
    """A fault and how long it lasts."""

    fault: RequestFault
    length_s: float


class Environment(Protocol):
    """Decides which requests are struck by a fault."""

    clock: SimulatedClock

    def fault_for(self, kind: RequestKind) -> ActiveFault | None:
        """Return the fault of the next request of this kind."""

    def latency_s(self) -> float:
        """Return how long a request takes to arrive."""

    def damage_store(self, fault: RequestFault) -> None:
        """Empty the store or set it back."""

    def suspend(self, process: "Process", seconds: float) -> None:
        """Suspend a process while the others run."""


class HasMembership(Protocol):
    """A consumer that is a member of a group."""

    def consumer_group_metadata(self) -> bytes:
        """Return its membership."""


class DirectConnection:
    """A connection without faults."""

    hung_s: float | None = None
    connections_lost = 0
    group_consumer: HasMembership | None = None

    def request(self, kind: RequestKind, call: Callable[[], T]) -> T:
        del kind
        return call()


class Process:
    """A replica's process as its servers see it."""

    def __init__(self, world: Environment) -> None:
        self.world = world
        self.is_dead = False
        self.is_paused = False
        self.hung_s: float | None = None  # a client's call hangs and continues after this time
        self.cut_until_s = 0.0
        self.connections_lost = 0
        self.group_consumer: HasMembership | None = None

    @property
    def sends_heartbeats(self) -> bool:
        """Whether heartbeats arrive; the client sends them from a thread of its own."""
        return not (self.is_dead or self.is_paused or self.is_cut)

    @property
    def is_cut(self) -> bool:
        return self.world.clock.now_s < self.cut_until_s

    def begin_call(self) -> None:
        self.hung_s = None

    def die(self) -> None:
        self.is_dead = True
        raise Crashed

    def pause(self, seconds: float) -> None:
        self.is_paused = True
        try:
            self.world.suspend(self, seconds)
        finally:
            self.is_paused = False

    def request(self, kind: RequestKind, call: Callable[[], T]) -> T:
        """Send a request and return its answer.

        Raises:
            RequestTimedOut: there was no answer.
            BrokerError: the broker refused it.
            Crashed: the process died before or after it.
        """
        if self.is_dead:
            raise Crashed
        if self.is_cut:
            raise self._timed_out()
        active = self.world.fault_for(kind)
        self.world.clock.advance(self.world.latency_s())
        if active is None:
            return call()
        self._apply_before(active, call)
        answer = call()
        self._apply_after(active, call)
        return answer

    def _apply_before(self, active: ActiveFault, call: Callable[[], object]) -> None:
        match active.fault:
            case RequestFault.CRASH_BEFORE:
                self.die()
            case RequestFault.PAUSE_BEFORE:
                self.pause(active.length_s)
            case RequestFault.SLOW:
                self.world.suspend(self, active.length_s)
            case RequestFault.EMPTIED | RequestFault.SET_BACK:
                self.world.damage_store(active.fault)
            case RequestFault.LOST:
                raise self._timed_out()
            case RequestFault.LATE:
                self._deliver_later(REQUEST_TIMEOUT_S + active.length_s, call)
                raise self._timed_out()
            case RequestFault.HANG:
                self.hung_s = active.length_s
                raise self._timed_out()
            case _:
                return

    def _apply_after(self, active: ActiveFault, call: Callable[[], object]) -> None:
        match active.fault:
            case RequestFault.CRASH_AFTER:
                self.die()
            case RequestFault.PAUSE_AFTER:
                self.pause(active.length_s)
            case RequestFault.DOUBLED:
                self.connections_lost += 1
                self._deliver_later(active.length_s, call)
            case RequestFault.REPLY_LOST:
                raise self._timed_out()
            case _:
                return

    def _timed_out(self) -> RequestTimedOut:
        self.world.clock.advance(REQUEST_TIMEOUT_S)
        return RequestTimedOut()

    def _deliver_later(self, delay_s: float, call: Callable[[], object]) -> None:
        """Deliver the request when its sender no longer waits for the answer."""

        def deliver() -> None:
            try:
                call()
            except Exception:
                return

        self.world.clock.at(self.world.clock.now_s + delay_s, deliver)
