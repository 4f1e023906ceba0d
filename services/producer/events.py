"""What the producer's threads report to the worker. PURE."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from services.producer.backfill.sequencer import ReceivedCandle, ReceivedKline, UnreadableKline
from services.producer.finality.clock_estimate import UNKNOWN_TIME, ClockReading
from services.producer.rest.requests import Priority
from shared.core.market import BasketDefinition
from shared.core.records import MarketMove, StatusName


@dataclass(frozen=True, slots=True)
class RestResponse:
    """Klines of one symbol as they were read, from before a requested open time on.

    Attributes:
        symbol: the symbol.
        requested_from_ms: the open time requested.
        rows: the klines, in the exchange's order, the one before the requested one as well.
        has_more: the exchange has more of them.
        complete_until_ms: every final kline that opens before is among the rows, if they are all.
        until_ms: the request was for klines that open before this time; None: for all.
        logged_moves: the market's moves that the log has of these candles and of later ones, by
            open time.
        priority: what the request was for.
        asked: the exchange's time right before the request was sent.
    """

    symbol: str
    requested_from_ms: int
    rows: list[ReceivedKline]
    has_more: bool
    complete_until_ms: int = 0
    until_ms: int | None = None
    logged_moves: Mapping[int, MarketMove] = field(default_factory=dict)
    priority: Priority = Priority.BACKFILL
    asked: ClockReading = field(default=UNKNOWN_TIME, compare=False)


@dataclass(frozen=True, slots=True)
class RestFailure:
    """A request for one symbol that got no usable response.

    Attributes:
        symbol: the symbol.
        reason: why, in words.
        refused: the exchange refuses this symbol, which a retry will hardly change.
        priority: what the request was for.
    """

    symbol: str
    reason: str
    refused: bool = False
    priority: Priority = Priority.BACKFILL


@dataclass(frozen=True, slots=True)
class StreamConnected:
    """The stream carries these symbols from now on; candles that closed before may be missing."""

    symbols: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MarketChanged:
    """The symbols followed for their prices alone, and the baskets in force, from now on."""

    price_only: tuple[str, ...]
    baskets: BasketDefinition | None


@dataclass(frozen=True, slots=True)
class ObservedStatus:
    """What is certain about a symbol now, in whatever status the log has it.

    A delisting is certain only once the symbol has no candle for `silence_s` either, in seconds.
    """

    symbol: str
    status: StatusName
    reason: str
    silence_s: float = 0.0


@dataclass(frozen=True, slots=True)
class SymbolsChanged:
    """Symbols to follow from now on, each with the reason, and what is certain about some."""

    joining: Mapping[str, str]
    observed: tuple[ObservedStatus, ...] = ()

    def __bool__(self) -> bool:
        """Whether there is anything to do."""
        return bool(self.joining or self.observed)


@dataclass(frozen=True, slots=True)
class ThreadFailure:
    """An error that a thread cannot handle: the worker raises it."""

    error: Exception


ProducerEvent = (
    ReceivedCandle
    | UnreadableKline
    | RestResponse
    | RestFailure
    | StreamConnected
    | MarketChanged
    | SymbolsChanged
    | ThreadFailure
)
