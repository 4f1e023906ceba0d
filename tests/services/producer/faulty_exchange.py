"""An exchange of a few symbols whose REST service errs in every way a page can be wrong."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from services.producer.backfill.sequencer import (
    KlineOrigin,
    ReceivedCandle,
    ReceivedKline,
    UnreadableKline,
)
from services.producer.events import RestFailure, RestResponse
from services.producer.finality.clock_estimate import ClockReading
from services.producer.rest.requests import KlineRequest

STEP_MS: Final = 10_000  # so that minutes of real time are tens of candles
MAX_ROWS: Final = 30

Rows = list[ReceivedKline]
Fault = Callable[[Rows, int], Rows]


def a_candle(symbol: str, at: int, close: float = 1.0) -> ReceivedCandle:
    return ReceivedCandle(symbol, at * STEP_MS, close, f"{close}".encode(), "rest", 0)


def garble(row: ReceivedKline, open_ms: int | None) -> UnreadableKline:
    origin = KlineOrigin(b"nonsense", "rest", 0)
    return UnreadableKline(row.symbol, open_ms, "bad_field", "nonsense", origin)


def _without_some(rows: Rows, n: int) -> Rows:
    """Lack a few candles, the same ones however often they are requested."""
    return [row for row in rows if ((row.open_time_ms or 0) // STEP_MS + n) % 5]


def _garbled(rows: Rows, n: int) -> Rows:
    return [
        garble(row, row.open_time_ms) if (row.open_time_ms or 0) // STEP_MS % 3 == n % 3 else row
        for row in rows
    ]


def _of_an_hour(rows: Rows, n: int) -> Rows:
    return [garble(row, row.open_time_ms) for row in rows[::3]]


def _of_a_second(rows: Rows, n: int) -> Rows:
    first_ms = (rows[0].open_time_ms or 0) if rows else 0
    seconds = range(0, STEP_MS * len(rows), STEP_MS // 10)
    return [replace(row, open_time_ms=first_ms + ms) for row in rows[:1] for ms in seconds]


def _contradicting(rows: Rows, n: int) -> Rows:
    return [*rows, *(a_candle(row.symbol, (row.open_time_ms or 0) // STEP_MS, 9.0) for row in rows)]


FAULTS: Final[Mapping[str, Fault]] = {
    "lacks candles": _without_some,
    "garbles": _garbled,
    "has rows without a time": lambda rows, n: [
        garble(row, None) if at % 4 == n % 4 else row for at, row in enumerate(rows)
    ],
    "descends": lambda rows, _: rows[::-1],
    "begins late": lambda rows, n: rows[n % 7 :],
    "lacks all but the first": lambda rows, _: rows[:1],
    "ends early": lambda rows, n: rows[: len(rows) - n % 7],
    "repeats": lambda rows, n: [*rows, *rows[n % 3 :]],
    "contradicts itself": _contradicting,
    "answers for a longer interval": _of_an_hour,
    "answers for a shorter interval": _of_a_second,
    "is empty": lambda _rows, _n: [],
}
ALL_FAULTS: Final = (*FAULTS, "ignores the start", "fails", "never answers", "none")


@dataclass
class FaultyExchange:
    """The truth, and REST's answers.

    Attributes:
        listed: by symbol, the numbers of the candles that there are.
        off_grid: by symbol, the numbers of the candles in whose time a row off the grid opens.
    """

    listed: Mapping[str, Collection[int]]
    off_grid: Mapping[str, Collection[int]] = field(default_factory=dict)

    def closed(self, symbol: str, now_ms: int) -> list[int]:
        """Return the numbers of the candles that have closed."""
        return sorted(at for at in self.listed[symbol] if (at + 1) * STEP_MS <= now_ms)

    def answer(
        self, request: KlineRequest, asked: ClockReading, fault: str = "none", n: int = 0
    ) -> RestResponse | RestFailure | None:
        """Return the answer to a request; None if it is lost."""
        if fault == "never answers":
            return None
        if fault == "fails":
            return RestFailure(request.symbol, "HTTP 503")
        first_ms = 0 if fault == "ignores the start" else request.from_ms - STEP_MS
        sent = self._rows(request.symbol, asked.now_ms)
        rows = [row for row in sent if _opens(row) >= first_ms]
        if request.until_ms is not None:
            rows = [row for row in rows if _opens(row) < request.until_ms]
        has_more = len(rows) >= MAX_ROWS
        rows = rows[-MAX_ROWS:] if fault == "ignores the start" else rows[:MAX_ROWS]
        if fault in FAULTS:
            rows = FAULTS[fault](rows, n)
        return RestResponse(
            request.symbol,
            request.from_ms,
            rows,
            has_more,
            asked.closed_ms // STEP_MS * STEP_MS,
            request.until_ms,
            priority=request.priority,
            asked=asked,
        )

    def _rows(self, symbol: str, now_ms: int) -> Sequence[ReceivedKline]:
        """Return all rows, the last one of the open candle."""
        candles: Rows = [a_candle(symbol, at) for at in self.closed(symbol, now_ms)]
        if now_ms // STEP_MS in self.listed[symbol]:
            candles.append(a_candle(symbol, now_ms // STEP_MS, 1 + now_ms % STEP_MS / STEP_MS))
        others: Rows = [
            garble(a_candle(symbol, at), at * STEP_MS + 789)
            for at in self.off_grid.get(symbol, ())
            if (at + 2) * STEP_MS < now_ms
        ]
        return sorted([*candles, *others], key=_opens)


def _opens(row: ReceivedKline) -> int:
    return row.open_time_ms or 0
