"""What lies between a process and its servers: requests are lost, late, doubled; processes die and stand still."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Final, Protocol, TypeVar

from tests.simulation.clock import SimulatedClock

T = TypeVar("T")

PATIENCE_S: Final = 1.0  # after so long without an answer the client gives up


class Crashed(BaseException):
    """Raised in a process that dies; nothing in production code catches it."""


class NoAnswer(Exception):
    """Raised when a request was not answered: it may have been done, may be done later, or never."""


class Fate(Enum):
    """What befalls one request."""

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
class Befallen:
    """A fate and how long it lasts."""

    fate: Fate
    length_s: float


class Environment(Protocol):
    """Who decides what befalls a request."""

    clock: SimulatedClock

    def befalls(self, what: str) -> Befallen | None:
        """Return the fate of the next request of this kind."""

    def latency_s(self) -> float:
        """Return how long a request is under way."""

    def undo(self, fate: Fate) -> None:
        """Take away what the store holds."""

    def stand_still(self, process: "Process", seconds: float) -> None:
        """Let the others go on while this process does not."""


class Direct:
    """A way to the servers on which nothing goes wrong."""

    hung_s: float | None = None
    connections_lost = 0
    in_group: "InGroup | None" = None

    def ask(self, what: str, do: Callable[[], T]) -> T:
        del what
        return do()


class InGroup(Protocol):
    """The process's consumer that is in a group."""

    def consumer_group_metadata(self) -> bytes:
        """Return its membership."""


class Process:
    """A replica's process as its servers see it."""

    def __init__(self, world: Environment) -> None:
        self.world = world
        self.is_dead = False
        self.is_paused = False
        self.hung_s: float | None = None  # a call of the client hangs, and goes on after so long
        self.cut_until_s = 0.0
        self.connections_lost = 0
        self.in_group: InGroup | None = None

    @property
    def is_heard(self) -> bool:
        """Whether its heartbeats arrive: the client sends them from a thread of its own."""
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
            self.world.stand_still(self, seconds)
        finally:
            self.is_paused = False

    def ask(self, what: str, do: Callable[[], T]) -> T:
        """Make a request and return its answer.

        Raises:
            NoAnswer: there was none.
            Refused: the server said no.
            Crashed: the process died before or after.
        """
        if self.is_dead:
            raise Crashed
        if self.is_cut:
            raise self._no_answer()
        befallen = self.world.befalls(what)
        self.world.clock.advance(self.world.latency_s())
        if befallen is None:
            return do()
        self._before(befallen, do)
        answer = do()
        self._after(befallen, do)
        return answer

    def _before(self, befallen: Befallen, do: Callable[[], object]) -> None:
        match befallen.fate:
            case Fate.CRASH_BEFORE:
                self.die()
            case Fate.PAUSE_BEFORE:
                self.pause(befallen.length_s)
            case Fate.SLOW:
                self.world.stand_still(self, befallen.length_s)
            case Fate.EMPTIED | Fate.SET_BACK:
                self.world.undo(befallen.fate)
            case Fate.LOST:
                raise self._no_answer()
            case Fate.LATE:
                self._later(PATIENCE_S + befallen.length_s, do)
                raise self._no_answer()
            case Fate.HANG:
                self.hung_s = befallen.length_s
                raise self._no_answer()
            case _:
                return

    def _after(self, befallen: Befallen, do: Callable[[], object]) -> None:
        match befallen.fate:
            case Fate.CRASH_AFTER:
                self.die()
            case Fate.PAUSE_AFTER:
                self.pause(befallen.length_s)
            case Fate.DOUBLED:
                self.connections_lost += 1
                self._later(befallen.length_s, do)
            case Fate.REPLY_LOST:
                raise self._no_answer()
            case _:
                return

    def _no_answer(self) -> NoAnswer:
        self.world.clock.advance(PATIENCE_S)
        return NoAnswer()

    def _later(self, delay_s: float, do: Callable[[], object]) -> None:
        """The request arrives when nobody waits for its answer any more."""

        def arrive() -> None:
            try:
                do()
            except Exception:
                return

        self.world.clock.at(self.world.clock.now_s + delay_s, arrive)
