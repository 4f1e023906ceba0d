"""Sequences share memory, and none ever sees what another one appends."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from shared.core.arrays import Float64s
from shared.core.sequence import (
    OPEN_TIME,
    SEQUENCE_LENGTH,
    append_candle,
    candle_row,
    empty_sequence,
)
from tests.support.builders import a_candle


def grow(sequence: Float64s, start: int, count: int, close: float = 100.0) -> Float64s:
    for at in range(start, start + count):
        sequence = append_candle(sequence, a_candle(at, close))
    return sequence


def test_beyond_its_length_the_oldest_candles_are_dropped() -> None:
    sequence = grow(empty_sequence(), 0, SEQUENCE_LENGTH + 200)

    assert len(sequence) == SEQUENCE_LENGTH
    expected = [candle_row(a_candle(at, 100.0)) for at in range(200, SEQUENCE_LENGTH + 200)]
    assert np.array_equal(sequence, np.concatenate(expected), equal_nan=True)


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 100)), max_size=20))
def test_sequences_that_branch_from_each_other_keep_their_candles(
    branches: list[tuple[int, int]],
) -> None:
    """Each pair is (which sequence to grow, by how many candles)."""
    found, expected = [empty_sequence()], [empty_sequence()]
    for close, (chosen, count) in enumerate(branches, start=100):
        before = found[chosen % len(found)]
        found.append(grow(before, len(before), count, float(close)))
        rows = [candle_row(a_candle(len(before) + at, float(close))) for at in range(count)]
        expected.append(np.concatenate([expected[chosen % len(expected)], *rows]))

    for sequence, rows_of_it in zip(found, expected, strict=True):
        kept = rows_of_it[-SEQUENCE_LENGTH:]
        assert np.array_equal(sequence, kept, equal_nan=True)


def test_a_sequence_cannot_be_written_to() -> None:
    assert not grow(empty_sequence(), 0, 2).flags.writeable


def test_a_sequence_that_was_changed_grows_from_what_it_is_now() -> None:
    changed = grow(empty_sequence(), 0, 3).copy()
    changed[1, OPEN_TIME + 1] = 5.0

    after = append_candle(changed, a_candle(3, 100.0))

    assert np.array_equal(after[:3], changed, equal_nan=True)
