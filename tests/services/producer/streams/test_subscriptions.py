"""Subscriptions against exchanges that refuse, swallow, or answer late."""

from collections.abc import Callable, Collection
from itertools import count, pairwise

from hypothesis import given
from hypothesis import strategies as st

from services.producer.streams.answers import (
    LONGEST_PATIENCE_S,
    MAX_SYMBOLS,
    SHORTEST_PATIENCE_S,
    AnswerPatience,
    MessageSize,
)
from services.producer.streams.subscriptions import (
    SharedKnowledge,
    SubscriptionMessage,
    Subscriptions,
)

NAMES = tuple(f"S{number}USDT" for number in range(250))


class Conversation:
    """A connection's subscriptions, and an exchange that accepts, refuses or swallows them."""

    def __init__(self, names: Collection[str] = NAMES) -> None:
        self.knowledge = SharedKnowledge()
        self.left_out = self.knowledge.left_out
        self.subscriptions = Subscriptions(self.knowledge)
        self.subscriptions.want(names)
        self.now_s = 0.0
        self.messages: list[SubscriptionMessage] = []
        self._ids = count(1)

    def send(self) -> int | None:
        """Send the next message; return its id, or None if there is none."""
        message = self.subscriptions.next_message(self.now_s)
        if message is None:
            return None
        self.messages.append(message)
        request_id = next(self._ids)
        self.subscriptions.on_sent(message, len(message.symbols), request_id, self.now_s)
        return request_id

    def run(
        self,
        accepts: Callable[[SubscriptionMessage], bool],
        refuses: Callable[[SubscriptionMessage], bool] = lambda _: False,
    ) -> str | None:
        """Let the exchange answer until all is settled; return why the connection is useless."""
        for _ in range(2_000):
            if (request_id := self.send()) is None:
                return None
            message = self.messages[-1]
            reason = None
            if refuses(message):
                reason = self.subscriptions.on_refusal(request_id, "no such symbol", self.now_s)
            elif accepts(message):
                self.subscriptions.on_ack(request_id, self.now_s)
            else:
                self.now_s += self.knowledge.patience.seconds + 0.1
                reason = self.subscriptions.on_time(self.now_s)
            if reason is not None:
                return reason
        raise AssertionError("the conversation does not end")

    @property
    def carried(self) -> set[str]:
        return set(self.subscriptions.carried)


def everything(_: SubscriptionMessage) -> bool:
    return True


@given(st.sets(st.sampled_from(NAMES), max_size=5))
def test_a_refused_symbol_is_found_and_left_out_alone(bad: set[str]) -> None:
    talk = Conversation()

    assert talk.run(everything, lambda message: bool(bad & set(message.symbols))) is None

    assert talk.carried == set(NAMES) - bad
    assert set(talk.left_out.reasons) == bad
    assert len(talk.messages) <= 8 + 20 * len(bad)


def test_other_symbols_are_asked_for_before_the_halves_of_a_refused_message() -> None:
    talk = Conversation()

    talk.run(everything, lambda message: NAMES[0] in message.symbols)

    first = next(n for n, each in enumerate(talk.messages[1:], 1) if NAMES[0] in each.symbols)
    asked = {name for message in talk.messages[:first] for name in message.symbols}
    assert set(NAMES[MAX_SYMBOLS:]) <= asked


@given(st.sampled_from(NAMES[1:]))
def test_a_symbol_that_the_exchange_swallows_is_left_out_like_a_refused_one(bad: str) -> None:
    talk = Conversation([NAMES[0], *NAMES[1:]])
    talk.subscriptions.on_ack(talk.send() or 0, 0.0) if bad not in NAMES[:MAX_SYMBOLS] else None

    reason = talk.run(lambda message: bad not in message.symbols)

    assert reason is None
    assert talk.carried == set(NAMES) - {bad}


@given(st.integers(1, MAX_SYMBOLS))
def test_a_size_that_is_never_acknowledged_is_learnt_and_all_symbols_are_carried(
    limit: int,
) -> None:
    talk = Conversation()

    for _ in range(5):  # connections
        if talk.run(lambda message: len(message.symbols) <= limit) is None:
            break
        talk.subscriptions.on_end(talk.now_s)

    assert talk.carried == set(NAMES)
    assert talk.left_out.reasons == {}


def test_a_connection_that_answers_nothing_is_of_no_use_and_no_symbol_is_blamed() -> None:
    talk = Conversation(["BTCUSDT"])

    assert talk.run(lambda _: False) is not None
    assert talk.left_out.reasons == {}


def test_an_exchange_that_refuses_everything_is_of_no_use_and_few_messages_are_sent() -> None:
    talk = Conversation()

    assert talk.run(everything, everything) is not None
    assert len(talk.messages) < 10
    assert talk.left_out.reasons == {}


@given(st.sampled_from(NAMES), st.integers(0, 3))
def test_a_symbol_that_ends_the_connection_is_found_over_several(bad: str, size: int) -> None:
    talk = Conversation(NAMES[: 2 + 60 * size])
    for _ in range(200):
        if (request_id := talk.send()) is None:
            break
        talk.now_s += 0.3
        if bad in talk.messages[-1].symbols:
            talk.subscriptions.on_end(talk.now_s)
            talk.now_s += 5.0  # until the next connection
        else:
            talk.subscriptions.on_ack(request_id, talk.now_s)

    assert talk.carried == set(talk.subscriptions.wanted) - {bad}


def test_an_answer_that_comes_late_counts() -> None:
    talk = Conversation(["BTCUSDT", "ETHUSDT"])
    late_id = talk.send()
    talk.now_s = SHORTEST_PATIENCE_S + 1
    talk.subscriptions.on_time(talk.now_s)

    assert late_id is not None
    assert talk.subscriptions.on_ack(late_id, 9.0) == ("BTCUSDT", "ETHUSDT")
    assert talk.send() is None, "the halves need not be asked for"
    assert talk.knowledge.patience.seconds == 18.0, "and the next has as long again"


def test_an_exchange_that_answers_late_blames_no_symbol() -> None:
    talk = Conversation()
    under_way: list[tuple[float, int]] = []
    for tick in range(3_000):
        talk.now_s = tick / 10
        if (request_id := talk.send()) is not None:
            under_way.append((talk.now_s + 12.0, request_id))
        while under_way and under_way[0][0] <= talk.now_s:
            talk.subscriptions.on_ack(under_way.pop(0)[1], talk.now_s)
        assert talk.subscriptions.on_time(talk.now_s) is None or not talk.carried

    assert talk.carried == set(NAMES)
    assert talk.left_out.reasons == {}
    assert len(talk.messages) < 12


def test_a_size_that_failed_is_tried_again_after_a_while_and_each_time_later() -> None:
    size, now_s, tried_s = MessageSize(), 0.0, []
    while now_s < 4_000:
        if size.symbols > 50:
            tried_s.append(now_s)
            size.on_failure(size.symbols, now_s)
        else:
            size.on_success(size.symbols, now_s)
        now_s += 1.0

    assert len(tried_s) < 7
    assert size.symbols == 50
    size.on_success(50, 1e6)
    assert size.symbols == MAX_SYMBOLS


def test_patience_grows_with_late_answers_and_shrinks_by_and_by() -> None:
    patience = AnswerPatience()
    for elapsed_s, expected_s in ((1, 5), (9, 18), (99, 30), (1, 15), (1, 7.5), (1, 5)):
        patience.on_answer(elapsed_s)
        assert patience.seconds == expected_s
    for _ in range(4):
        patience.on_silence()
    assert patience.seconds == LONGEST_PATIENCE_S


def test_a_refusal_without_an_id_is_meant_for_the_message_under_way() -> None:
    talk = Conversation(["BTCUSDT"])
    talk.send()

    talk.subscriptions.on_refusal(None, "no", 0.0)

    assert talk.left_out.reasons == {"BTCUSDT": "no"}


def test_a_symbol_left_out_is_asked_for_again_alone_and_ever_less_often() -> None:
    talk = Conversation(["BTCUSDT", "BADUSDT"])
    times_s = []
    for _ in range(6):
        talk.run(everything, lambda message: "BADUSDT" in message.symbols)
        times_s.append(talk.now_s)
        while talk.left_out.is_out("BADUSDT", talk.now_s):
            talk.now_s += 1
        assert talk.subscriptions.next_message(talk.now_s) == SubscriptionMessage(
            "SUBSCRIBE", ("BADUSDT",)
        )

    waits_s = [later - earlier for earlier, later in pairwise(times_s)]
    assert waits_s == [60, 240, 960, 3600, 3600]
    talk.run(everything)
    assert talk.left_out.reasons == {}, "the exchange lists it again"


def test_symbols_that_are_not_wanted_any_longer_are_unsubscribed() -> None:
    talk = Conversation(["BTCUSDT", "ETHUSDT"])
    talk.run(everything)

    talk.subscriptions.want(["ETHUSDT", "SOLUSDT"])
    talk.run(everything)

    assert [(each.method, each.symbols) for each in talk.messages[1:]] == [
        ("SUBSCRIBE", ("SOLUSDT",)),
        ("UNSUBSCRIBE", ("BTCUSDT",)),
    ]
    assert talk.carried == {"ETHUSDT", "SOLUSDT"}


def test_a_symbol_wanted_again_while_it_is_unsubscribed_is_subscribed_again() -> None:
    talk = Conversation(["BTCUSDT", "ETHUSDT"])
    talk.run(everything)
    talk.subscriptions.want(["ETHUSDT"])
    request_id = talk.send()

    talk.subscriptions.want(["ETHUSDT", "BTCUSDT"])
    talk.subscriptions.on_ack(request_id or 0, 0.0)
    talk.run(everything)

    assert talk.carried == {"ETHUSDT", "BTCUSDT"}


def test_what_does_not_fit_into_a_message_is_sent_with_the_next() -> None:
    talk = Conversation(NAMES[:100])
    message = talk.subscriptions.next_message(0.0)
    assert message is not None
    talk.subscriptions.on_sent(message, 60, 99, 0.0)
    talk.subscriptions.on_ack(99, 0.0)

    talk.run(everything)

    assert talk.messages == [SubscriptionMessage("SUBSCRIBE", NAMES[60:100])]
