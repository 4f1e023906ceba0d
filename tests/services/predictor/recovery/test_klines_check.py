import pytest

from services.predictor.recovery.klines_check import choose_next_offset
from services.predictor.recovery.prediction_tail import PublishedTail
from shared.core.errors import Incompatible
from tests.support.partition_log import SHORT, process_all, published_by


def test_nothing_that_was_predicted_is_predicted_again() -> None:
    published = published_by(process_all(SHORT[:70]).predictions)

    assert choose_next_offset(None, published, (0, 100), 0) == 70
    assert choose_next_offset(64, published, (0, 100), 0) == 70
    assert choose_next_offset(80, published, (0, 100), 0) == 80
    assert choose_next_offset(None, PublishedTail({}), (0, 100), 0) == 0


def test_klines_shorter_than_what_was_read_of_them_are_refused() -> None:
    with pytest.raises(Incompatible, match="read up to offset 50, its klines end at 10"):
        choose_next_offset(50, PublishedTail({}), (0, 10), 0)


def test_klines_whose_next_record_was_deleted_are_refused() -> None:
    with pytest.raises(Incompatible, match="read up to offset 5, its klines begin at 8"):
        choose_next_offset(5, PublishedTail({}), (8, 10), 0)
