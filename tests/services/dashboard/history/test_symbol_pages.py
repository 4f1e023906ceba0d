"""A symbol's past page by page, out of topics that are lists."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.dashboard.log_region import ReadingBudget
from shared.adapters.schemas.klines import encode_gap, encode_status
from shared.core.records import Gap, SymbolStatus
from tests.services.cli.foreign_records import FOREIGN_VALUES
from tests.services.dashboard.history.symbol_topics import SYMBOL, SymbolTopics, a_prediction
from tests.support.builders import START_MS, STEP_MS, candle_bytes


def time_of(at: int) -> int:
    return START_MS + at * STEP_MS


def candle(at: int, close: str = "100.5", kind: str = "candle") -> bytes:
    return candle_bytes(at, SYMBOL, close, type=kind)


def gap(start: int, stop: int) -> bytes:
    return encode_gap(Gap(SYMBOL, time_of(start), time_of(stop)), "5m")


def joined(pages: list[dict[str, Any]]) -> dict[str, Any]:
    """Put pages, the newest first, one after the other."""
    whole: dict[str, Any] = {"candles": {}, "predictions": {}}
    for page in reversed(pages):
        for name in ("candles", "predictions"):
            for column, values in page[name].items():
                whole[name].setdefault(column, []).extend(values)
        for name in ("gaps", "statuses", "promotions"):
            whole.setdefault(name, []).extend(page[name])
    return whole


def read_backwards_page_by_page(topics: SymbolTopics, candles: int) -> list[dict[str, Any]]:
    pages = [topics.page(candles)]
    while not pages[-1]["at_beginning"]:
        pages.append(topics.page(candles, pages[-1]["candles"]["open_time_ms"][0]))
    return pages


@st.composite
def logs(draw: st.DrawFn) -> SymbolTopics:
    """Draw a log with gaps, late corrections, statuses, damage, and predictions of two versions."""
    klines: list[bytes | None] = [draw(st.sampled_from(FOREIGN_VALUES))]
    predictions, missing, at = [], list[int](), 0
    for kind in draw(st.lists(st.sampled_from("ccccgafsx"), min_size=1, max_size=60)):
        if kind == "g":
            stop = at + draw(st.integers(1, 3))
            klines.append(gap(at, stop))
            missing += range(at, stop)
            at = stop
        elif kind == "a" and at:
            klines.append(candle(draw(st.integers(0, at - 1)), "107.5", "amendment"))
        elif kind == "f" and missing:
            klines.append(candle(missing.pop(draw(st.integers(0, len(missing) - 1))), kind="fill"))
        elif kind == "s":
            status = SymbolStatus(SYMBOL, time_of(at), "halted", "not traded")
            klines.append(encode_status(status, "5m"))
        elif kind == "x":
            klines.append(draw(st.sampled_from(FOREIGN_VALUES)))
        else:
            klines.append(candle(at, f"{100 + at % 7}.25"))
            at += 1
            version = draw(st.sampled_from(("m1", "m1", "m1", "m2")))
            offset = 0 if version == "m1" else 10
            predictions.append(a_prediction(at, model_version=version, promotion_offset=offset))
    return SymbolTopics(klines, predictions)


@given(logs(), st.integers(1, 20))
def test_pages_join_without_overlap_or_hole(topics: SymbolTopics, candles: int) -> None:
    pages = read_backwards_page_by_page(topics, candles)

    whole = SymbolTopics([], [])
    whole.klines, whole.predictions = topics.klines, topics.predictions
    assert joined(pages) == joined([whole.page()])


@given(logs(), st.integers(1, 20))
def test_a_page_has_the_candles_asked_for_in_time_order(topics: SymbolTopics, candles: int) -> None:
    for page in read_backwards_page_by_page(topics, candles)[:-1]:
        times = page["candles"]["open_time_ms"]
        assert len(times) == candles
        assert times == sorted(set(times))
        assert not page["truncated"]


def test_an_amendment_replaces_its_candle_and_a_fill_closes_its_gap() -> None:
    topics = SymbolTopics(
        [
            candle(0, "1.5"),
            gap(1, 4),
            candle(4, "4.5"),
            candle(2, "2.5", "fill"),
            candle(0, "9.5", "amendment"),
            candle(0, "7.5", "amendment"),
        ]
    )

    page = topics.page()

    assert page["candles"]["close"] == [7.5, 2.5, 4.5]
    assert page["candles"]["corrected"] == [True, True, False]
    assert page["gaps"] == [[time_of(1), time_of(2)], [time_of(3), time_of(4)]]


def test_corrections_that_contradict_the_log_change_nothing() -> None:
    topics = SymbolTopics(
        [
            candle(1, "1.5"),
            candle(0, "9.0", "amendment"),
            candle(1, "9.0", "fill"),
            candle(0, "9.0"),
        ]
    )

    page = topics.page()

    assert page["candles"]["open_time_ms"] == [time_of(1)]
    assert page["candles"]["close"] == [1.5]
    assert page["candles"]["corrected"] == [False]


def test_a_correction_far_behind_its_candle_is_on_the_page_of_the_candle() -> None:
    topics = SymbolTopics([*(candle(at) for at in range(40)), candle(3, "33.0", "amendment")])

    oldest = read_backwards_page_by_page(topics, 10)[-1]

    assert oldest["candles"]["close"][3] == 33.0


def test_a_symbol_that_was_removed_and_listed_again_begins_anew() -> None:
    removed = encode_status(SymbolStatus(SYMBOL, time_of(2), "removed", "the user"), "5m")
    listed = encode_status(SymbolStatus(SYMBOL, time_of(5), "listed", "TRADING"), "5m")

    page = SymbolTopics([candle(0), candle(1), removed, candle(1), listed, candle(5)]).page()

    assert page["candles"]["open_time_ms"] == [time_of(0), time_of(1), time_of(5)]
    assert [one["status"] for one in page["statuses"]] == ["removed", "listed"]


def test_records_of_other_symbols_under_the_key_are_left_out() -> None:
    other = candle_bytes(1, "ETHUSDT", "9.5")
    foreign = a_prediction(1, symbol="ETHUSDT")

    page = SymbolTopics([candle(0), other, candle(1)], [foreign]).page()

    assert page["candles"]["close"] == [100.5, 100.5]
    assert page["predictions"]["open_time_ms"] == []


@pytest.mark.parametrize(
    ("change", "close", "hit", "inside"),
    [
        (0.001, "100.5", True, True),
        (-0.001, "100.5", False, True),
        (0.001, "102.0", True, False),
        (0.001, "100.0", None, True),
        (0.0, "100.5", None, True),
    ],
)
def test_the_outcome_is_the_close_of_the_predicted_candle(
    change: float, close: str, hit: bool | None, inside: bool
) -> None:
    predicted = SymbolTopics([candle(0), candle(1, close)], [a_prediction(1, change)]).page()

    columns = predicted["predictions"]
    assert columns["outcome_close"] == [float(close)]
    assert (columns["hit"], columns["inside"]) == ([hit], [inside])


def test_the_next_candle_and_one_across_a_gap_have_no_outcome() -> None:
    topics = SymbolTopics(
        [candle(0), gap(1, 2), candle(2)], [a_prediction(1), a_prediction(3, intervals=())]
    )

    columns = topics.page()["predictions"]

    assert columns["outcome_close"] == columns["hit"] == columns["inside"] == [None, None]
    assert columns["upper_90"] == [pytest.approx(101.0), None]


def test_the_first_candle_of_another_promotion_is_marked() -> None:
    predictions = [
        a_prediction(1, model_version="m1", promotion_offset=0),
        a_prediction(2, model_version="m1", promotion_offset=0),
        a_prediction(3, model_version="m2", promotion_offset=7),
        a_prediction(4, model_version="m2", promotion_offset=9),
    ]
    topics = SymbolTopics([candle(at) for at in range(4)], predictions)

    assert topics.page()["promotions"] == [
        {"open_time_ms": time_of(at), "version": version}
        for at, version in ((1, "m1"), (3, "m2"), (4, "m2"))
    ]


def test_a_reading_that_is_bounded_says_so_and_goes_on_when_asked_again() -> None:
    topics = SymbolTopics([candle(at) for at in range(30)], [a_prediction(30)])

    first = topics.page(20, budget=ReadingBudget(1, 1.0, lambda: 0.0))
    pages = [topics.page(20, budget=ReadingBudget(1, 1.0, lambda: 0.0)) for _ in range(6)]

    assert first["truncated"]
    assert not pages[-1]["truncated"]
    assert pages[-1]["candles"]["open_time_ms"] == [time_of(at) for at in range(10, 30)]


def test_what_is_appended_later_is_on_the_next_page_of_the_newest() -> None:
    topics = SymbolTopics([candle(0)])
    topics.page()
    topics.klines = SymbolTopics([candle(0), candle(1), candle(0, "8.0", "amendment")]).klines

    assert topics.page()["candles"]["close"] == [8.0, 100.5]


def test_a_log_that_was_created_anew_is_read_anew() -> None:
    topics = SymbolTopics([candle(at) for at in range(9)])
    topics.page()
    topics.klines = SymbolTopics([candle(5, "5.0")]).klines

    assert topics.page()["candles"]["close"] == [5.0]
