from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.producer.backfill.checked_page import CheckedPage
from services.producer.backfill.sequencer import CorrectedCandle, LogEntry, ReceivedCandle, Source
from services.producer.finality.candle_memory import LogTail, TailCandle, fingerprint
from services.producer.finality.clock_estimate import ClockReading
from services.producer.finality.reconciliation import (
    MAX_AMENDMENTS,
    MAX_STREAM_AMENDMENTS,
    Reconciler,
)
from services.producer.rest.requests import KlineRequest, Priority
from shared.core.records import Gap

STEP_MS, AFTER_MS = 300_000, 900_000
START_MS = 1_735_689_600_000
SYMBOL = "BTCUSDT"


def candle(
    at: int, close: str = "1.5", symbol: str = SYMBOL, source: Source = "stream"
) -> ReceivedCandle:
    value = b'{"close":"%b","high":"2","low":"1","open":"1.0","trades":3,"volume":"7"}'
    open_ms = START_MS + at * STEP_MS
    return ReceivedCandle(symbol, open_ms, float(close), value % close.encode(), source, 0)


@dataclass
class RevisingExchange:
    """REST as the reconciler sees it, and a log that takes what follows."""

    after_ms: int = AFTER_MS
    now_ms: int = START_MS
    rows: dict[str, dict[int, ReceivedCandle]] = field(default_factory=dict)
    log: list[LogEntry] = field(default_factory=list)
    requests: list[tuple[int, KlineRequest]] = field(default_factory=list)
    reconciler: Reconciler = field(init=False)

    def __post_init__(self) -> None:
        self.reconciler = Reconciler(STEP_MS, self.after_ms, lambda: 1_800.0)

    @property
    def reading(self) -> ClockReading:
        return ClockReading(self.now_ms, self.now_ms, True, self.now_ms - START_MS)

    def show(self, *candles: ReceivedCandle) -> None:
        for each in candles:
            self.rows.setdefault(each.symbol, {})[each.open_time_ms] = each

    def write(self, *entries: LogEntry) -> None:
        self.log += entries
        self.reconciler.on_written(entries, self.reading)

    def run(self, seconds: float, *, step_s: float = 1.0) -> None:
        until_ms = self.now_ms + int(seconds * 1000)
        while self.now_ms < until_ms:
            self.now_ms += int(step_s * 1000)
            self.round()

    def round(self) -> None:
        self.write(*self.reconciler.take_corrections())
        request = self.reconciler.schedule.take_due(self.reading, self.now_ms / 1000)
        if request is not None:
            self.requests.append((self.now_ms, request))
            self.write(*self.reconciler.on_page(self.answer(request), self.reading))

    def answer(self, request: KlineRequest) -> CheckedPage:
        end_ms = min(self.now_ms, (request.until_ms or self.now_ms + 1) - 1)
        rows = self.rows.get(request.symbol, {})
        found = tuple(rows[ms] for ms in sorted(rows) if request.from_ms <= ms <= end_ms)
        until_ms = request.until_ms or (found[-1].open_time_ms + STEP_MS if found else 0)
        return CheckedPage(request.symbol, request.from_ms, until_ms, found, asked=self.reading)

    def corrections(self) -> list[CorrectedCandle]:
        return [entry for entry in self.log if isinstance(entry, CorrectedCandle)]


def closed(exchange: RevisingExchange, candles: Iterable[ReceivedCandle]) -> None:
    """Let candles close one after the other, on the exchange and in the log."""
    for each in candles:
        exchange.now_ms = max(exchange.now_ms, each.open_time_ms + STEP_MS + 100)
        exchange.show(each)
        exchange.write(each)
        exchange.show(candle((exchange.now_ms - START_MS) // STEP_MS, symbol=each.symbol))


def test_what_agrees_is_left_alone_and_asked_for_once_in_the_time_set() -> None:
    exchange = RevisingExchange()
    closed(exchange, map(candle, range(6)))

    exchange.run(3_600)

    assert exchange.corrections() == []
    assert 3 <= len(exchange.requests) <= 5
    assert {request.priority for _, request in exchange.requests} == {Priority.RECONCILIATION}
    assert exchange.reconciler.compared >= 6


@pytest.mark.parametrize("written", ["1.5", "1.50", "1.50000000"])
def test_another_way_to_write_a_number_is_no_difference(written: str) -> None:
    exchange = RevisingExchange()
    closed(exchange, [candle(0), candle(1)])
    exchange.show(candle(0, written))

    exchange.run(3_600)

    assert exchange.corrections() == []


@given(st.integers(0, 4), st.integers(0, 7_200))
def test_a_revised_candle_is_amended_once_whenever_it_is_revised(at: int, after_s: int) -> None:
    exchange = RevisingExchange()
    closed(exchange, map(candle, range(5)))
    exchange.run(after_s, step_s=5.0)
    exchange.show(candle(at, "1.7"))

    exchange.run(7_200, step_s=5.0)

    assert exchange.corrections() == [CorrectedCandle("amendment", candle(at, "1.7"))]


@pytest.mark.parametrize("settled_s", [4, 15, 40])
def test_a_value_that_rest_gave_soon_after_the_close_is_compared_soon(settled_s: int) -> None:
    exchange = RevisingExchange()
    closed(exchange, [candle(0, "1.1", source="rest")])
    exchange.run(settled_s)
    exchange.show(candle(0, "1.2", source="rest"))

    exchange.run(80 - settled_s)

    assert exchange.corrections() == [CorrectedCandle("amendment", candle(0, "1.2", source="rest"))]


def test_every_value_that_rest_gave_soon_after_a_close_has_its_turn() -> None:
    exchange = RevisingExchange()
    for at in range(4):
        closed(exchange, [candle(at, "1.1", source="rest")])
        exchange.run(11)
        exchange.show(candle(at, "1.2", source="rest"))
    exchange.run(120)

    corrected = {entry.candle.open_time_ms for entry in exchange.corrections()}
    assert corrected == {START_MS + at * STEP_MS for at in range(4)}


def test_a_difference_that_is_read_once_only_is_none() -> None:
    exchange = RevisingExchange()
    closed(exchange, [candle(0), candle(1)])
    exchange.show(candle(0, "1.7"))
    while not exchange.requests:
        exchange.run(1)
    exchange.show(candle(0))

    exchange.run(3_600)

    assert exchange.corrections() == []


def test_the_last_row_is_never_compared_since_it_may_be_unfinished() -> None:
    exchange = RevisingExchange()
    exchange.now_ms = START_MS + STEP_MS
    exchange.show(candle(0, "1.7"))
    exchange.write(candle(0))

    exchange.run(7_200)

    assert exchange.requests
    assert exchange.corrections() == []


def test_a_rest_that_flips_between_two_values_causes_a_few_amendments_at_most() -> None:
    exchange = RevisingExchange()
    closed(exchange, [candle(0), candle(1)])
    for flip in range(400):
        exchange.show(candle(0, "1.7" if flip % 2 else "1.5"))
        exchange.run(317, step_s=5.0)

    assert 0 < len(exchange.corrections()) <= MAX_AMENDMENTS
    assert len(exchange.requests) <= 400


def test_a_second_closed_kline_with_another_value_is_an_amendment_and_a_repeated_one_is_not() -> (
    None
):
    exchange = RevisingExchange()
    closed(exchange, [candle(0)])

    for close in ("1.5", "1.6", "1.6"):
        exchange.write(*exchange.reconciler.on_stale_kline(candle(0, close)))

    assert exchange.corrections() == [CorrectedCandle("amendment", candle(0, "1.6"))]


def test_a_second_closed_kline_that_comes_before_the_first_is_written_is_an_amendment_too() -> None:
    exchange = RevisingExchange()
    exchange.now_ms = START_MS + STEP_MS
    assert exchange.reconciler.on_stale_kline(candle(0, "1.6")) == []

    exchange.write(candle(0))
    exchange.round()

    assert exchange.corrections() == [CorrectedCandle("amendment", candle(0, "1.6"))]


def test_a_stream_that_tells_ever_other_values_is_not_followed_for_long() -> None:
    exchange = RevisingExchange()
    closed(exchange, [candle(0)])

    for number in range(50):
        exchange.write(*exchange.reconciler.on_stale_kline(candle(0, f"1.{number + 10}")))

    assert len(exchange.corrections()) == MAX_STREAM_AMENDMENTS


@pytest.mark.parametrize("after_s", [0, 90, 700, 8_000, 80_000])
def test_a_candle_that_turns_up_after_its_gap_is_a_fill(after_s: int) -> None:
    exchange = RevisingExchange()
    closed(exchange, [candle(0)])
    exchange.now_ms = START_MS + 4 * STEP_MS
    exchange.write(Gap(SYMBOL, START_MS + STEP_MS, START_MS + 3 * STEP_MS))
    closed(exchange, [candle(3)])
    exchange.run(after_s, step_s=10.0)
    exchange.show(candle(1), candle(2))

    exchange.run(max(600, 2 * after_s), step_s=10.0)

    assert exchange.corrections() == [
        CorrectedCandle("fill", candle(1)),
        CorrectedCandle("fill", candle(2)),
    ]


def test_the_stream_may_fill_a_gap_too() -> None:
    exchange = RevisingExchange()
    exchange.write(Gap(SYMBOL, START_MS + STEP_MS, START_MS + 3 * STEP_MS))

    found = exchange.reconciler.on_stale_kline(candle(2))

    assert found == [CorrectedCandle("fill", candle(2))]


def test_a_hole_that_stays_one_is_asked_for_ever_more_rarely_and_given_up_after_a_week() -> None:
    exchange = RevisingExchange()
    exchange.write(Gap(SYMBOL, START_MS, START_MS + 90 * STEP_MS))

    exchange.run(8 * 86_400, step_s=60.0)
    requests = len(exchange.requests)
    exchange.run(86_400, step_s=60.0)

    assert 10 <= requests <= 40
    assert len(exchange.requests) == requests


def test_a_hole_longer_than_a_page_is_filled_as_a_whole() -> None:
    exchange = RevisingExchange()
    exchange.now_ms = START_MS + 400 * STEP_MS
    exchange.write(Gap(SYMBOL, START_MS, START_MS + 396 * STEP_MS))
    exchange.show(*map(candle, range(400)))

    exchange.run(3_600)

    filled = [entry.candle.open_time_ms for entry in exchange.corrections()]
    assert sorted(filled) == [START_MS + at * STEP_MS for at in range(396)]


def restarted(exchange: RevisingExchange) -> RevisingExchange:
    """Return an exchange with a new reconciler that has read the end of the log."""
    newest: dict[int, tuple[ReceivedCandle, int]] = {}
    for entry in exchange.log:
        if isinstance(entry, ReceivedCandle):
            newest[entry.open_time_ms] = entry, 0
        elif isinstance(entry, CorrectedCandle):
            open_ms = entry.candle.open_time_ms
            newest[open_ms] = entry.candle, newest.get(open_ms, (entry.candle, 0))[1] + 1
    candles = [
        TailCandle(SYMBOL, open_ms, fingerprint(each.value), count)
        for open_ms, (each, count) in newest.items()
    ]
    tail = LogTail(candles, [entry for entry in exchange.log if isinstance(entry, Gap)])
    again = RevisingExchange(now_ms=exchange.now_ms, rows=exchange.rows, log=exchange.log)
    again.reconciler.on_tail(tail, {SYMBOL}, again.reading)
    return again


def test_an_amendment_is_not_repeated_after_a_restart() -> None:
    exchange = RevisingExchange()
    closed(exchange, [candle(0), candle(1)])
    exchange.show(candle(0, "1.7"))
    exchange.run(3_600)
    assert len(exchange.corrections()) == 1

    again = restarted(exchange)
    again.run(7_200)

    assert again.requests
    assert len(again.corrections()) == 1


def test_what_was_revised_or_filled_during_a_restart_is_corrected_after_it() -> None:
    exchange = RevisingExchange()
    closed(exchange, [candle(0)])
    exchange.now_ms = START_MS + 3 * STEP_MS
    exchange.write(Gap(SYMBOL, START_MS + STEP_MS, START_MS + 2 * STEP_MS))
    closed(exchange, [candle(2)])

    again = restarted(exchange)
    again.show(candle(0, "1.7"), candle(1))
    again.run(3_600)

    assert again.corrections() == [
        CorrectedCandle("fill", candle(1)),
        CorrectedCandle("amendment", candle(0, "1.7")),
    ]


def test_what_was_written_since_the_start_is_newer_than_the_logs_end() -> None:
    exchange = RevisingExchange()
    exchange.now_ms = START_MS + 2 * STEP_MS
    exchange.write(candle(0, "1.7"))
    exchange.show(candle(0, "1.7"), candle(1))

    exchange.reconciler.on_tail(
        LogTail([TailCandle(SYMBOL, START_MS, fingerprint(candle(0).value))]),
        {SYMBOL},
        exchange.reading,
    )
    exchange.run(3_600)

    assert exchange.corrections() == []


def test_three_thousand_symbols_are_swept_evenly_within_a_tenth_of_the_weight() -> None:
    exchange = RevisingExchange()
    symbols = [f"S{number:04d}USDT" for number in range(3_000)]
    for at in range(4):
        exchange.now_ms = START_MS + (at + 1) * STEP_MS
        exchange.write(*(candle(at, symbol=symbol) for symbol in symbols))
    first_ms = exchange.now_ms
    exchange.run(1_800, step_s=0.2)

    times = [(ms - first_ms) // 60_000 for ms, _ in exchange.requests]
    per_minute: Mapping[int, int] = {minute: times.count(minute) for minute in set(times)}
    assert max(per_minute.values()) * 2 <= 600
    assert min(per_minute[minute] for minute in range(1, 29)) >= 0.6 * max(per_minute.values())
    asked = [request.symbol for _, request in exchange.requests]
    assert set(asked) == set(symbols)


def test_requests_without_an_answer_hold_the_others_back_for_a_while_only() -> None:
    exchange = RevisingExchange()
    closed(exchange, [candle(0, symbol=symbol) for symbol in ("AUSDT", "BUSDT", "CUSDT")])
    take_due = exchange.reconciler.schedule.take_due

    for seconds in (0.0, 1.0):
        exchange.now_ms += AFTER_MS
        assert take_due(exchange.reading, seconds) is not None
    exchange.now_ms += AFTER_MS
    assert take_due(exchange.reading, 60.0) is None

    assert take_due(exchange.reading, 120.5) is not None


def test_a_symbol_that_is_not_followed_any_longer_is_not_asked_for() -> None:
    exchange = RevisingExchange()
    closed(exchange, [candle(0), candle(1)])

    exchange.reconciler.unfollow(SYMBOL)
    exchange.run(3_600)

    assert exchange.requests == []


def test_a_correction_whose_outcome_is_unknown_is_not_written_again() -> None:
    exchange = RevisingExchange()
    closed(exchange, [candle(0), candle(1)])
    exchange.show(candle(0, "1.7"))

    exchange.reconciler.forget([CorrectedCandle("amendment", candle(0, "1.7"))])
    exchange.run(7_200)

    assert exchange.corrections() == []


def test_the_end_of_the_log_of_a_symbol_that_is_not_followed_is_left_alone() -> None:
    exchange = RevisingExchange()
    tail = LogTail([TailCandle(SYMBOL, START_MS, fingerprint(candle(0).value))])

    exchange.reconciler.on_tail(tail, {"ETHUSDT"}, exchange.reading)
    exchange.run(3_600)

    assert exchange.requests == []


def test_a_final_value_that_comes_twice_before_it_is_written_is_one_amendment() -> None:
    exchange = RevisingExchange()
    exchange.write(candle(0, "1.5"))

    first = exchange.reconciler.on_stale_kline(candle(0, "1.6"))
    again = exchange.reconciler.on_stale_kline(candle(0, "1.6"))
    other = exchange.reconciler.on_stale_kline(candle(0, "1.7"))

    assert (len(first), again, len(other)) == (1, [], 1)
    exchange.write(*first, *other)
    assert len(exchange.reconciler.on_stale_kline(candle(0, "1.8"))) == 1


def test_a_correction_that_was_not_written_may_come_again() -> None:
    exchange = RevisingExchange()
    exchange.write(Gap(SYMBOL, START_MS, START_MS + STEP_MS))
    (fill,) = exchange.reconciler.on_stale_kline(candle(0))
    assert exchange.reconciler.on_stale_kline(candle(0)) == []

    exchange.reconciler.forget([fill])

    assert exchange.reconciler.on_stale_kline(candle(0)) == [fill]
