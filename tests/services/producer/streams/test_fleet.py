"""Several connections: what is replaced when, and what the worker hears of it."""

import time
from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.producer.backfill.sequencer import KlineOrigin, ReceivedCandle, UnreadableKline
from services.producer.event_queue import EventQueue, Inbox
from services.producer.events import ProducerEvent, StreamConnected
from services.producer.finality.exchange_clock import ExchangeClock
from services.producer.market.carried_symbols import StreamCarries, StreamInterrupted
from services.producer.ports import ServerShutdown, StreamUpdate, Throttled
from services.producer.streams.attempts import MAX_ATTEMPTS, WINDOW_S
from services.producer.streams.fleet import OVERLAP_S, StreamFleet
from services.producer.streams.status import StreamOptions
from shared.core.errors import Incompatible, Unavailable
from tests.services.producer.streams.scripted_exchange import ScriptedConnection, ScriptedExchange

STEP_MS = 300_000
TICK_S = 0.1
NAMES = [f"S{number}USDT" for number in range(250)]


class Fleet:
    """A fleet with a scripted exchange, run by the tick."""

    def __init__(
        self, symbols: list[str], exchange: ScriptedExchange, silence_s: float = 60.0
    ) -> None:
        self.exchange = exchange
        # The receivers take the time of a message from the process's clock.
        self.began_s = self.now_s = time.monotonic()
        clock = ExchangeClock(STEP_MS, lambda: self.now_s, self.exchange_ms)
        clock.on_rest_time(int(self.exchange_ms()))
        self.inbox = Inbox(EventQueue(max_events=500), clock=clock)
        self.fleet = StreamFleet(exchange, StreamOptions(silence_s, STEP_MS), self.inbox)
        self.fleet.want(symbols)
        self.attempts_s: list[float] = []

    def run(self, seconds: float, on_tick: Callable[[], None] = lambda: None) -> None:
        until_s = self.now_s + seconds
        while self.now_s < until_s:
            before = len(self.exchange.connections)
            self.fleet.step(self.now_s)
            self.attempts_s += [self.now_s] * (len(self.exchange.connections) - before)
            on_tick()
            self.now_s += TICK_S

    def exchange_ms(self) -> float:
        """Return the exchange's time; a candle began with the fleet."""
        return 6_000_000 * STEP_MS + (self.now_s - self.began_s) * 1000

    def events(self) -> list[ProducerEvent]:
        return self.inbox.events.drain(0.0)

    def drain(self) -> None:
        self.events()
        self.prices()

    def prices(self) -> list[object]:
        return list(self.inbox.prices.drain())

    def keep_talking(self) -> None:
        """Let every connection be heard from at the fleet's time."""
        for shard in self.fleet._all_shards():
            if shard.receiver is not None:
                shard.receiver.last_data_s = self.now_s


def test_three_thousand_symbols_are_carried_by_three_connections() -> None:
    fleet = Fleet([f"S{n}USDT" for n in range(3000)], ScriptedExchange())

    fleet.run(3)

    assert [len(each.symbols) for each in fleet.exchange.connections] == [1000, 1000, 1000]
    assert max(each.messages for each in fleet.exchange.connections) == 10
    status = fleet.fleet.status
    assert (status.carried, status.wanted, status.connections) == (3000, 3000, 3)
    assert status.is_connected


def test_each_acknowledgement_tells_the_worker_its_symbols_once() -> None:
    fleet = Fleet(NAMES, ScriptedExchange(max_symbols=100))
    fleet.run(2)

    told = [event.symbols for event in fleet.events() if isinstance(event, StreamConnected)]

    assert sorted(name for symbols in told for name in symbols) == sorted(NAMES)
    carried = [event for event in fleet.prices() if isinstance(event, StreamCarries)]
    assert [event.symbols for event in carried] == told
    assert {event.connection for event in carried} == {
        shard.number for shard in fleet.fleet._all_shards()
    }


def end_by_error(connection: ScriptedConnection) -> None:
    connection.on_error(Unavailable("reset by peer"))


def end_with_a_location_that_is_not_served(connection: ScriptedConnection) -> None:
    connection.on_error(Incompatible("not here"))


def end_unannounced(connection: ScriptedConnection) -> None:
    connection.is_alive = False


@pytest.mark.parametrize(
    "end", [end_by_error, end_unannounced, end_with_a_location_that_is_not_served]
)
def test_however_a_connection_ends_another_is_made_and_only_its_symbols_are_caught_up(
    end: Callable[[ScriptedConnection], None],
) -> None:
    fleet = Fleet(NAMES[:4], ScriptedExchange(max_symbols=2))
    fleet.run(1)
    fleet.drain()
    lost = tuple(fleet.exchange.connections[0].symbols)

    end(fleet.exchange.connections[0])
    fleet.run(1)

    assert fleet.events() == [StreamConnected(lost)]
    interrupted, carried = fleet.prices()
    assert interrupted == StreamInterrupted(lost)
    assert isinstance(carried, StreamCarries)
    assert (carried.symbols, carried.continues) == (lost, False)
    assert len(fleet.exchange.connections) == 3
    assert fleet.exchange.connections[1].is_alive, "the other goes on"
    assert fleet.fleet.status.ends == {"lost": 1}


def test_a_silent_connection_is_replaced_while_others_go_on() -> None:
    fleet = Fleet(NAMES[:4], ScriptedExchange(max_symbols=2))
    fleet.run(1)
    fleet.events()
    _, other = fleet.fleet._all_shards()

    def other_talks() -> None:
        if other.receiver is not None:
            other.receiver.last_data_s = fleet.now_s

    fleet.run(62, other_talks)

    assert fleet.events() == [StreamConnected(tuple(NAMES[0:4:2]))]
    assert len(fleet.exchange.connections) == 3
    fleet.run(OVERLAP_S + 1, other_talks)
    assert [each.is_alive for each in fleet.exchange.connections] == [False, True, True]
    assert fleet.fleet.status.ends == {"silence": 1}


def test_a_silent_connection_that_tells_again_is_of_use_until_another_takes_over() -> None:
    exchange = ScriptedExchange()
    fleet = Fleet(["BTCUSDT"], exchange)
    fleet.run(1)
    exchange.prepare = lambda connection: setattr(connection, "is_open", False)
    fleet.run(62)
    fleet.drain()
    assert fleet.fleet.status.carried == 0

    fleet.keep_talking()
    fleet.run(0.2)
    assert fleet.fleet.status.carried == 1
    assert fleet.events() == [StreamConnected(("BTCUSDT",))], "what it missed is requested"

    exchange.alive[-1].is_open = True
    fleet.run(1, fleet.keep_talking)
    assert exchange.alive == [exchange.connections[0], exchange.connections[-1]]
    fleet.run(OVERLAP_S, fleet.keep_talking)
    assert exchange.alive == [exchange.connections[-1]]
    assert fleet.events() == []


def test_a_flood_of_what_cannot_be_read_is_silence() -> None:
    fleet = Fleet(["BTCUSDT"], ScriptedExchange())
    fleet.run(1)

    fleet.run(62, lambda: fleet.exchange.connections[0].on_event(StreamUpdate(None)))

    assert len(fleet.exchange.connections) == 2


def test_an_announced_shutdown_is_survived_without_an_interruption() -> None:
    fleet = Fleet(NAMES[:3], ScriptedExchange())
    fleet.run(1)
    fleet.drain()
    old = fleet.exchange.connections[0]

    old.on_event(ServerShutdown("going away"))
    fleet.run(1)

    new = fleet.exchange.connections[1]
    assert sorted(new.symbols) == NAMES[:3]
    assert fleet.exchange.alive == [old, new], "until the new one has lasted for a while"
    fleet.run(OVERLAP_S + 0.5)
    assert fleet.exchange.alive == [new]
    assert fleet.events() == [], "nothing was missed"
    assert all(isinstance(each, StreamCarries) and each.continues for each in fleet.prices())


def test_a_replacement_that_dies_soon_leaves_the_old_connection_in_charge() -> None:
    fleet = Fleet(NAMES[:3], ScriptedExchange())
    fleet.run(1)
    fleet.drain()
    old = fleet.exchange.connections[0]
    old.on_event(ServerShutdown("going away"))
    fleet.run(1)

    end_unannounced(fleet.exchange.connections[1])
    fleet.run(0.3)

    assert old.is_alive
    assert fleet.fleet.status.carried == 3
    assert fleet.events() == []
    handed_over, back = fleet.prices()
    assert isinstance(handed_over, StreamCarries)
    assert isinstance(back, StreamCarries)
    assert back.continues
    assert back.connection < handed_over.connection


def test_a_connection_that_ends_before_its_replacement_is_ready_is_an_interruption() -> None:
    exchange = ScriptedExchange()
    fleet = Fleet(NAMES[:3], exchange)
    fleet.run(1)
    fleet.events()
    exchange.prepare = lambda connection: setattr(connection, "is_open", False)
    exchange.connections[0].on_event(ServerShutdown("going away"))
    fleet.run(1)

    end_unannounced(exchange.connections[0])
    fleet.run(0.2)
    assert fleet.fleet.status.carried == 0
    exchange.connections[1].is_open = True
    fleet.run(0.5)

    assert fleet.events() == [StreamConnected(tuple(exchange.connections[1].symbols))]
    assert len(exchange.connections) == 2


def test_connections_are_renewed_one_after_the_other_before_the_exchange_ends_them() -> None:
    exchange = ScriptedExchange(max_symbols=1, max_age_s=1_000)
    fleet = Fleet(NAMES[:3], exchange)

    fleet.run(1_030, fleet.keep_talking)

    renewed_s = [each - fleet.began_s for each in fleet.attempts_s[3:]]
    assert len(renewed_s) == 3
    assert all(800 <= each <= 1_021 for each in renewed_s)
    assert all(later - earlier >= OVERLAP_S for earlier, later in pairwise(renewed_s))
    assert all(0.2 <= each * 1000 % STEP_MS / STEP_MS <= 0.6 for each in renewed_s), "mid-candle"
    assert len(exchange.alive) == 3
    assert sum(isinstance(each, StreamConnected) for each in fleet.events()) == 3, "the first ones"
    assert fleet.fleet.status.ends == {"age": 3}


def test_a_handshake_that_stalls_is_given_ten_seconds_and_others_are_connected_meanwhile() -> None:
    exchange = ScriptedExchange(max_symbols=1)
    fleet = Fleet(NAMES[:2], exchange)

    def stall_first(connection: ScriptedConnection) -> None:
        connection.is_open = len(exchange.connections) != 1

    exchange.prepare = stall_first
    fleet.run(1)
    assert fleet.fleet.status.carried == 1

    fleet.run(10.5, fleet.keep_talking)

    assert not exchange.connections[0].is_alive
    assert fleet.fleet.status.carried == 2
    assert fleet.fleet.status.ends == {"handshake": 1}


def test_an_exchange_that_says_so_is_left_alone_by_all() -> None:
    exchange = ScriptedExchange(max_symbols=1)
    fleet = Fleet(NAMES[:3], exchange)
    exchange.prepare = lambda connection: connection.on_error(Throttled("banned", 120.0))

    fleet.run(119)
    assert len(exchange.connections) == 3

    fleet.run(5)
    assert len(exchange.connections) > 3


def test_a_refused_symbol_is_left_out_and_named_and_takes_the_stream_from_no_other() -> None:
    exchange = ScriptedExchange()
    fleet = Fleet(NAMES, exchange)
    exchange.prepare = lambda connection: connection.refused.add("S7USDT")

    fleet.run(5)

    status = fleet.fleet.status
    assert status.left_out.keys() == {"S7USDT"}
    assert status.carried == len(NAMES) - 1
    assert status.is_connected
    exchange.connections[0].refused.clear()
    fleet.run(60, fleet.keep_talking)
    assert fleet.fleet.status.left_out == {}, "it was asked for again"
    assert len(exchange.connections) == 1


def test_symbols_are_followed_and_unfollowed_without_a_reconnection() -> None:
    exchange = ScriptedExchange(max_symbols=3)
    fleet = Fleet(NAMES[:3], exchange)
    fleet.run(1)
    fleet.drain()

    fleet.fleet.want([*NAMES[1:3], "NEWUSDT"])
    fleet.run(1)

    assert exchange.connections[0].removed == [NAMES[0]]
    assert set(exchange.connections[0].symbols) == {*NAMES[1:3], "NEWUSDT"}
    assert fleet.events() == [StreamConnected(("NEWUSDT",))]
    assert fleet.prices()[0] == StreamInterrupted((NAMES[0],))
    assert len(exchange.connections) == 1


def test_a_connection_that_is_hardly_needed_is_closed_once_others_carry_its_symbols() -> None:
    exchange = ScriptedExchange(max_symbols=5)
    fleet = Fleet(NAMES[:10], exchange)
    fleet.run(1)
    fleet.events()
    small = exchange.connections[0].symbols

    fleet.fleet.want([small[0], *exchange.connections[1].symbols[:3]])
    fleet.run(OVERLAP_S + 1)

    assert len(exchange.alive) == 1
    assert len(exchange.connections) == 2
    assert fleet.events() == [], "nothing was missed"


def test_without_a_symbol_there_is_no_connection() -> None:
    exchange = ScriptedExchange()
    fleet = Fleet(["BTCUSDT"], exchange)
    fleet.run(1)

    fleet.fleet.want([])
    fleet.run(OVERLAP_S + 1)

    assert exchange.alive == []
    fleet.run(10)
    assert len(exchange.connections) == 1


def test_a_close_that_came_on_two_connections_is_passed_on_once() -> None:
    fleet = Fleet(["BTCUSDT"], ScriptedExchange())
    fleet.run(1)
    fleet.exchange.connections[0].on_event(ServerShutdown("going away"))
    fleet.run(1)
    fleet.events()
    first, revised = (
        ReceivedCandle("BTCUSDT", 0, 1.0, value, "stream", 0) for value in (b"1", b"2")
    )
    updates = [StreamUpdate(STEP_MS, first), StreamUpdate(STEP_MS, first)]

    for connection, update in zip(fleet.exchange.connections, updates, strict=True):
        connection.on_event(update)
    fleet.exchange.connections[0].on_event(StreamUpdate(STEP_MS + 5, revised))

    assert fleet.events() == [first, revised]
    assert fleet.fleet.status.repeated == 1


def test_what_a_full_queue_dropped_is_requested_from_rest_without_a_reconnection() -> None:
    fleet = Fleet(["BTCUSDT"], ScriptedExchange())
    fleet.run(1)
    fleet.events()
    for number in range(501):
        value = str(number).encode()
        candle = ReceivedCandle("BTCUSDT", number * STEP_MS, 1.0, value, "stream", 0)
        fleet.exchange.connections[0].on_event(StreamUpdate(STEP_MS, candle))
    fleet.run(1)
    assert len(fleet.events()) == 500

    fleet.run(1)

    assert fleet.events() == [StreamConnected(("BTCUSDT",))]
    assert len(fleet.exchange.connections) == 1


def test_a_flood_of_unreadable_messages_leaves_room_for_closes() -> None:
    fleet = Fleet(["BTCUSDT"], ScriptedExchange())
    fleet.run(1)
    fleet.drain()
    origin = KlineOrigin(b"nonsense", "stream", 0)
    unreadable = UnreadableKline("", None, "not_json", "nonsense", origin)
    candle = ReceivedCandle("BTCUSDT", 0, 1.0, b"{}", "stream", 0)

    for _ in range(2_000):
        fleet.exchange.connections[0].on_event(StreamUpdate(None, unreadable))
    fleet.exchange.connections[0].on_event(StreamUpdate(STEP_MS, candle))

    assert fleet.events()[-1] == candle
    assert fleet.fleet.status.overflowed == 1_750


lives = st.tuples(
    st.sampled_from(["refuse", "stall", "text", "ack", "mute"]), st.floats(0.1, 120.0)
)


@settings(max_examples=25)
@given(st.integers(1, 4), st.lists(lives, min_size=1, max_size=12))
def test_whatever_connections_do_the_attempts_in_any_five_minutes_are_bounded(
    sockets: int, script: list[tuple[str, float]]
) -> None:
    exchange = ScriptedExchange(max_symbols=1)
    fleet = Fleet(NAMES[:sockets], exchange)
    ends: list[tuple[float, ScriptedConnection]] = []

    def live(connection: ScriptedConnection) -> None:
        kind, life_s = script[len(exchange.connections) % len(script)]
        connection.answers = kind == "ack"
        connection.is_open = kind != "stall"
        if kind == "refuse":
            connection.on_error(Unavailable("refused"))
        if kind == "text":
            connection.tell()
        ends.append((fleet.now_s + life_s, connection))

    def end_lives() -> None:
        for until_s, connection in ends:
            if fleet.now_s >= until_s:
                connection.is_alive = False

    exchange.prepare = live
    fleet.run(700, end_lives)

    for first, later in zip(fleet.attempts_s, fleet.attempts_s[MAX_ATTEMPTS:], strict=False):
        assert later - first >= WINDOW_S


@pytest.mark.parametrize("life_s", [0.1, 5.0])
def test_one_flapping_connection_is_attempted_ever_less_often(life_s: float) -> None:
    exchange = ScriptedExchange()
    fleet = Fleet(["BTCUSDT"], exchange)
    ends: list[tuple[float, ScriptedConnection]] = []

    def live(connection: ScriptedConnection) -> None:
        connection.tell()
        ends.append((fleet.now_s + life_s, connection))

    def end_lives() -> None:
        fleet.keep_talking()
        for until_s, connection in ends:
            connection.is_alive = connection.is_alive and fleet.now_s < until_s

    exchange.prepare = live
    fleet.run(300, end_lives)

    assert 10 < len(fleet.attempts_s) < 30


def test_an_exchange_that_announces_the_end_of_every_connection_is_attempted_no_more_often() -> (
    None
):
    exchange = ScriptedExchange()
    fleet = Fleet(["BTCUSDT"], exchange)
    exchange.prepare = lambda connection: connection.on_event(ServerShutdown("going away"))

    fleet.run(300, fleet.keep_talking)

    assert 10 < len(fleet.attempts_s) < 30
    assert exchange.connections[0] in exchange.alive, "it lives although it was announced to end"
    assert fleet.fleet.status.carried == 1
