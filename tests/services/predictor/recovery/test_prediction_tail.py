from dataclasses import replace

import pytest

from services.predictor.recovery.prediction_tail import read_prediction_tail
from shared.adapters.kafka.reader import ConsumerRecord
from shared.core.errors import Incompatible
from tests.support.fakes import FakeTopicHistory
from tests.support.partition_log import SHORT, process_all, published_by, topic_of


def test_the_last_prediction_of_each_symbol_is_read_back() -> None:
    predictions = process_all(SHORT).predictions

    published = read_prediction_tail(topic_of(predictions), 0)

    assert published == published_by(predictions)


@pytest.mark.parametrize("value", [None, b"", b"\xff", b"{}", b"[1]", b"garbage"])
def test_a_foreign_record_that_is_no_prediction_is_passed_over(value: bytes | None) -> None:
    predictions = process_all(SHORT).predictions
    records = [r for block in topic_of(predictions).read(0, 0) for r in block]
    foreign = ConsumerRecord(0, len(records), 0, b"foreign", value)

    published = read_prediction_tail(FakeTopicHistory([*records, foreign]), 0)

    assert published == replace(published_by(predictions), unreadable=1)


def test_a_prediction_of_another_schema_is_refused_and_its_place_named() -> None:
    with pytest.raises(Incompatible, match="predictions 0/0 is of another version"):
        read_prediction_tail(FakeTopicHistory([ConsumerRecord(0, 0, 0, b"x", b'{"schema": 2}')]), 0)


def test_a_record_that_is_skipped_is_not_read() -> None:
    foreign = ConsumerRecord(0, 0, 0, b"x", b'{"schema": 2}')

    published = read_prediction_tail(FakeTopicHistory([foreign]), 0, skipped=[0])

    assert published == published_by([])


def test_a_copy_of_an_earlier_prediction_at_the_end_is_not_the_last() -> None:
    predictions = process_all(SHORT).predictions

    published = read_prediction_tail(topic_of([*predictions, *predictions[:3]]), 0)

    assert published == published_by(predictions)
    assert published.places[predictions[-1].symbol] == len(predictions) - 1


def test_predictions_that_were_all_deleted_are_refused() -> None:
    with pytest.raises(Incompatible, match="what was published is unknown"):
        read_prediction_tail(FakeTopicHistory([], end=50, first=50), 0)
