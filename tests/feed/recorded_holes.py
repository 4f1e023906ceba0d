"""Find the holes that recordings share: the outages of an exchange."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from shared.adapters.candle_files import find_recordings, read_blocks


class RecordedHole(NamedTuple):
    """Open times [from_ms, until_ms) at which no recording has a candle."""

    from_ms: int
    until_ms: int


def find_holes(folder: Path, step_ms: int) -> list[RecordedHole]:
    """Return the spans between the first and the last candle in which no symbol has one."""
    recordings = [each for each in find_recordings([folder]) if each.interval_ms == step_ms]
    times = [block.open_time_ms for each in recordings for block in read_blocks(each)]
    known = np.unique(np.concatenate(times))
    before = np.flatnonzero(np.diff(known) > step_ms)
    return [RecordedHole(int(known[at]) + step_ms, int(known[at + 1])) for at in before.tolist()]
