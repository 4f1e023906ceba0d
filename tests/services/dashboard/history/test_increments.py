"""What has come to a symbol's past since it was shown last."""

from typing import Any

from services.dashboard.history.increments import SymbolIncrements
from services.dashboard.history.paging import PageRequest
from shared.core.records import Amendment, Fill, Gap
from tests.services.dashboard.history.symbol_topics import SYMBOL, SymbolTopics, a_prediction
from tests.support.builders import START_MS, STEP_MS, a_candle, candle_bytes


def followed(candles: int = 40) -> SymbolIncrements:
    topics = SymbolTopics(
        [candle_bytes(at, SYMBOL, "100.5") for at in range(candles)],
        [a_prediction(at) for at in range(1, candles + 1)],
    )
    topics.page()
    return SymbolIncrements(topics.log.to_past())


def taken(follower: SymbolIncrements) -> dict[str, Any]:
    increment = follower.take_increment()
    assert increment is not None
    return increment


def test_nothing_new_gives_no_increment() -> None:
    follower = followed()

    follower.add_record(a_candle(39, 100.5))
    follower.add_prediction(a_prediction(40))

    assert follower.take_increment() is None


def test_a_candle_brings_itself_and_its_prediction_with_the_outcome() -> None:
    follower = followed()

    follower.add_record(a_candle(40, 100.25))
    increment = taken(follower)

    assert increment["candles"]["close"] == [100.25]
    assert increment["predictions"]["outcome_close"] == [100.25]
    assert increment["predictions"]["hit"] == [True]
    assert increment["skill"]["open_time_ms"] == [START_MS + 40 * STEP_MS]
    assert sum(one["n"] for one in increment["calibration"]) == 40
    assert follower.take_increment() is None


def test_a_prediction_brings_itself_and_the_promotion_that_it_is_the_first_of() -> None:
    follower = followed()

    follower.add_prediction(a_prediction(41, model_version="m2", promotion_offset=40))
    increment = taken(follower)

    assert increment["predictions"]["version"] == ["m2"]
    assert increment["promotions"] == [{"open_time_ms": START_MS + 41 * STEP_MS, "version": "m2"}]
    assert increment["candles"]["close"] == []


def test_a_correction_brings_all_since_its_candle() -> None:
    follower = followed()

    follower.add_record(Amendment(a_candle(30, 99.0)))
    candles = taken(follower)["candles"]

    assert candles["open_time_ms"][0] == START_MS + 30 * STEP_MS
    assert candles["close"][:2] == [99.0, 100.5]
    assert len(candles["close"]) == 10


def test_a_gap_is_shown_until_it_is_filled() -> None:
    follower = followed()

    follower.add_record(Gap(SYMBOL, START_MS + 40 * STEP_MS, START_MS + 41 * STEP_MS))
    before = taken(follower)["gaps"]
    follower.add_record(Fill(a_candle(40)))

    assert before == [[START_MS + 40 * STEP_MS, START_MS + 41 * STEP_MS]]
    assert taken(follower)["gaps"] == []


def test_the_oldest_candles_are_dropped() -> None:
    follower = followed()

    for at in range(40, 4_000):
        follower.add_record(a_candle(at))
        follower.add_prediction(a_prediction(at + 1))
        if at % 100 == 0:
            follower.take_increment()

    follower.add_record(Amendment(a_candle(0, 1.0)))
    assert len(taken(follower)["candles"]["close"]) < 1_300


def test_a_follower_and_a_page_have_the_same_candles() -> None:
    topics = SymbolTopics([candle_bytes(at, SYMBOL, "100.5") for at in range(40)])
    page = topics.page(10)
    follower = SymbolIncrements(topics.log.to_past())

    follower.add_record(Amendment(a_candle(30, 99.0)))
    newer = taken(follower)["candles"]

    assert newer["open_time_ms"] == page["candles"]["open_time_ms"]
    assert topics.log.range_of(PageRequest(10)).span.from_ms == newer["open_time_ms"][0]
