"""Which market's move a candle gets."""

import pytest

from services.producer.backfill.sequencer import LogEntry, ReceivedCandle
from services.producer.market.price_book import HeardPrice, PriceBook
from services.producer.market.recorder import MarketRecorder
from shared.core.market import BasketDefinition, define_baskets
from shared.core.records import Gap, MarketMove

STEP_MS = 300_000
SYMBOLS = ("AAAUSDT", "BBBUSDT", "CCCUSDT")
OLD = define_baskets([SYMBOLS], 0, 0)
NEW = define_baskets([SYMBOLS[::-1]], 0, 0)


def candle(at: int) -> ReceivedCandle:
    return ReceivedCandle("AAAUSDT", at * STEP_MS, 1.0, b"{}", "stream", 0)


def move(recorder: MarketRecorder, at: int) -> MarketMove | None:
    [entry] = recorder.record([candle(at)])
    assert isinstance(entry, ReceivedCandle)
    return entry.market


def version(recorder: MarketRecorder, at: int) -> str | None:
    found = move(recorder, at)
    assert found is not None
    return found.baskets


def close_all(book: PriceBook, at: int, price: float) -> None:
    for symbol in SYMBOLS:
        book.hear(HeardPrice(symbol, at * STEP_MS, price, is_close=True))


@pytest.fixture
def book() -> PriceBook:
    book = PriceBook(SYMBOLS, STEP_MS, 60_000)
    close_all(book, 1, 100.0)
    return book


def test_a_candle_has_the_median_of_what_is_heard_when_it_is_written(book: PriceBook) -> None:
    recorder = MarketRecorder(book, None)
    for symbol, price in zip(SYMBOLS, (101.0, 102.0, 104.0), strict=True):
        book.hear(HeardPrice(symbol, 2 * STEP_MS, price, 3 * STEP_MS - 1))
    assert move(recorder, 2) == MarketMove(0.02, 3)

    book.hear(HeardPrice("BBBUSDT", 2 * STEP_MS, 103.0, is_close=True))

    assert move(recorder, 2) == MarketMove(0.03, 3)


def test_below_a_quorum_a_candle_has_no_entry(book: PriceBook) -> None:
    book.set_symbols(SYMBOLS[:2])
    close_all(book, 2, 101.0)

    assert move(MarketRecorder(book, None), 2) is None


def test_what_is_not_a_candle_stays_as_it_is(book: PriceBook) -> None:
    gap: LogEntry = Gap("AAAUSDT", 0, STEP_MS)

    assert MarketRecorder(book, None).record([gap]) == [gap]


@pytest.mark.parametrize("first", [None, OLD])
def test_new_baskets_are_in_force_from_the_next_candle_on(
    book: PriceBook, first: BasketDefinition | None
) -> None:
    recorder = MarketRecorder(book, first)
    close_all(book, 2, 101.0)

    recorder.adopt(NEW)
    close_all(book, 3, 102.0)

    old_version = None if first is None else first.version
    assert version(recorder, 2) == old_version
    assert version(recorder, 3) == NEW.version


def test_baskets_replaced_before_they_were_in_force_never_are(book: PriceBook) -> None:
    recorder = MarketRecorder(book, OLD)
    recorder.adopt(NEW)
    recorder.adopt(None)
    close_all(book, 2, 101.0)

    assert version(recorder, 2) is None


def test_a_candle_of_the_past_keeps_its_move_until_rest_gives_more_closes(book: PriceBook) -> None:
    recorder = MarketRecorder(book, None)
    close_all(book, 2, 101.0)
    close_all(book, 3, 101.0)
    assert move(recorder, 2) == MarketMove(0.01, 3)

    book.set_symbols((*SYMBOLS, "DDDUSDT"))
    assert move(recorder, 2) == MarketMove(0.01, 3)

    book.add_close("DDDUSDT", STEP_MS, 100.0)
    book.add_close("DDDUSDT", 2 * STEP_MS, 101.0)
    assert move(recorder, 2) == MarketMove(0.01, 4)


def test_the_move_of_a_candle_whose_prices_are_forgotten_stays(book: PriceBook) -> None:
    recorder = MarketRecorder(book, None)
    for at in range(2, 100):
        close_all(book, at, 100.0 + at)
        recorder.record([candle(at)])
    before = move(recorder, 2)
    book.forget_before(100 * STEP_MS)
    assert book.count_known(2 * STEP_MS) == 0

    book.add_close("AAAUSDT", 2 * STEP_MS, 100.0)

    assert recorder.is_recorded(2 * STEP_MS)
    assert not recorder.is_heard(2 * STEP_MS)
    assert move(recorder, 2) == before


def test_the_move_that_the_log_has_counts_first(book: PriceBook) -> None:
    recorder = MarketRecorder(book, None)
    close_all(book, 2, 101.0)

    recorder.learn(STEP_MS, {2 * STEP_MS: MarketMove(0.5, 7)})

    assert move(recorder, 2) == MarketMove(0.5, 7)
    assert recorder.learnt_from_ms == STEP_MS
    assert recorder.is_recorded(2 * STEP_MS)
