"""What the producer's threads report to the worker. PURE."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from services.producer.clock_estimate import UNKNOWN_TIME, ClockReading
from services.producer.requests import Priority
from services.producer.sequencer import ReceivedCandle, ReceivedKline, UnreadableKline
from shared.core.market import BasketDefinition
from shared.core.records import MarketMove


@dataclass(frozen=True, slots=True)
class RestResponse:
    """Settled klines of one symbol, from a requested open time on.

    Attributes:
        symbol: the symbol.
        requested_from_ms: the open time requested.
        rows: the klines, ascending.
        has_more: the exchange has more of them.
        complete_until_ms: every settled kline that opens before is among the rows.
        before: the candle before the requested one, if the exchange has it.
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
    before: ReceivedCandle | None = None
    logged_moves: Mapping[int, MarketMove] = field(default_factory=dict)
    priority: Priority = Priority.BACKFILL
    asked: ClockReading = field(default=UNKNOWN_TIME, compare=False)

    @property
    def span_ms(self) -> tuple[int, int]:
        """The first and the last open time of the rows, which must not be empty."""
        first_ms = self.rows[0].open_time_ms or self.requested_from_ms
        return first_ms, self.rows[-1].open_time_ms or first_ms


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
    """Every subscription is acknowledged; candles that closed before may be missing."""


@dataclass(frozen=True, slots=True)
class MarketChanged:
    """The symbols followed for their prices alone, and the baskets in force, from now on."""

    price_only: tuple[str, ...]
    baskets: BasketDefinition | None


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
    | ThreadFailure
)
