"""An exchange whose connections do what a test says, without a socket."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from services.producer.market.price_book import HeardPrice
from services.producer.ports import (
    OnError,
    OnEvent,
    SentMessage,
    StreamLimits,
    StreamUpdate,
    SubscriptionAck,
    SubscriptionRefused,
)
from shared.core.errors import Unavailable


@dataclass
class ScriptedConnection:
    """Is made at once and acknowledges everything, unless the test says otherwise."""

    on_event: OnEvent
    on_error: OnError
    answers: bool = True
    is_alive: bool = True
    is_open: bool = True
    symbols: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    refused: set[str] = field(default_factory=set)
    messages: int = 0

    @property
    def may_send(self) -> bool:
        return self.is_open and self.is_alive

    def subscribe(self, symbols: Sequence[str]) -> SentMessage:
        self.symbols += symbols
        return self._answer(symbols)

    def unsubscribe(self, symbols: Sequence[str]) -> SentMessage:
        self.symbols = [each for each in self.symbols if each not in symbols]
        self.removed += symbols
        return self._answer(symbols)

    def close(self) -> None:
        self.is_alive = False

    def tell(self, event_ms: int = 1, symbol: str = "BTCUSDT") -> None:
        """Send an open kline."""
        self.on_event(StreamUpdate(event_ms, None, HeardPrice(symbol, 0, 1.0, event_ms)))

    def _answer(self, symbols: Sequence[str]) -> SentMessage:
        if not self.is_alive:
            raise Unavailable("the connection has ended")
        self.messages += 1
        if self.refused & set(symbols):
            self.on_event(SubscriptionRefused(self.messages, "no such symbol"))
        elif self.answers:
            self.on_event(SubscriptionAck(self.messages))
        return SentMessage(self.messages, len(symbols))


class ScriptedExchange:
    """Opens scripted connections; `prepare` changes each before it is used."""

    def __init__(self, max_symbols: int = 1000, max_age_s: float = 1e9) -> None:
        self.stream_limits = StreamLimits(max_symbols, max_age_s)
        self.connections: list[ScriptedConnection] = []
        self.prepare: Callable[[ScriptedConnection], None] = lambda _: None

    @property
    def alive(self) -> list[ScriptedConnection]:
        return [each for each in self.connections if each.is_alive]

    def open_stream(self, on_event: OnEvent, on_error: OnError) -> ScriptedConnection:
        self.connections.append(ScriptedConnection(on_event, on_error))
        self.prepare(self.connections[-1])
        return self.connections[-1]
