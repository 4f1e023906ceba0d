"""Decide what to append to the log for each kline that arrives. PURE: it decides and does nothing.

The rule of the log: every candle of a symbol once, in open-time order, with a gap record wherever
the exchange itself has no candle. Only pages of REST can prove a gap, since the stream does not
tell what it left out: `page_sequencer.py`.
"""

from dataclasses import dataclass, replace
from typing import Final, Literal

from shared.core.records import Gap, MarketMove, StatusName, SymbolStatus

MAX_EARLY_CANDLES: Final = 32  # of one symbol; what is dropped comes again by REST

Source = Literal["stream", "rest"]


@dataclass(frozen=True, slots=True)
class KlineOrigin:
    """Where a kline came from: its original bytes, the source, the arrival time."""

    original: bytes
    source: Source
    arrival_ms: int


@dataclass(frozen=True, slots=True)
class ReceivedCandle:
    """A closed kline that passed validation, as the bytes of its record.

    The market's move is known only when the record is written, and not part of these bytes.
    """

    symbol: str
    open_time_ms: int
    close: float
    value: bytes
    source: Source
    arrival_ms: int
    market: MarketMove | None = None


@dataclass(frozen=True, slots=True)
class UnreadableKline:
    """A closed kline that failed validation; its open time is None if that is not valid either.

    The open time of one that failed because of it lies off the interval's grid.
    """

    symbol: str
    open_time_ms: int | None
    reason: str
    message: str
    origin: KlineOrigin


@dataclass(frozen=True, slots=True)
class CorrectedCandle:
    """A candle whose earlier value, or whose gap, is in the log already."""

    kind: Literal["amendment", "fill"]
    candle: ReceivedCandle

    @property
    def symbol(self) -> str:
        """The candle's symbol."""
        return self.candle.symbol


ReceivedKline = ReceivedCandle | UnreadableKline
LogEntry = ReceivedCandle | Gap | UnreadableKline | CorrectedCandle | SymbolStatus


@dataclass(frozen=True, slots=True)
class SymbolCursor:
    """Position of one symbol in the log, and what arrived ahead of it.

    Attributes:
        symbol: the symbol.
        next_open_time_ms: open time of the candle that must be appended next.
        is_new: the log has nothing of it, so its first candle may open later without a gap.
        early: candles of the stream that opened after a missing one, ascending.
        status: the symbol's last status when the log was read, if no candle had come after it.
    """

    symbol: str
    next_open_time_ms: int
    is_new: bool = False
    early: tuple[ReceivedCandle, ...] = ()
    status: StatusName | None = None


@dataclass(frozen=True, slots=True)
class Transition:
    """A symbol's next cursor, the entries to append, and the number of duplicates dropped."""

    cursor: SymbolCursor
    entries: tuple[LogEntry, ...] = ()
    stale: int = 0


def on_stream_kline(cursor: SymbolCursor, kline: ReceivedCandle, interval_ms: int) -> Transition:
    """Append the candle that is next, keep one that is early, drop one that the log has."""
    if kline.open_time_ms < cursor.next_open_time_ms:
        return Transition(cursor, stale=1)
    # Of two klines for one candle the newer one counts, as long as none is written.
    early = {each.open_time_ms: each for each in (*cursor.early, kline)}
    ascending = tuple(early[time_ms] for time_ms in sorted(early))[:MAX_EARLY_CANDLES]
    repeated = len(cursor.early) + 1 - len(early)
    return release_early(replace(cursor, early=ascending), (), repeated, interval_ms)


def release_early(
    cursor: SymbolCursor, entries: tuple[LogEntry, ...], stale: int, interval_ms: int
) -> Transition:
    """Append the early candles that follow the cursor without a hole."""
    next_ms, early, ready = cursor.next_open_time_ms, list(cursor.early), list[ReceivedCandle]()
    while early and early[0].open_time_ms <= next_ms:
        kline = early.pop(0)
        if kline.open_time_ms == next_ms:
            ready.append(kline)
            next_ms += interval_ms
        else:
            stale += 1
    if ready:
        cursor = SymbolCursor(cursor.symbol, next_ms)
    return Transition(replace(cursor, early=tuple(early)), (*entries, *ready), stale)
