"""Options and state of the stream."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

CONNECTED_SHARE: Final = 0.9


@dataclass(frozen=True, slots=True)
class StreamOptions:
    """Seconds without a message after which to replace a connection; the interval in ms."""

    silence_s: float
    interval_ms: int


@dataclass(slots=True)
class StreamCounts:
    """Counts of all receivers together, without a lock, as in `StreamStatus`."""

    repeated: int = 0
    overflowed: int = 0


@dataclass(frozen=True, slots=True)
class StreamStatus:
    """The state of the stream.

    Attributes:
        connections: the number of connections that are made.
        wanted: the number of symbols to carry.
        carried: the number of symbols that a connection carries.
        attempts: the connections attempted since the start.
        ends: the connections that have ended, by the kind of reason.
        left_out: why the exchange gives no stream, by symbol.
        repeated: the closes that came on two connections.
        overflowed: the messages that the event queue had no room for.
    """

    connections: int = 0
    wanted: int = 0
    carried: int = 0
    attempts: int = 0
    ends: Mapping[str, int] = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)
    repeated: int = 0
    overflowed: int = 0

    @property
    def is_connected(self) -> bool:
        """Whether most symbols are carried, of those that the exchange gives a stream of."""
        return self.carried > 0 and self.carried >= CONNECTED_SHARE * (
            self.wanted - len(self.left_out)
        )
