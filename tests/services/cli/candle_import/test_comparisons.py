"""What files have in common with each other and with the log decides what is written."""

from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from services.cli.candle_import.file_comparison import leave_out_contradictions
from services.cli.candle_import.file_selection import FileSelection, SymbolFile
from services.cli.candle_import.log_comparison import compare_with_log
from services.cli.candle_import.log_contents import LoggedSymbol, collect_contents
from services.cli.candle_import.market_history import LoggedMarket
from shared.adapters.dump_validation import RowPosition
from shared.adapters.recording import Block
from shared.adapters.spool import Spool
from shared.core.records import Amendment, Candle, Fill, Gap, Record
from tests.support.builders import START_MS, STEP_MS

SYMBOL = "BTCUSDT"
# Closes by the number of the moment: 1 is the value that all agree on.
CLOSES = st.dictionaries(st.integers(0, 30), st.sampled_from([1.0, 1.0, 1.0, 2.0]), min_size=1)


def a_file(name: str, closes: dict[int, float]) -> SymbolFile:
    moments = sorted(closes)
    times = START_MS + STEP_MS * np.array(moments, dtype=np.int64)
    numbers = np.array([[1.0, 9.0, 0.5, closes[at], 5.0] for at in moments])
    path, rows = Path(name), np.arange(1, len(moments) + 1)
    position = RowPosition(path, STEP_MS, SYMBOL, "line", rows)
    # In two blocks, as a long file is.
    halves = [slice(None, len(moments) // 2), slice(len(moments) // 2, None)]
    blocks = [
        Block(
            SYMBOL,
            times[half],
            numbers[half],
            None,
            None,
            RowPosition(path, STEP_MS, SYMBOL, "line", position.numbers[half]),
        )
        for half in halves
        if len(times[half])
    ]
    return SymbolFile(path, SYMBOL, int(times[0]), int(times[-1]), blocks)


def moments(times: Collection[int]) -> list[int]:
    return sorted((time - START_MS) // STEP_MS for time in times)


@given(st.lists(CLOSES, min_size=1, max_size=5))
def test_files_are_left_out_only_in_contradicting_pairs_and_the_others_agree(
    closes: Sequence[dict[int, float]],
) -> None:
    files = [a_file(f"{number}.csv", each) for number, each in enumerate(closes)]
    selection = FileSelection(files=list(files))

    leave_out_contradictions(selection, STEP_MS)

    by_path = {file.path: each for file, each in zip(files, closes, strict=True)}
    kept = [by_path[file.path] for file in selection.files]
    for at in range(31):
        assert len({each[at] for each in kept if at in each}) <= 1
    for skipped in selection.left_out:
        own = by_path[skipped.path]
        rivals = [each for path, each in by_path.items() if path != skipped.path]
        assert any(own[at] != each[at] for each in rivals for at in own.keys() & each.keys())
        assert f"{skipped.path} line" in skipped.message


@given(CLOSES, CLOSES, st.integers(0, 12), st.integers(13, 31), st.booleans())
def test_each_candle_of_a_file_is_new_known_a_fill_an_amendment_or_older(
    closes: dict[int, float],
    logged: dict[int, float],
    first: int,
    end: int,
    amend: bool,
) -> None:
    logged = {at: close for at, close in logged.items() if first < at < end - 1}
    logged |= {first: 1.0, end - 1: 1.0}
    rows = [[START_MS + at * STEP_MS, 1.0, 9.0, 0.5, logged[at], 5.0] for at in sorted(logged)]
    candles = np.array([[*row, np.nan, np.nan, np.nan] for row in rows])
    holes = [at for at in range(first, end) if at not in logged]
    gaps = [(START_MS + at * STEP_MS, START_MS + (at + 1) * STEP_MS) for at in holes]
    selection = FileSelection(files=[a_file("a.csv", closes)])

    found = compare_with_log(
        selection,
        {SYMBOL: LoggedSymbol(candles, gaps)},
        {SYMBOL: START_MS + end * STEP_MS},
        amend=amend,
    )

    differing = [at for at in closes.keys() & logged.keys() if closes[at] != logged[at]]
    older = [at for at in closes if at < first]
    is_left_out = len(older) == len(closes) or (bool(differing) and not amend)
    assert bool(selection.left_out) == is_left_out
    if not is_left_out:
        assert moments(found.fills.times(SYMBOL)) == [at for at in holes if at in closes]
        assert moments(found.amendments.times(SYMBOL)) == sorted(differing)
        assert moments(found.older.times(SYMBOL)) == sorted(older)


def a_candle(at: int, close: float = 1.0, symbol: str = SYMBOL) -> Candle:
    return Candle(symbol, START_MS + at * STEP_MS, 1.0, 9.0, 0.5, close, 5.0)


def test_fills_and_amendments_are_part_of_what_the_log_has() -> None:
    gap = Gap(SYMBOL, START_MS + STEP_MS, START_MS + 3 * STEP_MS)
    records: list[Record] = [
        a_candle(0),
        gap,
        a_candle(3),
        Fill(a_candle(2)),
        Amendment(a_candle(0, 2.0)),
        Amendment(a_candle(2, 3.0)),
        a_candle(0, symbol="ETHUSDT"),
    ]

    with Spool() as spool:
        market = LoggedMarket(START_MS, STEP_MS)
        contents = collect_contents(records, {SYMBOL}, market, spool)
        (symbol,) = contents.symbols.values()

    assert moments(symbol.candles[:, 0].astype(int).tolist()) == [0, 2, 3]
    assert symbol.candles[:, 4].tolist() == [2.0, 3.0, 1.0]
    assert list(symbol.gaps) == [(gap.from_open_time_ms, gap.until_open_time_ms)]
