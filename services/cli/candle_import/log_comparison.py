"""Compare the files of an import with the log's candles of their span."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from services.cli.candle_import.file_comparison import block_values, describe_difference, differ
from services.cli.candle_import.file_selection import FileSelection, SymbolFile
from services.cli.candle_import.log_contents import LoggedSymbol
from shared.adapters.recording import Block
from shared.core.arrays import Float64s
from shared.core.errors import BadInput
from shared.core.sequence import OPEN, OPEN_TIME, TAKER_BUY_VOLUME

_LOGGED: Final = slice(OPEN, TAKER_BUY_VOLUME + 1)  # columns of a sequence that a file has too
_COMPARED: Final = 8  # so many of a block's numbers are the same


@dataclass(slots=True)
class _Comparison:
    """What a file has that the log has not: open times in ms."""

    fills: list[int] = field(default_factory=list)
    differing: list[int] = field(default_factory=list)
    older: list[int] = field(default_factory=list)
    difference: str = ""  # the first one
    candles: int = 0  # compared: those from the log's end on need not be


@dataclass(slots=True)
class Corrections:
    """The candles of the files that the log lacks before its end: open times in ms, by symbol."""

    fills: dict[str, set[int]] = field(default_factory=dict)
    amendments: dict[str, set[int]] = field(default_factory=dict)
    older: dict[str, set[int]] = field(default_factory=dict)  # not written

    def add(self, symbol: str, found: _Comparison) -> None:
        """Add a file's corrections, and its candles from before the log."""
        self.fills.setdefault(symbol, set()).update(found.fills)
        self.amendments.setdefault(symbol, set()).update(found.differing)
        self.older.setdefault(symbol, set()).update(found.older)


def compare_with_log(
    selection: FileSelection,
    symbols: Mapping[str, LoggedSymbol],
    log_ends_ms: Mapping[str, int],
    *,
    amend: bool,
) -> Corrections:
    """Return the corrections of the log; leave out files that contradict or predate it.

    Args:
        selection: the files.
        symbols: what the log has.
        log_ends_ms: by symbol: the open time that its log must continue with.
        amend: values that differ from the log's amend it, and are no contradiction.

    Raises:
        BadInput: a required file would be left out.
    """
    corrections = Corrections()
    for file in list(selection.files):
        if file.first_ms < log_ends_ms.get(file.symbol, 0):
            logged = symbols.get(file.symbol, LoggedSymbol())
            found = _compare(file, logged, log_ends_ms[file.symbol])
            error = _judge(selection, file, found, amend=amend)
            if error is not None:
                selection.leave_out([file.path], error)
            else:
                corrections.add(file.symbol, found)
    return corrections


def _compare(file: SymbolFile, logged: LoggedSymbol, ends_ms: int) -> _Comparison:
    found = _Comparison()
    for block in file.open_blocks():
        if block.open_time_ms[0] >= ends_ms:
            break
        _compare_block(block, logged, ends_ms, found)
    return found


def _compare_block(block: Block, logged: LoggedSymbol, ends_ms: int, found: _Comparison) -> None:
    times, log_times = block.open_time_ms, logged.candles[:, OPEN_TIME]
    # 1. The candles that both have, by their rows in each.
    places = np.searchsorted(log_times, times)
    is_there = np.isin(times, log_times)
    rows = np.flatnonzero(is_there)
    theirs = logged.candles[places[rows], _LOGGED]
    wrong = np.flatnonzero(differ(block_values(block)[rows, :_COMPARED], theirs))
    if len(wrong) and not found.difference:
        at = int(wrong[0])
        found.difference = _difference(block, int(rows[at]), theirs[at])
    # 2. Those that the log lacks before its end.
    is_missing = ~is_there & (times < ends_ms)
    in_gap = is_missing & _in_spans(times, logged.gaps)
    found.fills += times[in_gap].tolist()
    found.older += times[is_missing & ~in_gap].tolist()
    found.differing += times[rows[wrong]].tolist()
    found.candles += len(times)


def _difference(block: Block, at: int, logged: Float64s) -> str:
    ours, theirs = describe_difference(block_values(block)[at, :_COMPARED], logged)
    return f"has {ours} in {block.place(at)}, and {theirs} in the log"


def _in_spans(times: NDArray[np.int64], spans: Collection[tuple[int, int]]) -> NDArray[np.bool_]:
    inside = np.zeros(len(times), dtype=bool)
    for first_ms, until_ms in spans:
        inside |= (times >= first_ms) & (times < until_ms)
    return inside


def _judge(
    selection: FileSelection, file: SymbolFile, found: _Comparison, *, amend: bool
) -> BadInput | None:
    """Return why a file must be left out; None if it need not."""
    if found.older:
        error = _older(file, found)
        is_all = len(found.older) == found.candles and found.older[-1] == file.last_ms
        if is_all or file.path in selection.required:
            return error
        selection.set_rows_aside(file.path, error, len(found.older))
    if not found.differing or amend:
        return None
    message = (
        f"candle of {file.symbol} at open time {found.differing[0]} ms {found.difference}; candles"
        f" that differ: {len(found.differing)}. The log keeps what it has: leave the file out, or"
        " amend the log with --amend"
    )
    return BadInput("contradicts_log", message)


def _older(file: SymbolFile, found: _Comparison) -> BadInput:
    message = (
        f"{file.path}: {len(found.older)} candles of {file.symbol}, such as that at open time"
        f" {found.older[0]} ms, are older than the first one in the log, and in none of its gaps;"
        " the log only grows at its end: import history into a new deployment (TOPIC_PREFIX) before"
        " anything else"
    )
    return BadInput("older_than_the_log", message)
