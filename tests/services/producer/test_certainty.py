"""Whatever REST and the stream do for a while, the log gets what the exchange has, and no more."""

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.producer.backfill.backfill import Backfill
from services.producer.backfill.backfill_schedule import BackfillSchedule
from services.producer.backfill.doubtful_candles import GapLimits
from services.producer.backfill.sequencer import (
    CorrectedCandle,
    LogEntry,
    ReceivedCandle,
    SymbolCursor,
    UnreadableKline,
)
from services.producer.event_queue import Inbox
from services.producer.events import MarketChanged, StreamConnected
from services.producer.finality.candle_memory import LogTail
from services.producer.finality.exchange_clock import ExchangeClock
from services.producer.market.tracker import MarketTracker
from services.producer.metrics import ProducerMetrics
from services.producer.rest.requests import KlineRequest, Priority
from services.producer.worker import ProducerWorker
from shared.adapters.kafka.errors import Aborted
from shared.adapters.prometheus import Telemetry
from shared.core.records import Gap
from tests.services.producer.faulty_exchange import (
    ALL_FAULTS,
    STEP_MS,
    FaultyExchange,
    a_candle,
    garble,
)

SYMBOLS = ("AAAUSDT", "BBBUSDT")
FIRST = 100  # number of the first candle wanted
GAP_AFTER_S = 120.0
LIMITS = GapLimits(GAP_AFTER_S, 600.0)
TICK_S = 1.0
UNSETTLED = 2  # of REST's newest candles: they are final only when they were read twice


@dataclass
class CandleRecords:
    """The log in memory; a transaction aborts when the test says so."""

    entries: dict[str, list[LogEntry]] = field(default_factory=lambda: defaultdict(list))
    corrections: list[CorrectedCandle] = field(default_factory=list)
    aborts: bool = False

    def open(self) -> None: ...

    def read_tail(self, newest_ms: int, on_tail: Callable[[LogTail], object]) -> None: ...

    def read_cursors(self, symbols: Collection[str]) -> Mapping[str, SymbolCursor]:
        return {each: self._cursor(each) for each in symbols}

    def append(self, entries: Sequence[LogEntry]) -> None:
        if self.aborts and entries:
            self.aborts = False
            raise Aborted("the transaction was aborted")
        for entry in entries:
            if isinstance(entry, CorrectedCandle):
                self.corrections.append(entry)
            if isinstance(entry, ReceivedCandle | Gap | UnreadableKline):
                self.entries[entry.symbol].append(entry)

    def candles(self, symbol: str) -> list[int]:
        return [at for at, until in self.spans(symbol, ReceivedCandle)]

    def gaps(self, symbol: str) -> list[tuple[int, int]]:
        return self.spans(symbol, Gap)

    def letters(self, symbol: str) -> list[UnreadableKline]:
        return [each for each in self.entries[symbol] if isinstance(each, UnreadableKline)]

    def spans(self, symbol: str, *kinds: type) -> list[tuple[int, int]]:
        """Return the spans in candle numbers of the entries of some kinds."""
        spans = []
        for each in self.entries[symbol]:
            if isinstance(each, kinds) and isinstance(each, Gap):
                ends_ms = (each.from_open_time_ms, each.until_open_time_ms)
                spans.append((ends_ms[0] // STEP_MS, ends_ms[1] // STEP_MS))
            elif isinstance(each, kinds) and isinstance(each, ReceivedCandle):
                spans.append((each.open_time_ms // STEP_MS, each.open_time_ms // STEP_MS + 1))
        return spans

    def _cursor(self, symbol: str) -> SymbolCursor:
        spans = self.spans(symbol, ReceivedCandle, Gap)
        next_at = spans[-1][1] if spans else FIRST
        return SymbolCursor(symbol, next_at * STEP_MS, is_new=not spans)


class Run:
    """A worker in virtual time, with an exchange whose faults the test chooses."""

    def __init__(
        self, exchange: FaultyExchange, begins_at: int, limits: GapLimits = LIMITS
    ) -> None:
        self.exchange, self.limits = exchange, limits
        self.now_s = begins_at * STEP_MS / 1000 + 1.0
        self.log, self.asked = CandleRecords(), dict[str, list[float]]()
        self.requests: list[KlineRequest] = []
        self.restart()

    @property
    def now_ms(self) -> int:
        return int(self.now_s * 1000)

    def restart(self) -> None:
        """Begin with nothing but the log."""
        symbols = list(self.exchange.listed)
        self.requests.clear()
        self.inbox = Inbox(
            clock=ExchangeClock(STEP_MS, lambda: self.now_s, lambda: self.now_s * 1000)
        )
        schedule = BackfillSchedule(symbols, STEP_MS, grace_s=3.0)
        self.worker = ProducerWorker(
            self.log,
            self.inbox,
            Backfill(schedule, self.limits),
            MarketTracker(symbols, MarketChanged((), None), STEP_MS, max_age_ms=60_000),
            self,
            ProducerMetrics(Telemetry("producer")),
        )
        self.inbox.clock.on_rest_time(self.now_ms)
        self.worker.recover()

    def drop(self, symbol: str) -> None:
        self.requests = [each for each in self.requests if each.symbol != symbol]

    def request_klines(self, request: KlineRequest) -> None:
        self.requests.append(request)
        if request.priority is Priority.RECONCILIATION:
            return
        self.asked.setdefault(request.symbol, []).append(self.now_s)

    def tick(self, fault: str = "none", n: int = 0) -> None:
        """Let a second pass; every request is answered in it."""
        self.now_s += TICK_S
        self.inbox.clock.on_rest_time(self.now_ms)
        requests, self.requests = self.requests, []
        for request in requests:
            answer = self.exchange.answer(request, self.inbox.clock.read(), fault, n)
            if answer is not None:
                self.inbox.events.put(answer)
        # Something that nobody follows, so that the worker need not wait for an event.
        self.inbox.events.put(garble(a_candle("ZZZUSDT", 1), None))
        self.worker.run_once()

    def tick_for(self, seconds: float, fault: str = "none", n: int = 0) -> None:
        for _ in range(int(seconds / TICK_S)):
            self.tick(fault, n)

    def interrupt(self, kind: str) -> None:
        """Restart the worker, abort its next transaction, or reconnect the stream."""
        if kind == "restart":
            self.restart()
        elif kind == "abort":
            self.log.aborts = True
        elif kind == "reconnect":
            self.inbox.events.put(StreamConnected(tuple(self.exchange.listed)))

    def hear(self, symbol: str) -> None:
        """Let the stream tell the newest closed candle of a symbol."""
        if closed := self.exchange.closed(symbol, self.now_ms):
            self.inbox.events.put(a_candle(symbol, closed[-1]))

    def check(self, symbol: str, first: int = FIRST) -> None:
        """Check that the log has every candle once, in order, and gaps where there are none."""
        spans = self.log.spans(symbol, ReceivedCandle, Gap)
        candles, until = self.log.candles(symbol), spans[-1][1]
        listed = [at for at in self.exchange.listed[symbol] if first <= at < until]
        assert candles == sorted(listed)
        assert all(one[1] == other[0] for one, other in pairwise(spans))
        missing = {at for begin, end in self.log.gaps(symbol) for at in range(begin, end)}
        assert missing.isdisjoint(listed)
        assert self.is_up_to_date(symbol)

    def is_up_to_date(self, symbol: str) -> bool:
        spans = self.log.spans(symbol, ReceivedCandle, Gap)
        newest = self.exchange.closed(symbol, self.now_ms)[-1]
        return bool(spans) and spans[-1][1] >= newest - UNSETTLED


def an_exchange(
    *, hole: Collection[int] = (), symbols: Sequence[str] = SYMBOLS[:1], until: int = 1_000
) -> FaultyExchange:
    listed = frozenset(range(until)) - set(hole)
    return FaultyExchange(dict.fromkeys(symbols, listed))


FAULT_SPANS = st.lists(
    st.tuples(st.sampled_from(ALL_FAULTS), st.integers(1, 12), st.integers(0, 11)), max_size=9
)


@given(
    st.lists(st.sets(st.integers(FIRST, 150)), min_size=2, max_size=2),
    FAULT_SPANS,
    st.sets(st.integers(0, 100), max_size=30),
    st.sampled_from(["", "restart", "abort", "reconnect"]),
    st.integers(0, 60),
)
@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
def test_faults_shorter_than_the_time_of_a_gap_leave_no_trace_in_the_log(
    holes: list[set[int]],
    faults: list[tuple[str, int, int]],
    heard: set[int],
    interruption: str,
    interrupted_at: int,
) -> None:
    listed = {
        symbol: frozenset(range(1_000)) - hole for symbol, hole in zip(SYMBOLS, holes, strict=True)
    }
    run = Run(FaultyExchange(listed), begins_at=130)
    # 1. Less than the time of a gap with faults; the stream tells only some candles.
    each_second = [(fault, n) for fault, seconds, n in faults for _ in range(seconds)]
    for tick, (fault, n) in enumerate(each_second):
        if tick == interrupted_at:
            run.interrupt(interruption)
        if tick in heard:
            run.hear(SYMBOLS[tick % 2])
        run.tick(fault, n)
    assert not any(run.log.gaps(symbol) for symbol in SYMBOLS)
    # 2. Then the exchange is well; requests may have been lost, a hole is certain only later.
    for _ in range(900):
        if all(map(run.is_up_to_date, SYMBOLS)):
            break
        run.tick()

    for symbol in SYMBOLS:
        run.check(symbol, min(listed[symbol] - set(range(FIRST))))


@pytest.mark.parametrize("fault", [each for each in ALL_FAULTS if each != "never answers"])
def test_a_fault_for_most_of_the_time_of_a_gap_is_forgotten_soon_after(fault: str) -> None:
    run = Run(an_exchange(), begins_at=130)
    run.tick_for(100, fault, n=1)
    assert run.log.gaps(SYMBOLS[0]) == []

    run.tick_for(75)

    run.check(SYMBOLS[0])
    assert run.log.gaps(SYMBOLS[0]) == []
    assert run.log.letters(SYMBOLS[0]) == []


@pytest.mark.parametrize("hole", [[120], [129], range(110, 128), range(125, 135), [105, 110]])
def test_a_true_hole_becomes_one_gap_after_its_time_with_few_requests(hole: Sequence[int]) -> None:
    run = Run(an_exchange(hole=hole), begins_at=131)
    run.tick_for(600)
    run.tick_for(15)

    run.check(SYMBOLS[0])
    assert sum(until - begin for begin, until in run.log.gaps(SYMBOLS[0])) == len(hole)
    assert len(run.log.gaps(SYMBOLS[0])) == 1 + (len(hole) == 2)


def test_while_a_candle_is_in_doubt_its_symbol_is_requested_about_ten_times() -> None:
    run = Run(an_exchange(hole=[120]), begins_at=131)
    run.tick_for(110)
    assert run.log.candles(SYMBOLS[0]) == list(range(FIRST, 120))
    assert 5 <= len(run.asked[SYMBOLS[0]]) <= 12

    run.tick_for(20)
    assert run.log.gaps(SYMBOLS[0]) == [(120, 121)]


def test_the_stream_and_a_flapping_connection_make_a_doubtful_symbol_no_busier() -> None:
    run = Run(an_exchange(hole=[120]), begins_at=131)
    for _ in range(110):
        run.hear(SYMBOLS[0])
        run.interrupt("reconnect")
        run.tick()

    assert len(run.asked[SYMBOLS[0]]) <= 12


def test_two_holes_of_one_page_wait_side_by_side() -> None:
    run = Run(an_exchange(hole=[105, 120]), begins_at=131)

    run.tick_for(150)

    assert run.log.gaps(SYMBOLS[0]) == [(105, 106), (120, 121)]
    run.check(SYMBOLS[0])


def test_a_candle_that_comes_back_at_the_last_moment_is_no_gap() -> None:
    run = Run(an_exchange(hole=[120]), begins_at=131)
    run.tick_for(118)

    run.exchange = an_exchange()
    run.tick_for(10)

    run.check(SYMBOLS[0])
    assert run.log.gaps(SYMBOLS[0]) == []


def test_a_candle_that_the_stream_gives_late_is_no_gap_and_ends_the_doubt() -> None:
    run = Run(an_exchange(hole=[130]), begins_at=131)
    for _ in range(30):
        run.hear(SYMBOLS[0])
        run.tick()

    run.inbox.events.put(a_candle(SYMBOLS[0], 130))
    for _ in range(20):
        run.hear(SYMBOLS[0])
        run.tick()

    assert run.log.gaps(SYMBOLS[0]) == []
    assert run.log.candles(SYMBOLS[0])[-1] >= 133


def test_a_restart_begins_the_time_of_a_gap_anew() -> None:
    run = Run(an_exchange(hole=[120]), begins_at=131)
    run.tick_for(100)
    run.restart()
    run.tick_for(100)
    assert run.log.gaps(SYMBOLS[0]) == []

    run.tick_for(35)
    assert run.log.gaps(SYMBOLS[0]) == [(120, 121)]


def test_what_many_symbols_lack_is_an_outage_which_is_given_more_time() -> None:
    symbols = [f"S{number}USDT" for number in range(6)]
    run = Run(an_exchange(hole=range(102, 120), symbols=symbols), begins_at=131)
    run.tick_for(590)
    assert not any(run.log.gaps(symbol) for symbol in symbols)

    run.tick_for(45)
    for symbol in symbols:
        run.check(symbol)
        assert run.log.gaps(symbol) == [(102, 120)]


def test_what_cannot_be_read_for_longer_is_a_dead_letter_and_a_gap() -> None:
    run = Run(an_exchange(), begins_at=131)

    run.tick_for(150, "garbles")

    assert run.log.gaps(SYMBOLS[0])
    assert {each.reason for each in run.log.letters(SYMBOLS[0])} == {"bad_field"}


def test_rows_off_the_grid_are_set_aside_once_and_what_follows_them_goes_on() -> None:
    symbol = SYMBOLS[0]
    # The hole is longer than a page, and so is the run of rows off the grid.
    listed = {symbol: frozenset({*range(110), *range(200, 1_000)})}
    run = Run(FaultyExchange(listed, {symbol: range(140, 200)}), begins_at=211)

    run.tick_for(600)

    spans = run.log.spans(symbol, ReceivedCandle, Gap)
    assert all(one[1] == other[0] for one, other in pairwise(spans))
    assert run.log.candles(symbol)[-1] >= 260
    [letter] = run.log.letters(symbol)
    assert letter.reason == "off_grid"
    assert len(run.asked[symbol]) < 120


def test_a_new_symbol_begins_where_the_exchange_begins_when_that_is_certain() -> None:
    run = Run(an_exchange(hole=range(120)), begins_at=131)
    run.tick_for(15)
    assert run.log.candles(SYMBOLS[0]) == []

    run.tick_for(20)
    run.check(SYMBOLS[0], first=120)
    assert run.log.gaps(SYMBOLS[0]) == []


def test_the_beginning_of_a_new_symbol_that_rest_lacks_for_a_while_is_not_lost() -> None:
    run = Run(an_exchange(hole=range(120)), begins_at=131)
    run.tick_for(15)

    run.exchange = an_exchange()
    run.tick_for(35)

    run.check(SYMBOLS[0])


def test_a_cache_that_ignores_the_start_never_makes_the_history_of_a_new_symbol_shorter() -> None:
    run = Run(an_exchange(), begins_at=160)
    run.tick_for(400, "ignores the start")
    assert run.log.candles(SYMBOLS[0])[:1] in ([], [FIRST])

    run.tick_for(60)
    run.check(SYMBOLS[0])


def test_after_an_outage_of_stream_and_rest_four_hundred_symbols_are_up_to_date_at_once() -> None:
    symbols = [f"S{number}USDT" for number in range(400)]
    run = Run(an_exchange(symbols=symbols), begins_at=131)
    run.tick_for(20)
    before = {symbol: len(asked) for symbol, asked in run.asked.items()}
    run.tick_for(50, "fails")
    assert sum(len(asked) - before[symbol] for symbol, asked in run.asked.items()) < 900

    run.tick_for(15)

    for symbol in symbols:
        run.check(symbol)
        assert run.log.gaps(symbol) == []


def test_a_thousand_symbols_in_doubt_are_requested_at_a_pace_that_the_weight_allows() -> None:
    symbols = [f"S{number}USDT" for number in range(1_000)]
    run = Run(an_exchange(hole=[120], symbols=symbols), begins_at=122)
    run.tick_for(10)
    before = sum(map(len, run.asked.values()))

    run.tick_for(60)

    assert sum(map(len, run.asked.values())) - before <= 60 * 25


def test_a_request_that_is_never_answered_is_made_again_and_a_late_answer_does_no_harm() -> None:
    run = Run(an_exchange(), begins_at=131)
    run.tick()
    [lost] = run.requests
    late = run.exchange.answer(lost, run.inbox.clock.read())
    assert late is not None
    run.tick(fault="never answers")
    run.tick_for(200)
    run.check(SYMBOLS[0])

    run.inbox.events.put(late)
    run.tick_for(20)

    run.check(SYMBOLS[0])


@pytest.mark.parametrize("seconds", [0, 1])
@pytest.mark.parametrize("waits", [False, True])
def test_of_two_closes_the_second_is_what_the_log_says_in_the_end(
    seconds: int, waits: bool
) -> None:
    symbol, at = SYMBOLS[0], 131
    run = Run(an_exchange(), begins_at=at)
    run.tick_for(40 if not waits else 0)
    at = run.now_ms // STEP_MS if not waits else at

    run.inbox.events.put(a_candle(symbol, at, close=9.0))
    run.tick_for(seconds)
    run.inbox.events.put(a_candle(symbol, at))
    run.tick_for(60)

    [written] = [
        each
        for each in run.log.entries[symbol]
        if isinstance(each, ReceivedCandle) and each.open_time_ms == at * STEP_MS
    ]
    amended = [each.candle for each in run.log.corrections]
    assert [written, *amended][-1].close == 1.0
