"""The worker and the market: pages that wait for each other, candles that wait for nothing."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.producer.backfill.backfill import Backfill
from services.producer.backfill.backfill_schedule import BackfillSchedule
from services.producer.backfill.doubtful_candles import GapLimits
from services.producer.backfill.sequencer import (
    KlineOrigin,
    LogEntry,
    ReceivedCandle,
    SymbolCursor,
    UnreadableKline,
)
from services.producer.event_queue import Inbox
from services.producer.events import MarketChanged, RestFailure, RestResponse, StreamConnected
from services.producer.finality.candle_memory import LogTail
from services.producer.finality.clock_estimate import ClockReading
from services.producer.market.price_book import HeardPrice
from services.producer.market.tracker import MarketTracker
from services.producer.metrics import ProducerMetrics
from services.producer.rest.requests import KlineRequest, Priority
from services.producer.worker import ProducerWorker
from shared.adapters.kafka.errors import Aborted
from shared.adapters.prometheus import Telemetry
from shared.core.market import market_move
from shared.core.records import MarketMove

STEP_MS = 300_000
FOLLOWED = ("AAAUSDT", "BBBUSDT", "CCCUSDT")
PRICE_ONLY = ("XXXUSDT", "YYYUSDT")
ALL = (*FOLLOWED, *PRICE_ONLY)
FIRST, NOW = 100, 120  # candle numbers: the first one wanted, and the open one
ASKED = ClockReading(NOW * STEP_MS + 60_000, NOW * STEP_MS + 60_000, is_corroborated=True)


def close(symbol: str, at: int) -> float:
    """Return the exchange's close of a candle."""
    return 100.0 + Random(f"{symbol}{at}").random()


def candle(symbol: str, at: int) -> ReceivedCandle:
    return ReceivedCandle(symbol, at * STEP_MS, close(symbol, at), b"{}", "rest", 0)


def true_move(at: int, symbols: Sequence[str] = ALL) -> MarketMove:
    before, now = ({s: close(s, n) for s in symbols} for n in (at - 1, at))
    return market_move(before, now, ALL, None)


@dataclass
class RecordedCandles:
    """A log of several symbols; its next transactions abort as often as the test says."""

    candles: dict[str, list[ReceivedCandle]] = field(default_factory=lambda: defaultdict(list))
    others: list[LogEntry] = field(default_factory=list)
    aborts: int = 0

    def open(self) -> None: ...

    def read_tail(self, newest_ms: int, on_tail: Callable[[LogTail], object]) -> None: ...

    def read_cursors(self, symbols: Collection[str]) -> Mapping[str, SymbolCursor]:
        return {each: self._cursor(each) for each in symbols}

    def append(self, entries: Sequence[LogEntry]) -> None:
        if self.aborts:
            self.aborts -= 1
            raise Aborted("the transaction was aborted")
        for entry in entries:
            if isinstance(entry, ReceivedCandle):
                self.candles[entry.symbol].append(entry)
            else:
                self.others.append(entry)

    def numbers(self, symbol: str) -> list[int]:
        return [each.open_time_ms // STEP_MS for each in self.candles[symbol]]

    def moves(self, symbol: str) -> dict[int, MarketMove | None]:
        return {each.open_time_ms // STEP_MS: each.market for each in self.candles[symbol]}

    def _cursor(self, symbol: str) -> SymbolCursor:
        if not self.candles[symbol]:
            return SymbolCursor(symbol, FIRST * STEP_MS, is_new=True)
        return SymbolCursor(symbol, self.candles[symbol][-1].open_time_ms + STEP_MS)


@dataclass
class Setting:
    """A worker, its log, and the requests that nobody has answered yet."""

    log: RecordedCandles = field(default_factory=RecordedCandles)
    inbox: Inbox = field(default_factory=Inbox)
    requests: dict[str, KlineRequest] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.inbox.clock.on_rest_time(NOW * STEP_MS + 2_000)
        self.worker = ProducerWorker(
            self.log,
            self.inbox,
            Backfill(BackfillSchedule(FOLLOWED, STEP_MS, grace_s=0.0), GapLimits(120.0, 600.0)),
            MarketTracker(FOLLOWED, MarketChanged(PRICE_ONLY, None), STEP_MS, max_age_ms=60_000),
            self,
            ProducerMetrics(Telemetry("producer")),
        )
        self.worker.recover()
        self.tick()

    def drop(self, symbol: str) -> None:
        self.requests.pop(symbol, None)

    def request_klines(self, request: KlineRequest) -> None:
        if request.priority is Priority.RECONCILIATION:
            return
        assert request.symbol not in self.requests, "one request of a symbol at a time"
        self.requests[request.symbol] = request

    def tick(self) -> None:
        """Run the worker once, whether or not something has happened."""
        self.inbox.events.put(StreamConnected(ALL))
        self.worker.run_once()

    def answer(self, symbol: str, rows: int = 1_000) -> None:
        from_at = self.requests.pop(symbol).from_ms // STEP_MS
        until = min(from_at + rows, NOW + 1)  # the last one is open
        page = [candle(symbol, at) for at in range(from_at - 1, until)]
        self.inbox.events.put(
            RestResponse(
                symbol, from_at * STEP_MS, [*page], until <= NOW, NOW * STEP_MS, asked=ASKED
            )
        )
        self.worker.run_once()

    def backfill(self, rows: int = 1_000) -> None:
        for _ in range(1_000):
            if not self.requests:
                return
            self.answer(next(iter(self.requests)), rows)
        pytest.fail("the back-fill does not end")

    def hear(self, symbols: Iterable[str], at: int) -> None:
        """Let the stream tell the closes of a candle; those of symbols followed are candles too."""
        for symbol in symbols:
            price = close(symbol, at)
            self.inbox.prices.put(HeardPrice(symbol, at * STEP_MS, price, is_close=True))
            self.inbox.events.put(candle(symbol, at))


@pytest.fixture
def setting() -> Setting:
    return Setting()


def test_a_backfill_has_the_market_of_every_moment_and_price_only_symbols_have_no_candles(
    setting: Setting,
) -> None:
    setting.backfill(rows=7)

    assert set(setting.log.candles) == set(FOLLOWED)
    for symbol in FOLLOWED:
        assert setting.log.moves(symbol) == {at: true_move(at) for at in range(FIRST, NOW)}


def test_a_page_waits_for_those_of_the_others_and_a_live_candle_does_not(setting: Setting) -> None:
    for symbol in ("BBBUSDT", "CCCUSDT", *PRICE_ONLY):
        setting.answer(symbol) if symbol in setting.requests else None
    assert setting.log.candles["BBBUSDT"] == [], "AAAUSDT has not answered"

    setting.answer("AAAUSDT")
    setting.backfill()
    assert setting.log.numbers("BBBUSDT") == list(range(FIRST, NOW))

    setting.hear(["BBBUSDT"], NOW)
    setting.worker.run_once()
    assert setting.log.numbers("BBBUSDT")[-1] == NOW


def test_live_candles_are_measured_with_the_prices_of_all(setting: Setting) -> None:
    setting.backfill()

    setting.hear(ALL, NOW)
    setting.worker.run_once()

    for symbol in FOLLOWED:
        assert setting.log.moves(symbol)[NOW] == true_move(NOW)


def test_symbols_that_rest_refuses_are_not_waited_for(setting: Setting) -> None:
    for _ in range(20):
        for symbol in PRICE_ONLY:
            if setting.requests.pop(symbol, None) is not None:
                setting.inbox.events.put(RestFailure(symbol, "refused"))
        setting.tick()
        if followed := [each for each in FOLLOWED if each in setting.requests]:
            setting.answer(followed[0])

    assert setting.log.moves("AAAUSDT")[NOW - 1] == true_move(NOW - 1, FOLLOWED)


def test_a_move_that_the_log_has_is_used_first(setting: Setting) -> None:
    logged = {at * STEP_MS: MarketMove(0.5, 9) for at in range(FIRST, NOW)}
    request = setting.requests.pop("AAAUSDT")
    rows = [candle("AAAUSDT", at) for at in range(FIRST, NOW + 1)]
    setting.inbox.events.put(
        RestResponse(
            "AAAUSDT",
            request.from_ms,
            [*rows],
            False,
            NOW * STEP_MS,
            logged_moves=logged,
            asked=ASKED,
        )
    )
    setting.worker.run_once()

    assert set(setting.log.moves("AAAUSDT").values()) == {MarketMove(0.5, 9)}


def test_candles_behind_others_in_the_log_are_requested_with_their_moves() -> None:
    log = RecordedCandles()
    log.candles["AAAUSDT"] = [candle("AAAUSDT", NOW - 1)]

    setting = Setting(log)

    assert setting.requests["BBBUSDT"] == KlineRequest(
        "BBBUSDT", FIRST * STEP_MS, NOW * STEP_MS, priority=Priority.LIVE
    )


def test_an_unreadable_kline_of_a_price_only_symbol_is_no_dead_letter(setting: Setting) -> None:
    origin = KlineOrigin(b"nonsense", "stream", 0)
    for symbol in ("XXXUSDT", "AAAUSDT", ""):
        setting.inbox.events.put(UnreadableKline(symbol, None, "bad_field", "nonsense", origin))
    setting.worker.run_once()

    letters = [each for each in setting.log.others if isinstance(each, UnreadableKline)]
    assert [each.symbol for each in letters] == ["AAAUSDT", ""]


def test_other_price_only_symbols_are_measured_from_then_on(setting: Setting) -> None:
    setting.backfill()
    setting.inbox.events.put(MarketChanged((), None))
    setting.hear(ALL, NOW)
    setting.worker.run_once()

    move = setting.log.moves("AAAUSDT")[NOW]
    assert move is not None
    assert move.symbols == len(FOLLOWED)


@given(st.data(), st.integers(2, 30), st.lists(st.integers(0, 12), max_size=3))
def test_in_whatever_order_pages_arrive_each_candle_is_there_once_with_the_same_move(
    data: st.DataObject, rows: int, aborts: list[int]
) -> None:
    setting = Setting()
    for number in range(400):
        setting.log.aborts = int(number in aborts)
        if not setting.requests:
            setting.tick()
        if not setting.requests:
            break
        setting.answer(data.draw(st.sampled_from(sorted(setting.requests))), rows)

    for symbol in FOLLOWED:
        assert setting.log.numbers(symbol) == list(range(FIRST, NOW))
        known = {at: move for at, move in setting.log.moves(symbol).items() if move is not None}
        assert known.items() <= {at: true_move(at) for at in range(FIRST, NOW)}.items()
        assert aborts or len(known) == NOW - FIRST
