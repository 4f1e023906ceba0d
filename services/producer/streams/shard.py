"""One of several sockets: the symbols that it carries, and its connection, made anew when lost.

It has no thread: `step` is called again and again with the time.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from itertools import count
from typing import Final, Literal

from services.producer.ports import (
    ServerShutdown,
    StreamConnection,
    StreamService,
    SubscriptionAck,
    SubscriptionRefused,
    Throttled,
)
from services.producer.streams.attempts import HEALTHY_AFTER_S, AttemptBudget, ConnectionBackoff
from services.producer.streams.receiver import ServerResponse, StreamReceiver
from services.producer.streams.subscriptions import Subscriptions
from shared.core.errors import Unavailable

_numbers: Final = count(1)

EndKind = Literal[
    "age", "shutdown", "silence", "lost", "refused", "handshake", "unacknowledged", "unneeded"
]


@dataclass(frozen=True, slots=True)
class StreamEnd:
    """Why a connection has ended: the kind for a metric, and the words."""

    kind: EndKind
    text: str


@dataclass(frozen=True, slots=True)
class ShardPorts:
    """What a shard acts on.

    Attributes:
        exchange: the exchange to connect to.
        budget: the attempts of all shards.
        new_receiver: returns what takes the messages of a connection that begins at a time.
        on_carried: called with a shard and symbols that its connection carries from now on.
        on_ended: called with a shard, the symbols that its connection carried, and the reason.
    """

    exchange: StreamService
    budget: AttemptBudget
    new_receiver: Callable[[float], StreamReceiver]
    on_carried: Callable[["StreamShard", Collection[str]], None]
    on_ended: Callable[["StreamShard", Collection[str], StreamEnd], None]


@dataclass(frozen=True, slots=True)
class _Attempt:
    """A connection, from the moment that it is attempted."""

    connection: StreamConnection
    receiver: StreamReceiver
    since_s: float


class StreamShard:
    """The symbols of one socket, and its connection.

    Attributes:
        subscriptions: the symbols.
        number: of the connection; no two have the same.
        is_shutting_down: the exchange announced that it ends the connection.
        is_retiring: another shard takes over; this one sends nothing and is not connected again.
    """

    def __init__(
        self,
        ports: ShardPorts,
        subscriptions: Subscriptions,
        backoff: ConnectionBackoff | None = None,
    ) -> None:
        """Start without a connection; the waits may be those of the shard that it replaces."""
        self._ports, self.subscriptions = ports, subscriptions
        self._backoff = backoff or ConnectionBackoff()
        self._attempt: _Attempt | None = None
        self.is_shutting_down = self.is_retiring = False
        self.number = 0

    @property
    def receiver(self) -> StreamReceiver | None:
        """What takes the messages of the connection; None without one."""
        return None if self._attempt is None else self._attempt.receiver

    @property
    def is_connected(self) -> bool:
        """Whether there is a connection that is made."""
        return self._attempt is not None and self._attempt.connection.is_open

    def age_s(self, now_s: float) -> float:
        """Return the age of the connection; 0 without one."""
        return 0.0 if self._attempt is None else now_s - self._attempt.since_s

    def silence_s(self, now_s: float) -> float:
        """Return for how long nothing was heard on the connection; 0 without one."""
        return 0.0 if self._attempt is None else now_s - self._attempt.receiver.last_data_s

    def step(self, now_s: float) -> None:
        """Connect, take what the exchange answered, and send the next message: what is due."""
        if self._attempt is None:
            self._connect(now_s)
            return
        end = self._take_responses(self._attempt, now_s) or self._end(self._attempt, now_s)
        if end is None and not self.is_retiring:
            end = self._send_next(self._attempt.connection, now_s)
        if end is not None:
            self.close(end, now_s)

    def retire(self, now_s: float) -> ConnectionBackoff:
        """Leave the connection to end, and return the waits for the shard that takes over.

        An exchange that announces the end of every new connection is no better than one that ends
        them.
        """
        self.is_retiring = True
        data_s = self._data_s()
        if data_s >= HEALTHY_AFTER_S:
            return ConnectionBackoff()
        self._backoff.on_end(now_s, data_s)
        return self._backoff

    def close(self, end: StreamEnd, now_s: float) -> None:
        """End the connection, if there is one."""
        if self._attempt is None:
            return
        if not self.is_retiring:
            self._backoff.on_end(now_s, self._data_s())
        self._attempt.connection.close()
        self._attempt = None
        self._ports.on_ended(self, self.subscriptions.on_end(now_s), end)

    def _data_s(self) -> float:
        """Return for how long the connection gave data; 0 without one."""
        attempt = self._attempt
        return 0.0 if attempt is None else attempt.receiver.last_data_s - attempt.since_s

    def _connect(self, now_s: float) -> None:
        is_due = now_s >= self._backoff.not_before_s and not self.subscriptions.is_settled(now_s)
        if self.is_retiring or not is_due or not self._ports.budget.take(now_s):
            return
        receiver = self._ports.new_receiver(now_s)
        connection = self._ports.exchange.open_stream(receiver.on_event, receiver.on_error)
        self.number, self.is_shutting_down = next(_numbers), False
        self._attempt = _Attempt(connection, receiver, now_s)

    def _take_responses(self, attempt: _Attempt, now_s: float) -> StreamEnd | None:
        """Take what the exchange answered; return why the connection is of no use, if so."""
        end = None
        while attempt.receiver.responses:
            end = self._on_response(attempt.receiver.responses.popleft(), now_s) or end
        return end

    def _on_response(self, response: ServerResponse, now_s: float) -> StreamEnd | None:
        match response:
            case SubscriptionAck():
                if carried := self.subscriptions.on_ack(response.request_id, now_s):
                    self._ports.on_carried(self, carried)
            case SubscriptionRefused(request_id, reason):
                text = self.subscriptions.on_refusal(request_id, reason, now_s)
                return None if text is None else StreamEnd("refused", text)
            case ServerShutdown():
                self.is_shutting_down = True
        return None

    def _end(self, attempt: _Attempt, now_s: float) -> StreamEnd | None:
        """Return why the connection has ended or has to end; None if it goes on."""
        connection, limit_s = attempt.connection, self._ports.exchange.stream_limits.handshake_s
        if (error := attempt.receiver.error) is not None:
            if isinstance(error, Throttled):
                self._ports.budget.pause(now_s, error.retry_after_s)
            return StreamEnd("lost", str(error))
        if not connection.is_alive:
            return StreamEnd("lost", "the connection was lost")
        if not connection.is_open:
            is_late = now_s - attempt.since_s > limit_s
            late = StreamEnd("handshake", f"connecting took longer than {limit_s:g} s")
            return late if is_late else None
        if not self.subscriptions.carried and self.subscriptions.is_settled(now_s):
            return StreamEnd("unneeded", "the connection has nothing to carry")
        text = self.subscriptions.on_time(now_s)
        return None if text is None else StreamEnd("unacknowledged", text)

    def _send_next(self, connection: StreamConnection, now_s: float) -> StreamEnd | None:
        """Send what is next, if anything; return why the connection has ended, if it has."""
        message = self.subscriptions.next_message(now_s) if connection.may_send else None
        if message is None:
            return None
        is_removal = message.method == "UNSUBSCRIBE"
        send = connection.unsubscribe if is_removal else connection.subscribe
        try:
            sent = send(message.symbols)
        except Unavailable as error:
            return StreamEnd("lost", str(error))
        self.subscriptions.on_sent(message, sent.symbols, sent.request_id, now_s)
        return None
