"""Compare the files of an import with the log's candles of their span."""

from array import array
from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from operator import attrgetter
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

    fills: "array[int]" = field(default_factory=lambda: array("q"))
    differing: "array[int]" = field(default_factory=lambda: array("q"))
    older: "array[int]" = field(default_factory=lambda: array("q"))
    difference: str = ""  # the first one
    candles: int = 0  # compared: those from the log's end on need not be


class OpenTimes:
    """Open times in ms of each symbol, which are looked for in the order of time."""

    def __init__(self) -> None:
        """Begin without any."""
        self._parts: dict[str, array[int]] = {}
        self._ascending: dict[str, tuple[array[int], int]] = {}  # with the place of the next one

    def add(self, symbol: str, times: Iterable[int]) -> None:
        """Add open times of a symbol, before the first is looked for."""
        self._parts.setdefault(symbol, array("q")).extend(times)

    def times(self, symbol: str) -> Sequence[int]:
        """Return those of a symbol, ascending."""
        return self._open(symbol)[0]

    def has(self, symbol: str, time_ms: int) -> bool:
        """Say whether an open time is there; it is not before the one looked for last."""
        times, at = self._skip_to(symbol, time_ms)
        return at < len(times) and times[at] == time_ms

    def take(self, symbol: str, time_ms: int) -> bool:
        """Say whether an open time is there, and remove it."""
        is_there = self.has(symbol, time_ms)
        if is_there:
            times, at = self._ascending[symbol]
            self._ascending[symbol] = times, at + 1
        return is_there

    def any_through(self, symbol: str, time_ms: int) -> bool:
        """Say whether an open time is left up to, and with, this one."""
        times, at = self._open(symbol)
        return at < len(times) and times[at] <= time_ms

    def _skip_to(self, symbol: str, time_ms: int) -> "tuple[array[int], int]":
        times, at = self._open(symbol)
        at = bisect_left(times, time_ms, at)
        self._ascending[symbol] = times, at
        return times, at

    def _open(self, symbol: str) -> "tuple[array[int], int]":
        if symbol not in self._ascending:
            times = np.unique(np.array(self._parts.pop(symbol, ()), dtype=np.int64))
            self._ascending[symbol] = array("q", times.tobytes()), 0
        return self._ascending[symbol]


@dataclass(frozen=True, slots=True)
class Corrections:
    """The candles of the files that the log lacks before its end."""

    fills: OpenTimes = field(default_factory=OpenTimes)
    amendments: OpenTimes = field(default_factory=OpenTimes)
    older: OpenTimes = field(default_factory=OpenTimes)  # not written

    def add(self, symbol: str, found: _Comparison) -> None:
        """Add a file's corrections, and its candles from before the log."""
        self.fills.add(symbol, found.fills)
        self.amendments.add(symbol, found.differing)
        self.older.add(symbol, found.older)

    def any_through(self, symbol: str, time_ms: int) -> bool:
        """Say whether a candle of a symbol needs a look, up to this open time."""
        kinds = (self.fills, self.amendments, self.older)
        return any(times.any_through(symbol, time_ms) for times in kinds)


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
    for file, logged in _overlapping(selection.files, symbols, log_ends_ms):
        found = _compare(file, logged, log_ends_ms[file.symbol])
        error = _judge(selection, file, found, amend=amend)
        if error is not None:
            selection.leave_out([file.path], error)
        else:
            corrections.add(file.symbol, found)
    return corrections


def _overlapping(
    files: Iterable[SymbolFile],
    symbols: Mapping[str, LoggedSymbol],
    log_ends_ms: Mapping[str, int],
) -> Iterator[tuple[SymbolFile, LoggedSymbol]]:
    """Yield the files that begin before the log's end, with the logged records of their symbol."""
    overlapping = [file for file in files if file.first_ms < log_ends_ms.get(file.symbol, 0)]
    by_symbol = attrgetter("symbol")
    # The files of a symbol together: its part of the log is read once, and held no longer.
    for symbol, of_symbol in groupby(sorted(overlapping, key=by_symbol), by_symbol):
        logged = symbols.get(symbol, LoggedSymbol())
        for file in of_symbol:
            yield file, logged


def _compare(file: SymbolFile, logged: LoggedSymbol, ends_ms: int) -> _Comparison:
    found = _Comparison()
    for block in file.blocks:
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
    found.fills.extend(times[in_gap].tolist())
    found.older.extend(times[is_missing & ~in_gap].tolist())
    found.differing.extend(times[rows[wrong]].tolist())
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
