"""What one connection carries, and which subscription message comes next. PURE.

One message is under way at a time, so that a refusal without an id is known to be meant for it.

1. Symbols that were never asked for go first, as many in a message as the exchange answers.
2. A message that is refused, or not acknowledged in time, is halved, and the halves are asked after
   everything else: one bad name delays no other.
3. Halved down to one symbol, that symbol is left out. It is asked for again after a while.
"""

from collections import Counter, deque
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from itertools import islice
from typing import Final, Literal

from services.producer.streams.answers import AnswerPatience, MessageSize
from services.producer.streams.left_out import LeftOut

Method = Literal["SUBSCRIBE", "UNSUBSCRIBE"]

# Without a single acknowledgement on the connection, it is the connection that does not answer.
MAX_UNANSWERED: Final = 3
MAX_REFUSED: Final = 6  # likewise: everything is refused
MAX_FAILURES: Final = 2  # of one symbol alone, without a refusal


@dataclass(frozen=True, slots=True)
class SubscriptionMessage:
    """A message to send: symbols to add or to remove."""

    method: Method
    symbols: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SharedKnowledge:
    """What all connections learn of the exchange together."""

    size: MessageSize = field(default_factory=MessageSize)
    patience: AnswerPatience = field(default_factory=AnswerPatience)
    left_out: LeftOut = field(default_factory=LeftOut)


@dataclass(frozen=True, slots=True)
class _Sent:
    request_id: int
    message: SubscriptionMessage
    sent_s: float


class Subscriptions:
    """The symbols of one connection: wanted, under way, carried."""

    def __init__(self, knowledge: SharedKnowledge) -> None:
        """Start with none."""
        self._size, self._patience = knowledge.size, knowledge.patience
        self._left_out = knowledge.left_out
        self._wanted: dict[str, None] = {}
        self._fresh: dict[str, None] = {}  # to ask for, or left out for a while
        self._suspects: deque[tuple[str, ...]] = deque()
        self._carried: dict[str, None] = {}
        self._unwanted: dict[str, None] = {}  # carried, and to unsubscribe
        self._under_way: _Sent | None = None
        self._late: dict[int, _Sent] = {}  # by id: given up, not yet answered
        self._acknowledged = self._unanswered = self._refused = 0
        self._failures: Counter[str] = Counter()  # of messages with this symbol alone
        self._unlucky: frozenset[str] = frozenset()  # under way when a connection proved useless

    @property
    def carried(self) -> Collection[str]:
        """The symbols whose subscription is acknowledged."""
        return self._carried.keys()

    @property
    def wanted(self) -> Collection[str]:
        """The symbols that the connection shall carry."""
        return self._wanted.keys()

    def is_settled(self, now_s: float) -> bool:
        """Return whether what is wanted is carried, but for what is left out."""
        return self._under_way is None and not self._suspects and not self._next_fresh(now_s)

    def want(self, symbols: Iterable[str]) -> None:
        """Replace the symbols that the connection shall carry."""
        self._wanted = dict.fromkeys(symbols)
        known = {*self._carried, *self._pending()}
        self._unwanted = {each: None for each in self._carried if each not in self._wanted}
        self._fresh = {each: None for each in self._wanted if each not in known}

    def next_message(self, now_s: float) -> SubscriptionMessage | None:
        """Return the message to send next; None while one is under way, or if there is none."""
        if self._under_way is not None:
            return None
        if symbols := self._next_fresh(now_s) or self._next_suspects():
            return SubscriptionMessage("SUBSCRIBE", symbols)
        symbols = tuple(islice(self._unwanted, self._size.symbols))
        return SubscriptionMessage("UNSUBSCRIBE", symbols) if symbols else None

    def on_sent(
        self, message: SubscriptionMessage, count: int, request_id: int, now_s: float
    ) -> None:
        """Record that a message was sent with the first symbols of those proposed."""
        sent = SubscriptionMessage(message.method, message.symbols[:count])
        rest = [each for each in message.symbols[count:] if each not in self._fresh]
        if rest and message.method == "SUBSCRIBE":
            self._suspects.appendleft(tuple(rest))
        for symbol in sent.symbols:
            self._fresh.pop(symbol, None)
        self._under_way = _Sent(request_id, sent, now_s)

    def on_ack(self, request_id: int, now_s: float) -> tuple[str, ...]:
        """Record an acknowledgement; return the symbols that are carried from now on."""
        sent = self._late.pop(request_id, None)
        if self._under_way is not None and self._under_way.request_id == request_id:
            sent, self._under_way = self._under_way, None
        if sent is None:
            return ()
        self._acknowledged += 1
        self._patience.on_answer(now_s - sent.sent_s)
        if sent.message.method == "SUBSCRIBE":
            self._size.on_success(len(sent.message.symbols), now_s)
        return self._take_effect(sent.message)

    def on_refusal(self, request_id: int | None, reason: str, now_s: float) -> str | None:
        """Record a refusal; one without an id is meant for the message under way.

        Returns:
            Why the connection is of no use; None if it is.
        """
        sent = self._under_way
        if sent is None or request_id not in (None, sent.request_id):
            return None
        self._under_way = None
        self._split(sent.message, reason, now_s)
        self._refused += 1
        if self._acknowledged or self._refused < MAX_REFUSED:
            return None
        return f"every subscription was refused: {reason}"

    def on_time(self, now_s: float) -> str | None:
        """Give up a message that is not acknowledged in time.

        Returns:
            Why the connection is of no use; None if it is.
        """
        sent = self._under_way
        if sent is None or now_s - sent.sent_s <= self._patience.seconds:
            return None
        self._under_way, self._late[sent.request_id] = None, sent
        self._unanswered += 1
        symbols = sent.message.symbols
        reason = f"not acknowledged within {self._patience.seconds:g} s"
        is_last = len(symbols) == 1 or self._unanswered >= MAX_UNANSWERED
        if is_last and not self._acknowledged:
            self._size.on_failure(len(symbols), now_s)
            self._patience.on_silence()
            self._unlucky = frozenset(symbols)
            return f"a subscription was {reason}"
        self._suspect(sent.message, reason, now_s)
        return None

    def on_end(self, now_s: float) -> tuple[str, ...]:
        """Record the end of the connection; return the symbols that it carried."""
        carried, sent = tuple(self._carried), self._under_way
        if sent is not None and sent.message.method == "SUBSCRIBE":
            self._on_lost(sent.message.symbols, now_s)
        suspects = {symbol for batch in self._suspects for symbol in batch}
        self._under_way, self._carried, self._unwanted, self._late = None, {}, {}, {}
        self._acknowledged = self._unanswered = self._refused = 0
        # The next connection is to answer for others first, so that one symbol can be blamed.
        asked_again = sorted(self._wanted, key=self._unlucky.__contains__)
        self._fresh = {each: None for each in asked_again if each not in suspects}
        return carried

    def _on_lost(self, symbols: tuple[str, ...], now_s: float) -> None:
        """Suspect symbols that were under way, if the connection had answered others."""
        self._unlucky = frozenset(symbols)
        if self._acknowledged:
            reason = "the connection ended when it was asked for"
            self._suspect(SubscriptionMessage("SUBSCRIBE", symbols), reason, now_s)
        else:
            self._size.on_failure(len(symbols), now_s)

    def _suspect(self, message: SubscriptionMessage, reason: str, now_s: float) -> None:
        """Halve a message that failed by chance perhaps: a symbol is left out the second time."""
        if len(message.symbols) == 1 and message.method == "SUBSCRIBE":
            [symbol] = message.symbols
            self._failures[symbol] += 1
            if self._failures[symbol] < MAX_FAILURES:
                self._suspects.append(message.symbols)
                return
        self._split(message, reason, now_s)

    def _split(self, message: SubscriptionMessage, reason: str, now_s: float) -> None:
        """Halve a message that failed; leave out its symbol if it is the only one."""
        symbols = message.symbols
        if message.method == "UNSUBSCRIBE":
            self._take_effect(message)
        elif len(symbols) == 1:
            self._left_out.add(symbols[0], reason, now_s)
            self._fresh |= {each: None for each in symbols if each in self._wanted}
        else:
            self._size.on_failure(len(symbols), now_s)
            half = len(symbols) // 2
            self._suspects += [symbols[:half], symbols[half:]]

    def _take_effect(self, message: SubscriptionMessage) -> tuple[str, ...]:
        if message.method == "UNSUBSCRIBE":
            for symbol in message.symbols:
                self._carried.pop(symbol, None)
                self._unwanted.pop(symbol, None)
                if symbol in self._wanted:  # again, in the meantime
                    self._fresh[symbol] = None
            return ()
        new = tuple(each for each in message.symbols if each not in self._carried)
        self._carried |= dict.fromkeys(new)
        self._unwanted |= {each: None for each in new if each not in self._wanted}
        self._left_out.discard(new)
        for symbol in new:
            self._failures.pop(symbol, None)
            self._fresh.pop(symbol, None)
        return new

    def _next_fresh(self, now_s: float) -> tuple[str, ...]:
        due = [each for each in self._fresh if not self._left_out.is_out(each, now_s)]
        trusted = [each for each in due if not self._left_out.is_suspect(each)]
        return tuple(trusted[: self._size.symbols] or due[:1])

    def _next_suspects(self) -> tuple[str, ...]:
        while self._suspects:
            if symbols := self._still_missing(self._suspects.popleft()):
                return symbols
        return ()

    def _still_missing(self, symbols: Iterable[str]) -> tuple[str, ...]:
        return tuple(each for each in symbols if each in self._wanted and each not in self._carried)

    def _pending(self) -> Iterable[str]:
        """Return what is under way, or halved."""
        under_way = () if self._under_way is None else self._under_way.message.symbols
        return (*under_way, *(each for batch in self._suspects for each in batch))
