"""Interfaces that the producer needs: an exchange to read from, a log to append to.

A new exchange is a folder in `exchanges/` with a class that implements `Exchange`, and a line in
`exchanges/registry.py`: see docs/how-to/add-an-exchange.md.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from services.producer.backfill.sequencer import LogEntry, ReceivedKline, SymbolCursor
from services.producer.finality.candle_memory import LogTail
from services.producer.market.price_book import HeardPrice
from services.producer.rest.requests import KlineRequest, Priority
from shared.core.errors import Unavailable


class Throttled(Unavailable):
    """Raised when the exchange tells the client how long to stay away."""

    def __init__(self, message: str, retry_after_s: float) -> None:
        """Store the wait in seconds with the message."""
        super().__init__(message)
        self.retry_after_s = retry_after_s


class SymbolRefused(Unavailable):
    """Raised when the exchange refuses what was requested, such as a symbol that it lacks.

    Other requests may succeed; this one hardly will, so a retry has minutes to wait.
    """


@dataclass(frozen=True, slots=True)
class SubscriptionAck:
    """The exchange accepted the request with this id."""

    request_id: int


@dataclass(frozen=True, slots=True)
class SubscriptionRefused:
    """The exchange refused the request with this id; None if it does not say which."""

    request_id: int | None
    reason: str


@dataclass(frozen=True, slots=True)
class ServerShutdown:
    """The exchange announced that it ends the connection; it may go on for a while."""

    reason: str


@dataclass(frozen=True, slots=True)
class StreamUpdate:
    """Any other message: the exchange's time, a closed kline and a price, each if it has them.

    Both open and closed klines have a price.
    """

    event_ms: int | None
    kline: ReceivedKline | None = None
    price: HeardPrice | None = None


StreamEvent = SubscriptionAck | SubscriptionRefused | ServerShutdown | StreamUpdate


@dataclass(frozen=True, slots=True)
class ListedSymbol:
    """A symbol of the exchange: whether it is being traded, and the asset that prices are in.

    `status` is the exchange's own word, for messages.
    """

    is_traded: bool
    quote_asset: str
    status: str = ""


@dataclass(frozen=True, slots=True)
class DayTicker:
    """A symbol's last 24 hours: its turnover in the quote asset and the range of its price."""

    symbol: str
    quote_volume: float
    high: float
    low: float


@dataclass(frozen=True, slots=True)
class ListedSymbols:
    """What an exchange lists, and the last 24 hours of each symbol if they were requested."""

    symbols: Mapping[str, ListedSymbol]
    tickers: Sequence[DayTicker] = ()


@dataclass(frozen=True, slots=True)
class KlinePage:
    """One response of klines, as it was read: nothing of it is checked against other knowledge.

    Attributes:
        rows: every row in the exchange's order, the last one usually of an unfinished candle.
        has_more: the exchange cut the page at its limit.
        arrival_ms: when the response arrived, by this machine's clock.
    """

    rows: list[ReceivedKline]
    has_more: bool
    arrival_ms: int


@dataclass(frozen=True, slots=True)
class SentMessage:
    """A message on a stream connection: its id, and how many of the symbols are in it."""

    request_id: int
    symbols: int


@dataclass(frozen=True, slots=True)
class StreamLimits:
    """What an exchange allows on its streams.

    Attributes:
        max_symbols: the number of symbols that one connection carries.
        max_age_s: the age at which to replace a connection, before the exchange ends it.
        handshake_s: the longest time that connecting may take.
    """

    max_symbols: int
    max_age_s: float
    handshake_s: float = 10.0


@dataclass(frozen=True, slots=True)
class RestLimits:
    """How an exchange's REST service is used.

    Attributes:
        deadline_s: seconds until an answer must be complete, from connecting to its last byte.
        weight_share: how much of the exchange's limit of requests may be used in any minute; the
            rest is for others behind the same address.
    """

    deadline_s: float = 15.0
    weight_share: float = 0.6


class RestClient(Protocol):
    """One thread's connection to the exchange's REST service.

    Each method raises Unavailable if a retry may help, Throttled if the exchange says when,
    SymbolRefused if it hardly will. No response of the exchange raises anything else, and each is
    complete within a deadline.
    """

    def server_time_ms(self) -> int:
        """Return the exchange's time in milliseconds."""

    def list_symbols(self) -> Mapping[str, ListedSymbol]:
        """Return every symbol listed.

        It is called before any other request for klines or a stream.
        """

    def fetch_tickers(self) -> Sequence[DayTicker]:
        """Return the last 24 hours of every symbol."""

    def fetch_klines(
        self, symbol: str, from_ms: int, until_ms: int | None, max_rows: int
    ) -> KlinePage:
        """Return the klines that open at `from_ms` or later and before `until_ms`, unfinished too.

        At most `max_rows` of them, or the exchange's own limit, the oldest ones; all rows as the
        exchange sent them. Whether a row is final and a page credible is decided by its reader.

        The caller has reserved the request (`Exchange.reserve_klines`).
        """

    def close(self) -> None:
        """Close the connection."""


class BanStore(Protocol):
    """Keeps the exchange's ban of this address over a restart."""

    def load(self) -> int | None:
        """Return the end of the newest ban, in milliseconds since 1970; None if there was none.

        Raises:
            Unavailable: the store does not answer.
        """

    def save(self, until_ms: int) -> None:
        """Store the end of a ban.

        Raises:
            Unavailable: the store does not answer.
        """


class StreamConnection(Protocol):
    """One connection to the exchange's streams. It need not reconnect: the supervisor does.

    None of its methods waits for the exchange.
    """

    @property
    def is_alive(self) -> bool:
        """Whether the connection is being made or read; False once it has ended."""

    @property
    def is_open(self) -> bool:
        """Whether the connection is made."""

    @property
    def may_send(self) -> bool:
        """Whether a message now keeps the pace that the exchange allows, pongs included."""

    def subscribe(self, symbols: Sequence[str]) -> SentMessage:
        """Ask for the klines of symbols: of the first ones, as many as fit into a message.

        Asking again for a symbol that the connection carries does no harm.

        Raises:
            Unavailable: the connection has ended.
        """

    def unsubscribe(self, symbols: Sequence[str]) -> SentMessage:
        """Ask for no more klines of symbols; else as `subscribe`."""

    def close(self) -> None:
        """End the connection, at whatever stage it is."""


OnEvent = Callable[[StreamEvent], None]
OnError = Callable[[Exception], None]


class RestService(Protocol):
    """An exchange's REST service. Its methods may be called from any thread."""

    def open_rest(self) -> RestClient:
        """Return a REST client for one thread."""

    def reserve_klines(self, priority: Priority) -> float:
        """Reserve one request for klines and return 0, or return the seconds until it is allowed.

        All clients share the exchange's limit; the less urgent a request, the less of it it may
        use.
        """


class StreamService(Protocol):
    """An exchange's streams. Its method may be called from any thread.

    Attributes:
        stream_limits: what it allows on its streams.
    """

    stream_limits: StreamLimits

    def open_stream(self, on_event: OnEvent, on_error: OnError) -> StreamConnection:
        """Begin to connect to the streams, without a wait.

        Args:
            on_event: called with each message, on the connection's own thread; must not block.
            on_error: called with the error that ended the connection: Throttled if the exchange
                says for how long.
        """


class Exchange(RestService, StreamService, Protocol):
    """An exchange. Its methods may be called from any thread."""

    @property
    def used_weight(self) -> int:
        """The request weight used in this minute, as the exchange counts it; 0 if it does not."""

    @property
    def allowed_weight(self) -> float:
        """The request weight that may be used in a minute, by all behind the same address."""

    @property
    def klines_per_minute(self) -> float:
        """The requests for klines that may be sent in a minute, if there were no others."""

    @property
    def ban_s(self) -> float:
        """The seconds until the exchange's ban of this address ends; 0: there is none."""

    def keep_bans(self, bans: BanStore) -> None:
        """Wait out the ban that is stored, and store each new one.

        Raises:
            Unavailable: the store does not answer.
        """


class PriceStream(Protocol):
    """The stream of prices."""

    def follow_prices(self, symbols: Sequence[str]) -> None:
        """Subscribe also to symbols whose prices are wanted, but not their candles."""


class SymbolStream(Protocol):
    """The stream of candles. Its methods may be called from any thread."""

    def follow(self, symbols: Sequence[str]) -> None:
        """Subscribe to the candles of more symbols."""

    def unfollow(self, symbols: Sequence[str]) -> None:
        """End the subscription of symbols."""


class KlineRequester(Protocol):
    """What sends the worker's requests, without a wait."""

    def request_klines(self, request: KlineRequest) -> None:
        """Request klines; a RestResponse or a RestFailure comes through the event queue."""

    def drop(self, symbol: str) -> None:
        """Drop the requests for a symbol that were not sent yet."""


class CandleLog(Protocol):
    """The log of candles, appended to in transactions by one writer."""

    def open(self) -> None:
        """Fence other writers: what is read from now on stays true.

        Raises:
            Unavailable: Kafka does not answer; open again.
        """

    def read_cursors(self, symbols: Collection[str]) -> Mapping[str, SymbolCursor]:
        """Read where each of the symbols is.

        Raises:
            Unavailable: Kafka does not answer.
        """

    def read_tail(self, newest_ms: int, on_tail: Callable[[LogTail], object]) -> None:
        """Read the end of the log on another thread.

        Args:
            newest_ms: the log's newest open time.
            on_tail: called with the log's end, on that thread; not at all if Kafka is away.
        """

    def append(self, entries: Sequence[LogEntry]) -> None:
        """Append entries in one transaction.

        Raises:
            Refused: none of them is in the log, and Kafka would refuse them again.
            Aborted: some may be; read the cursors.
            OutcomeUnknown: they may be; read the cursors.
            Fenced: another process has become the writer.
            Unavailable: Kafka does not answer, or the log is not open.
        """
