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


def test_something_else_on_the_predictions_topic_is_refused() -> None:
    with pytest.raises(Incompatible, match="is no prediction"):
        read_prediction_tail(FakeTopicHistory([ConsumerRecord(0, 0, 0, b"x", b"{}")]), 0)


def test_predictions_that_were_all_deleted_are_refused() -> None:
    with pytest.raises(Incompatible, match="what was published is unknown"):
        read_prediction_tail(FakeTopicHistory([], end=50, first=50), 0)
