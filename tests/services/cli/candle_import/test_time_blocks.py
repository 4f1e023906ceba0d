"""Recordings of many symbols come together, in blocks of time."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import pytest

from services.cli.candle_import.time_blocks import RecordingReader, read_time_blocks
from shared.adapters.recording import Block
from tests.support.builders import START_MS, STEP_MS


def a_block(symbol: str, moments: Sequence[int]) -> Block:
    times = START_MS + STEP_MS * np.array(moments, dtype=np.int64)
    return Block(symbol, times, np.ones((len(moments), 5)), None)


def a_reader(symbol: str, *parts: Sequence[int]) -> RecordingReader:
    blocks = [a_block(symbol, part) for part in parts]
    return RecordingReader(symbol, int(blocks[0].open_time_ms[0]), blocks)


def moments_of(readers: Iterable[RecordingReader]) -> list[tuple[int, str]]:
    return [
        ((row.open_time_ms - START_MS) // STEP_MS, row.symbol)
        for block in read_time_blocks(list(readers), STEP_MS)
        for row in block.rows()
    ]


def test_candles_come_by_time_and_then_by_symbol() -> None:
    readers = [a_reader("BBB", [0, 1, 2]), a_reader("AAA", [1, 2], [3, 4])]

    assert moments_of(readers) == [
        (0, "BBB"), (1, "AAA"), (1, "BBB"), (2, "AAA"), (2, "BBB"), (3, "AAA"), (4, "AAA")
    ]  # fmt: skip


def test_no_candle_is_lost_where_blocks_of_files_and_of_time_end() -> None:
    parts = [range(0, 700), range(700, 4_096), range(4_100, 9_000), range(90_000, 90_010)]
    found = moments_of([a_reader("AAA", *parts), a_reader("BBB", range(3, 5_000))])

    expected = [(at, "AAA") for part in parts for at in part]
    assert sorted(found) == sorted([*expected, *((at, "BBB") for at in range(3, 5_000))])
    assert [at for at, _ in found] == sorted(at for at, _ in found)


def test_a_time_without_candles_gives_no_blocks() -> None:
    blocks = list(read_time_blocks([a_reader("AAA", [0], [1_000_000])], STEP_MS))

    assert [len(block.slices) for block in blocks] == [1, 1]


def test_a_recording_is_opened_when_its_time_has_come() -> None:
    opened = []

    def open_late() -> Iterator[Block]:
        opened.append("late")
        yield a_block("AAA", [50_000])

    late = RecordingReader("AAA", START_MS + 50_000 * STEP_MS, open_late())
    blocks = read_time_blocks([a_reader("AAA", [0]), late], STEP_MS)

    next(blocks)
    assert opened == []
    next(blocks)
    assert opened == ["late"]


@pytest.mark.parametrize("symbols", [1, 40, 3_000])
def test_a_block_of_time_holds_a_bounded_number_of_candles(symbols: int) -> None:
    readers = [a_reader(f"S{number}", range(100)) for number in range(symbols)]

    largest = max(
        sum(len(part.closes) for part in block.slices)
        for block in read_time_blocks(readers, STEP_MS)
    )

    assert largest <= 60_000
