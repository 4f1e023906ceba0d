"""A symbol's past read from a real Kafka, of records as the services write them."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from services.dashboard.history.history_reader import MOST_CANDLES, SymbolHistoryReader
from shared.adapters.kafka.connection import KafkaConnection
from shared.adapters.schemas.predictions import decode_prediction
from shared.core.errors import BadInput, Unavailable, Unknown
from shared.core.online.prediction import Prediction
from tests.services.cli.foreign_records import foreign_records
from tests.support.builders import START_MS, STEP_MS
from tests.support.deployment import Deployment
from tests.support.recorded_log import (
    FIRST,
    SECOND,
    SYMBOLS,
    eventful_klines,
    later_klines,
    record_log,
)

pytestmark = pytest.mark.integration

RECORDED = record_log([*eventful_klines(), *later_klines()])


def published(symbol: str) -> list[Prediction]:
    predictions = [decode_prediction(record.value) for record in RECORDED.predictions]
    return [one for one in predictions if one.symbol == symbol]


@pytest.fixture
def deployment(
    kafka: KafkaConnection, redis_url: str, topic_prefix: str, tmp_path: Path
) -> Iterator[Deployment]:
    """Yield a deployment with a log of one partition: gaps, corrections, statuses, promotions."""
    with Deployment(kafka, redis_url, topic_prefix, tmp_path, partitions=1) as deployment:
        RECORDED.write(deployment.kafka, deployment.topics)
        for topic in (deployment.topics.klines, deployment.topics.predictions):
            deployment.write(foreign_records(topic, 0, SYMBOLS[0].encode()))
            deployment.await_settled(topic, 0)
        yield deployment


@pytest.fixture
def reader(deployment: Deployment) -> SymbolHistoryReader:
    return SymbolHistoryReader(deployment.kafka, deployment.topics)


def test_the_past_is_what_the_log_and_the_predictions_say(reader: SymbolHistoryReader) -> None:
    page = reader.read(SYMBOLS[0], MOST_CANDLES)

    expected = published(SYMBOLS[0])
    columns = page["predictions"]
    assert page["at_beginning"]
    assert not page["truncated"]
    assert columns["open_time_ms"] == [one.open_time_ms for one in expected]
    assert columns["calibrated_close"] == [one.calibrated_close for one in expected]
    assert [mark["version"] for mark in page["promotions"]] == [FIRST.version, SECOND.version]
    candles = page["candles"]
    assert len(candles["open_time_ms"]) == 62
    assert candles["corrected"].count(True) == 1
    assert page["gaps"] == [[START_MS + 20 * STEP_MS, START_MS + 21 * STEP_MS]]


def test_outcomes_agree_with_those_that_the_predictor_published(
    reader: SymbolHistoryReader,
) -> None:
    page = reader.read(SYMBOLS[0], MOST_CANDLES)["predictions"]
    expected = {
        one.previous.open_time_ms: one.previous.outcome_change
        for one in published(SYMBOLS[0])
        if one.previous is not None and one.previous.outcome_change is not None
    }

    rows = zip(page["open_time_ms"], page["base_close"], page["outcome_close"], strict=True)
    changes = {time_ms: close / base - 1.0 for time_ms, base, close in rows if close is not None}

    assert expected
    assert {at: changes[at] for at in expected} == pytest.approx(expected)


def test_a_symbol_that_was_listed_again_has_both_of_its_lives(
    reader: SymbolHistoryReader,
) -> None:
    page = reader.read(SYMBOLS[1], MOST_CANDLES)

    assert [one["status"] for one in page["statuses"]] == ["halted", "delisted", "listed"]
    assert page["candles"]["open_time_ms"][-1] == START_MS + 62 * STEP_MS
    assert page["candles"]["corrected"].count(True) == 2


def test_pages_of_a_real_log_join(reader: SymbolHistoryReader) -> None:
    whole = reader.read(SYMBOLS[0], MOST_CANDLES)["candles"]["open_time_ms"]

    newest = reader.read(SYMBOLS[0], 40)
    older = reader.read(SYMBOLS[0], 40, newest["candles"]["open_time_ms"][0])

    assert not newest["at_beginning"]
    assert older["at_beginning"]
    times = older["candles"]["open_time_ms"] + newest["candles"]["open_time_ms"]
    assert times == whole


def test_a_follower_begins_with_the_newest_candles(reader: SymbolHistoryReader) -> None:
    follower = reader.follow(SYMBOLS[0])

    follower.add_prediction(published(SYMBOLS[0])[-1])

    assert follower.take_increment() is None


def test_many_who_ask_at_once_get_the_same(reader: SymbolHistoryReader) -> None:
    with ThreadPoolExecutor(8) as pool:
        pages = list(pool.map(lambda _: reader.read(SYMBOLS[0], 40), range(16)))

    assert all(page == pages[0] for page in pages)


@pytest.mark.parametrize("symbol", ["NONEUSDT", "", "../etc", "B" * 500])
def test_a_symbol_that_the_log_has_not_is_unknown(reader: SymbolHistoryReader, symbol: str) -> None:
    with pytest.raises(Unknown):
        reader.read(symbol, 10)


@pytest.mark.parametrize(("candles", "before_ms"), [(0, None), (MOST_CANDLES + 1, None), (1, -1)])
def test_numbers_out_of_range_are_refused(
    reader: SymbolHistoryReader, candles: int, before_ms: int | None
) -> None:
    with pytest.raises(BadInput, match="allowed"):
        reader.read(SYMBOLS[0], candles, before_ms)


def test_without_kafka_it_is_unavailable(deployment: Deployment) -> None:
    reader = SymbolHistoryReader(KafkaConnection("127.0.0.1:1"), deployment.topics)

    with pytest.raises(Unavailable):
        reader.read(SYMBOLS[0], 10)
