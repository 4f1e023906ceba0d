"""The price book: what belongs to an interval, whatever comes before, after and in between."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.producer.market.carried_symbols import StreamCarries, StreamInterrupted
from services.producer.market.price_book import KEPT_MOMENTS, HeardPrice, PriceBook, PriceEvent
from shared.core.market import change_ppb

STEP_MS = 300_000
MAX_AGE_MS = 60_000
SYMBOLS = ("AAAUSDT", "BBBUSDT", "CCCUSDT")


def heard(symbol: str, at: int, price: float, second: int = 299) -> HeardPrice:
    """Return a price in candle number `at`, heard so many seconds after its opening."""
    return HeardPrice(symbol, at * STEP_MS, price, at * STEP_MS + second * 1000)


def closed(symbol: str, at: int, price: float) -> HeardPrice:
    return HeardPrice(symbol, at * STEP_MS, price, is_close=True)


def a_book() -> PriceBook:
    """Return a book whose stream has been connected since candle 0."""
    book = PriceBook(SYMBOLS, STEP_MS, MAX_AGE_MS)
    book.hear(StreamCarries(1, ("OTHERUSDT", *SYMBOLS), continues=False))
    book.hear(heard("OTHERUSDT", 0, 1.0))
    return book


def listen(book: PriceBook, messages: Sequence[PriceEvent]) -> None:
    for message in messages:
        book.hear(message)


messages = st.lists(
    st.builds(
        heard,
        st.sampled_from(SYMBOLS),
        st.integers(1, 5),
        st.integers(50, 150).map(float),
        st.integers(0, 299),
    )
    | st.builds(
        closed, st.sampled_from(SYMBOLS), st.integers(1, 5), st.integers(50, 150).map(float)
    ),
    max_size=40,
)


@given(messages, st.integers(2, 5))
def test_no_price_of_a_later_interval_enters(stream: list[HeardPrice], at: int) -> None:
    until_then, all_along = a_book(), a_book()
    listen(until_then, [each for each in stream if each.open_time_ms <= at * STEP_MS])
    listen(all_along, stream)

    now, later = until_then.changes_ppb(at * STEP_MS), all_along.changes_ppb(at * STEP_MS)

    assert now.items() <= later.items()
    prices = {each.price for each in stream if each.open_time_ms <= at * STEP_MS}
    possible = {change_ppb(before, price) for before in prices for price in prices}
    assert set(later.values()) <= possible


@given(messages, st.integers(2, 5), st.randoms(use_true_random=False))
def test_the_order_in_which_messages_arrive_does_not_matter(
    stream: list[HeardPrice], at: int, random: object
) -> None:
    # Of one symbol and one time, an exchange has one price.
    stream = list({(m.symbol, m.open_time_ms, m.event_ms): m for m in stream}.values())
    shuffled = sorted(stream, key=lambda _: random.random())  # type: ignore[attr-defined]
    one, other = a_book(), a_book()
    listen(one, stream)
    listen(other, shuffled)

    assert one.changes_ppb(at * STEP_MS) == other.changes_ppb(at * STEP_MS)


def test_a_change_is_from_the_close_before_to_the_newest_price() -> None:
    book = a_book()
    listen(book, [heard("AAAUSDT", 1, 90.0), closed("AAAUSDT", 1, 100.0)])
    listen(book, [heard("AAAUSDT", 2, 101.0, 10), heard("AAAUSDT", 2, 102.0, 20)])
    listen(book, [heard("AAAUSDT", 2, 99.0, 15)])  # late: the newer price stays
    assert book.changes_ppb(2 * STEP_MS) == {}  # nothing of the stream since, long before the end

    listen(book, [heard("BBBUSDT", 2, 5.0, 299)])
    assert book.changes_ppb(2 * STEP_MS) == {"AAAUSDT": 20_000_000}

    listen(book, [closed("AAAUSDT", 2, 103.0), heard("AAAUSDT", 2, 99.0)])
    assert book.changes_ppb(2 * STEP_MS) == {"AAAUSDT": 30_000_000}


def test_a_symbol_that_is_silent_on_a_connected_stream_has_not_moved() -> None:
    book = a_book()
    listen(book, [closed("AAAUSDT", 1, 100.0), *(closed("BBBUSDT", at, 1.0) for at in (1, 2, 3))])

    assert book.changes_ppb(2 * STEP_MS)["AAAUSDT"] == 0
    assert book.changes_ppb(3 * STEP_MS)["AAAUSDT"] == 0


def test_after_an_interruption_silence_proves_nothing() -> None:
    book = a_book()
    listen(book, [closed(symbol, 1, 100.0) for symbol in SYMBOLS])
    listen(book, [heard("AAAUSDT", 2, 101.0, 100), heard("BBBUSDT", 2, 101.0, 250)])
    listen(book, [StreamInterrupted(SYMBOLS), StreamCarries(2, SYMBOLS, continues=False)])
    listen(book, [heard("CCCUSDT", 2, 102.0, 299)])

    changes = book.changes_ppb(2 * STEP_MS)

    assert set(changes) == {"BBBUSDT", "CCCUSDT"}, "heard within the limit, and heard since"
    listen(book, [closed("AAAUSDT", 2, 103.0)])
    assert book.changes_ppb(2 * STEP_MS)["AAAUSDT"] == 30_000_000


def test_the_interruption_and_the_silence_of_a_connection_say_nothing_of_others_symbols() -> None:
    book = a_book()
    listen(book, [StreamCarries(2, ("BBBUSDT",), continues=False)])
    listen(book, [closed(symbol, 1, 100.0) for symbol in SYMBOLS])
    listen(book, [heard("AAAUSDT", 2, 101.0, 100), heard("BBBUSDT", 2, 101.0, 100)])
    listen(book, [heard("CCCUSDT", 2, 102.0, 299)])
    assert set(book.changes_ppb(2 * STEP_MS)) == {"AAAUSDT", "CCCUSDT"}, "BBBUSDT's was silent"

    listen(book, [StreamInterrupted(("BBBUSDT",))])
    assert set(book.changes_ppb(2 * STEP_MS)) == {"AAAUSDT", "CCCUSDT"}


def test_a_symbol_handed_over_to_another_connection_was_not_interrupted() -> None:
    book = a_book()
    listen(book, [closed(symbol, 1, 100.0) for symbol in SYMBOLS])
    listen(book, [heard("AAAUSDT", 2, 101.0, 100)])
    listen(book, [StreamCarries(2, SYMBOLS, continues=True), heard("CCCUSDT", 2, 102.0, 299)])

    assert book.changes_ppb(2 * STEP_MS)["AAAUSDT"] == 10_000_000


def test_a_symbol_first_heard_of_in_an_interval_is_unknown_there() -> None:
    book = a_book()
    listen(book, [closed("AAAUSDT", 1, 100.0), closed("AAAUSDT", 2, 101.0)])
    listen(book, [closed("BBBUSDT", 2, 101.0)])

    assert set(book.changes_ppb(2 * STEP_MS)) == {"AAAUSDT"}


def test_closes_of_rest_make_the_moves_of_the_past() -> None:
    book = a_book()
    for at, price in ((1, 100.0), (2, 110.0), (4, 120.0)):
        book.add_close("AAAUSDT", at * STEP_MS, price)

    assert book.changes_ppb(2 * STEP_MS) == {"AAAUSDT": 100_000_000}
    assert book.changes_ppb(3 * STEP_MS) == {}
    assert book.changes_ppb(4 * STEP_MS) == {}, "the candle before is missing"


def test_a_close_that_only_rest_gave_is_the_price_of_a_silent_symbol_from_then_on() -> None:
    book = a_book()
    listen(book, [closed("BBBUSDT", at, 1.0) for at in (1, 2, 3)])
    book.add_close("AAAUSDT", 2 * STEP_MS, 100.0)

    assert book.changes_ppb(3 * STEP_MS)["AAAUSDT"] == 0


def test_old_prices_are_dropped_but_the_newest_of_each_symbol() -> None:
    book = a_book()
    last = 3 * KEPT_MOMENTS
    listen(book, [closed("AAAUSDT", 1, 100.0)])
    listen(book, [closed("BBBUSDT", at, float(at)) for at in range(1, last + 1)])

    kept_from_ms = book.forget_before(last * STEP_MS)

    assert kept_from_ms == (last - KEPT_MOMENTS) * STEP_MS
    assert book.count_known(kept_from_ms) == 1
    assert book.changes_ppb(last * STEP_MS)["AAAUSDT"] == 0


def test_symbols_that_stay_keep_their_prices() -> None:
    book = a_book()
    listen(book, [closed("AAAUSDT", 1, 100.0), closed("AAAUSDT", 2, 101.0)])

    book.set_symbols(["AAAUSDT", "DDDUSDT"])

    assert book.changes_ppb(2 * STEP_MS) == {"AAAUSDT": 10_000_000}
    assert list(book.symbols) == ["AAAUSDT", "DDDUSDT"]


@pytest.mark.parametrize(("second", "age_ms"), [(299, 1_000), (0, 300_000)])
def test_ages_are_counted_from_the_end_of_the_interval(second: int, age_ms: int) -> None:
    book = a_book()
    listen(book, [closed("AAAUSDT", 1, 1.0), heard("AAAUSDT", 2, 1.0, second)])
    listen(book, [closed("BBBUSDT", 2, 1.0)])

    assert book.ages_ms(2 * STEP_MS) == [age_ms]
