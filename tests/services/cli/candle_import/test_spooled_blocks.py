"""Blocks of candles come back from a spool as they were, however they were cut."""

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.cli.candle_import.file_selection import FileSelection
from services.cli.candle_import.spooled_blocks import SpooledBlocks, join_blocks
from services.cli.candle_import.time_blocks import read_time_blocks
from shared.adapters.candle_files import find_recordings
from shared.adapters.dump_validation import RowPosition
from shared.adapters.recording import Block
from shared.adapters.spool import Spool
from tests.support.builders import START_MS, STEP_MS

SIZES = st.lists(st.integers(1, 300), min_size=1, max_size=6)


def a_block(first: int, size: int, *, has_lines: bool, has_optional: bool) -> Block:
    rng = np.random.default_rng(first)
    rows = np.arange(first, first + size)
    return Block(
        "BTCUSDT",
        START_MS + rows * STEP_MS,
        rng.random((size, 5)),
        [f"{row},1,2,0.5,1.50,1,{row},1,1,1,1,0" for row in rows] if has_lines else None,
        np.where(rng.random((size, 4)) < 0.5, np.nan, 1.5) if has_optional else None,
        RowPosition(Path("a.csv"), STEP_MS, "BTCUSDT", "line", rows + 2),
    )


@given(SIZES, st.booleans(), st.booleans())
def test_blocks_come_back_as_they_were(
    sizes: list[int], has_lines: bool, has_optional: bool
) -> None:
    firsts = np.cumsum([0, *sizes[:-1]]).tolist()
    blocks = [
        a_block(first, size, has_lines=has_lines, has_optional=has_optional)
        for first, size in zip(firsts, sizes, strict=True)
    ]
    with Spool() as spool:
        spooled = SpooledBlocks(spool)
        for block in blocks:
            spooled.append(block)
        spooled.flush()
        found, again = join_blocks(list(spooled)), join_blocks(list(spooled))

    whole = join_blocks(blocks)
    assert (spooled.first_ms, spooled.last_ms) == (START_MS, START_MS + (sum(sizes) - 1) * STEP_MS)
    assert list(found.rows()) == list(whole.rows()) == list(again.rows())
    assert found.numbers.tobytes() == whole.numbers.tobytes()
    assert [found.place(at) for at in range(sum(sizes))] == [
        whole.place(at) for at in range(sum(sizes))
    ]


def a_dump(path: Path, candles: int) -> None:
    times = [START_MS + at * STEP_MS for at in range(candles)]
    path.write_text("".join(f"{at},1,1,1,1,1,{at + STEP_MS - 1},1,1,1,1,0\n" for at in times))


@pytest.mark.parametrize("files", [1, 100])
def test_files_of_one_time_need_one_descriptor_together(tmp_path: Path, files: int) -> None:
    for number in range(files):
        a_dump(tmp_path / f"S{number}USDT-5m.csv", 300)
    before, selection = len(os.listdir("/proc/self/fd")), FileSelection()

    with Spool() as spool:
        list(selection.inspect(find_recordings([tmp_path]), spool))
        for _ in read_time_blocks(selection.readers(), STEP_MS):
            assert len(os.listdir("/proc/self/fd")) <= before + 1
