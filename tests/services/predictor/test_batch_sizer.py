import pytest

from services.predictor.batch_sizer import (
    BACKLOG_BATCHES,
    CLOSE_RECORDS,
    FIRST_RECORDS,
    GROWTH,
    BatchSizer,
)

LARGEST = 2_000


def sizes_after_full_batches(count: int, largest: int = LARGEST) -> list[int]:
    """The sizes before each of so many full batches, and the one after them."""
    sizer = BatchSizer(largest)
    sizes = [sizer.max_records]
    for _ in range(count):
        sizer.update(sizer.max_records)
        sizes.append(sizer.max_records)
    return sizes


def test_the_first_batch_is_small() -> None:
    assert BatchSizer(LARGEST).max_records == FIRST_RECORDS


def test_full_batches_grow_up_to_the_size_for_a_close() -> None:
    sizes = sizes_after_full_batches(BACKLOG_BATCHES - 1)

    assert sizes[:2] == [FIRST_RECORDS, GROWTH * FIRST_RECORDS]
    assert set(sizes[2:]) == {CLOSE_RECORDS}


def test_full_batches_in_a_row_are_a_backlog_and_grow_to_the_largest() -> None:
    sizes = sizes_after_full_batches(BACKLOG_BATCHES + 10)

    assert sizes[BACKLOG_BATCHES] == LARGEST
    assert sizes[-1] == LARGEST


@pytest.mark.parametrize("records", [0, 1, FIRST_RECORDS - 1])
def test_a_batch_that_is_not_full_ends_a_backlog(records: int) -> None:
    sizer = BatchSizer(LARGEST)
    for _ in range(BACKLOG_BATCHES + 5):
        sizer.update(sizer.max_records)

    sizer.update(records)

    assert sizer.max_records == FIRST_RECORDS
    for _ in range(BACKLOG_BATCHES - 1):
        sizer.update(sizer.max_records)
    assert sizer.max_records == CLOSE_RECORDS


@pytest.mark.parametrize("largest", [1, FIRST_RECORDS - 1, CLOSE_RECORDS - 1, CLOSE_RECORDS + 1])
def test_no_batch_is_larger_than_the_setting_allows(largest: int) -> None:
    assert max(sizes_after_full_batches(BACKLOG_BATCHES + 5, largest)) == largest
