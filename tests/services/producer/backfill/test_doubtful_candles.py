"""When a denied candle is certainly missing."""

from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from services.producer.backfill.doubtful_candles import (
    CROWD_S,
    MAX_REQUESTS_PER_S,
    MIN_DENIALS,
    DoubtfulCandles,
    GapLimits,
)

SYMBOLS = ("AAAUSDT", "BBBUSDT", "CCCUSDT", "DDDUSDT", "EEEUSDT")
LIMITS = GapLimits(gap_after_s=120.0, outage_gap_after_s=600.0)
SYMBOL = SYMBOLS[0]


def denied_at(*times_s: float, symbols: tuple[str, ...] = (SYMBOL,)) -> DoubtfulCandles:
    """Return the doubts after candles 4 and 5 were denied at some times."""
    doubts = DoubtfulCandles(SYMBOLS, LIMITS)
    for now_s in times_s:
        for symbol in symbols:
            doubts.record(symbol, (0, 9), [(4, 6)], now_s)
    return doubts


def is_certain(doubts: DoubtfulCandles) -> bool:
    return doubts.certain_until_ms(SYMBOL, 4, 6) == 6


def test_a_candle_is_missing_after_several_denials_over_the_time_of_a_gap() -> None:
    assert not is_certain(denied_at(0.0, 120.0))
    assert not is_certain(denied_at(0.0, 60.0, 119.0))
    assert is_certain(denied_at(0.0, 60.0, 120.0))


def test_a_page_that_has_the_candle_ends_the_doubt() -> None:
    doubts = denied_at(0.0, 60.0)
    doubts.record(SYMBOL, (0, 9), [(5, 6)], 90.0)
    doubts.record(SYMBOL, (0, 9), [(4, 6)], 120.0)

    assert doubts.certain_until_ms(SYMBOL, 4, 6) == 4
    assert doubts.certain_until_ms(SYMBOL, 5, 6) == 6


def test_a_page_that_does_not_speak_of_a_candle_changes_nothing() -> None:
    doubts = denied_at(0.0, 60.0, 120.0)
    doubts.record(SYMBOL, (0, 4), [], 130.0)
    doubts.record(SYMBOL, (6, 9), [(6, 7)], 130.0)

    assert is_certain(doubts)


def test_half_of_the_symbols_make_an_outage_which_takes_longer() -> None:
    some, most = SYMBOLS[:2], SYMBOLS[:3]

    assert is_certain(denied_at(0.0, 60.0, 120.0, symbols=some))
    assert not is_certain(denied_at(0.0, 60.0, 599.0, symbols=most))
    assert is_certain(denied_at(0.0, 60.0, 600.0, symbols=most))


def test_the_late_beginning_of_a_history_is_certain_sooner_even_of_all_symbols() -> None:
    doubts = denied_at(0.0, 9.0, 20.0, symbols=SYMBOLS)

    assert doubts.certain_until_ms(SYMBOL, 4, 6, is_beginning=True) == 6
    assert doubts.certain_until_ms(SYMBOL, 4, 6) == 4


def test_a_crowd_in_doubt_is_requested_more_rarely_as_long_as_it_is_one() -> None:
    symbols = tuple(f"S{number}USDT" for number in range(400))
    doubts = denied_at(0.0, symbols=symbols)
    assert doubts.wait_s(symbols[0], 4, 0.0) == len(symbols) / MAX_REQUESTS_PER_S

    doubts.record(symbols[0], (0, 9), [(4, 6)], CROWD_S)
    assert doubts.wait_s(symbols[0], 4, CROWD_S) == 6.0


def test_requests_come_ever_more_rarely_and_one_when_the_time_is_over() -> None:
    times_s, now_s = list[float](), 0.0
    doubts = denied_at(now_s)
    while not is_certain(doubts):
        wait_s = doubts.wait_s(SYMBOL, 4, now_s)
        assert wait_s is not None
        now_s += wait_s
        times_s.append(now_s)
        doubts.record(SYMBOL, (0, 9), [(4, 6)], now_s)

    assert times_s == [3.0, 9.0, 21.0, 45.0, 75.0, 105.0, 120.0]
    assert doubts.wait_s(SYMBOL, 7, now_s) is None


def test_the_doubt_about_a_span_ends_where_the_last_one_that_touches_it_does() -> None:
    doubts = denied_at(0.0)
    doubts.record(SYMBOL, (0, 12), [(4, 8)], 1.0)

    assert doubts.end_ms(SYMBOL, 4) == 8
    assert doubts.end_ms(SYMBOL, 8) is None


def test_what_is_known_of_a_symbol_that_is_not_followed_is_forgotten() -> None:
    doubts = denied_at(0.0, 60.0, 120.0)
    doubts.forget(SYMBOL)

    assert not is_certain(doubts)
    assert doubts.end_ms(SYMBOL, 4) is None


PAGES = st.lists(
    st.tuples(
        st.integers(0, 8),
        st.integers(1, 12),
        st.sets(st.integers(0, 20)),
        st.integers(1, 70),
    ),
    max_size=12,
)


@given(PAGES)
def test_spans_count_as_if_each_candle_were_counted_alone(
    pages: list[tuple[int, int, set[int], int]],
) -> None:
    doubts, counts = DoubtfulCandles(SYMBOLS, LIMITS), dict[int, tuple[float, float, int]]()
    now_s = 0.0
    for first, length, lacking, seconds in pages:
        now_s += seconds
        spoken_of = range(first, first + length)
        denied = [(at, at + 1) for at in spoken_of if at in lacking]
        doubts.record(SYMBOL, (first, first + length), denied, now_s)
        for at in spoken_of:
            first_s, _, denials = counts.get(at, (now_s, now_s, 0))
            counts.pop(at, None)
            if at in lacking:
                counts[at] = (first_s, now_s, denials + 1)

    for at in range(21):
        assert (doubts.end_ms(SYMBOL, at) is not None) == (at in counts)
        is_missing = doubts.certain_until_ms(SYMBOL, at, at + 1) == at + 1
        assert is_missing == _is_missing(counts, at)


def _is_missing(counts: Mapping[int, tuple[float, float, int]], at: int) -> bool:
    first_s, last_s, denials = counts.get(at, (0.0, 0.0, 0))
    return denials >= MIN_DENIALS and last_s - first_s >= LIMITS.gap_after_s
