"""A market in which a script makes holes, listings, halts and delistings: this is the truth."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import inf
from typing import Final

from services.exchange_simulator.faults.kinds import MARKET
from services.exchange_simulator.faults.plan import FaultPlan, FaultWindow
from services.exchange_simulator.market import Market
from shared.adapters.recording import CandleRow

TRADING: Final = "TRADING"
BREAK: Final = "BREAK"
GONE: Final = "gone"


@dataclass(frozen=True, slots=True)
class StatusChange:
    """From this moment on, a symbol has this status; `gone`: the exchange does not know it."""

    time_ms: int
    status: str


class ScriptedMarket:
    """The candles of another market without those that a script takes away."""

    def __init__(self, market: Market, interval_ms: int) -> None:
        """Show the whole market until `follow` gives a plan."""
        self._market, self._interval_ms = market, interval_ms
        self._known = frozenset(market.symbols)
        self._plan: FaultPlan | None = None
        self._is_read = False
        self._origin_ms: int | None = None
        self._removed: dict[str, list[range]] = defaultdict(list)  # numbers in the inner market
        self._late: dict[str, list[tuple[int, float, float]]] = defaultdict(list)
        self._changes: dict[str, list[StatusChange]] = defaultdict(list)

    def follow(self, plan: FaultPlan) -> None:
        """Take the market's events from a plan; read them again when its origin is known."""
        self._plan = plan
        self._read_plan()

    @property
    def symbols(self) -> tuple[str, ...]:
        """All symbols, those that are not listed yet and those that are gone too."""
        return self._market.symbols

    @property
    def begin_ms(self) -> int:
        """The first open time of all symbols, in milliseconds."""
        return self._market.begin_ms

    @property
    def end_ms(self) -> int | None:
        """The end of the last candle in milliseconds; None if the market never ends."""
        return self._market.end_ms

    def find(self, symbol: str, from_ms: int, until_ms: int) -> range:
        """Return the numbers of the candles that open in [from_ms, until_ms)."""
        self._read_plan()
        inner = self._market.find(symbol, from_ms, until_ms)
        removed = self._removed.get(symbol)
        if not removed:
            return inner
        return range(_outer(removed, inner.start), _outer(removed, inner.stop))

    def rows(self, symbol: str, numbers: range) -> Iterator[CandleRow]:
        """Yield the candles with these numbers."""
        removed, late = self._removed.get(symbol, []), self._late.get(symbol, ())
        for inner in _inner(removed, numbers):
            for row in self._market.rows(symbol, inner):
                yield _moved(row, late)

    def status(self, symbol: str, now_ms: int) -> str:
        """Return a symbol's status at a time: TRADING, BREAK or another, or `gone`."""
        self._read_plan()
        status = TRADING if symbol in self._known else GONE
        for change in self._changes.get(symbol, ()):
            if change.time_ms <= now_ms:
                status = change.status
        return status

    def changes(self, symbol: str) -> list[StatusChange]:
        """Return a symbol's changes of status, ascending."""
        self._read_plan()
        return self._changes.get(symbol, [])

    def _read_plan(self) -> None:
        if self._plan is None or (self._is_read and self._plan.origin_ms == self._origin_ms):
            return
        self._is_read, self._origin_ms = True, self._plan.origin_ms
        for scripted in (self._removed, self._late, self._changes):
            scripted.clear()
        for window in self._plan.windows(MARKET):
            for symbol in window.fault.symbols or self.symbols:
                self._apply(symbol, window)
        for fault in self._plan.unplaced("listing"):
            for symbol in fault.symbols or self.symbols:
                self._changes[symbol].append(StatusChange(0, GONE))
                self._remove(symbol, 0, inf)
        for symbol in self._removed:
            self._removed[symbol] = _joined(self._removed[symbol])
            self._changes[symbol].sort(key=lambda change: change.time_ms)

    def _apply(self, symbol: str, window: FaultWindow) -> None:
        kind, (begin_ms, end_ms) = window.fault.kind, self._span_ms(window)
        status = str(window.fault.value or BREAK)
        changes = self._changes[symbol]
        if kind == "off-grid":
            self._late[symbol].append((begin_ms, end_ms, window.fault.seconds or 14.789))
        elif kind == "listing":
            changes += [StatusChange(0, GONE), StatusChange(begin_ms, TRADING)]
            self._remove(symbol, 0, begin_ms)
        else:
            self._remove(symbol, begin_ms, end_ms)
        if kind in ("halt", "delisting"):
            changes.append(StatusChange(begin_ms, status))
        if kind == "halt" and end_ms < inf:
            changes.append(StatusChange(int(end_ms), TRADING))

    def _span_ms(self, window: FaultWindow) -> tuple[int, float]:
        """Return the open times [from, until) of the candles that an event concerns."""
        if window.fault.candles is None or self._plan is None:
            return int(max(window.from_ms, 0)), window.until_ms
        first_ms, until_ms = self._plan.open_times_ms(window.fault)
        return int(first_ms), until_ms

    def _remove(self, symbol: str, from_ms: int, until_ms: float) -> None:
        # A candle that has opened when trading ends is closed as it stands.
        end_ms = 2**53 if until_ms == inf else int(until_ms)
        numbers = self._market.find(symbol, from_ms, end_ms)
        if numbers:
            self._removed[symbol].append(numbers)


def _joined(ranges: Sequence[range]) -> list[range]:
    """Return the same numbers as ascending ranges that do not touch."""
    joined: list[range] = []
    for each in sorted(ranges, key=lambda one: one.start):
        if joined and each.start <= joined[-1].stop:
            joined[-1] = range(joined[-1].start, max(joined[-1].stop, each.stop))
        else:
            joined.append(each)
    return joined


def _outer(removed: Sequence[range], number: int) -> int:
    """Return how many numbers below an inner one are left."""
    return number - sum(
        min(number, each.stop) - each.start for each in removed if each.start < number
    )


def _inner(removed: Sequence[range], numbers: range) -> Iterator[range]:
    """Yield the inner numbers of outer ones, as ranges."""
    starts = [_outer(removed, each.start) for each in removed]
    begin = numbers.start
    while begin < numbers.stop:
        passed = bisect_right(starts, begin)
        shift = sum(len(each) for each in removed[:passed])
        end = min(numbers.stop, starts[passed]) if passed < len(starts) else numbers.stop
        yield range(begin + shift, end + shift)
        begin = end


def _moved(row: CandleRow, late: Sequence[tuple[int, float, float]]) -> CandleRow:
    for begin_ms, end_ms, seconds in late:
        if begin_ms <= row.open_time_ms < end_ms:
            return row._replace(open_time_ms=row.open_time_ms + int(seconds * 1000))
    return row
