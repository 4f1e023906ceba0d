"""When each fault is in force: candle numbers and real seconds to the exchange's time."""

import random
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from math import inf

from services.exchange_simulator.clock import AcceleratedClock
from services.exchange_simulator.faults.script import ScriptedFault


@dataclass(slots=True)
class FaultWindow:
    """A fault and the exchange's times in ms [from_ms, until_ms) in which it is in force."""

    fault: ScriptedFault
    from_ms: float
    until_ms: float
    used: int = 0
    spent: set[object] = field(default_factory=set)  # whom it has met already

    def concerns(self, symbol: str | None, endpoint: str | None) -> bool:
        """Return whether the fault is meant for a symbol and an endpoint; None is any."""
        fault = self.fault
        if symbol is not None and fault.symbols and symbol not in fault.symbols:
            return False
        return endpoint is None or fault.endpoint in ("", endpoint)


class FaultPlan:
    """The faults of a script on an exchange's clock; the same script and seed, the same draws."""

    def __init__(
        self,
        faults: Sequence[ScriptedFault],
        clock: AcceleratedClock,
        interval_ms: int,
        origin_ms: int | None,
    ) -> None:
        """Store the faults.

        Args:
            faults: the script's.
            clock: the exchange's.
            interval_ms: milliseconds of a candle.
            origin_ms: open time of candle number 0; None: `set_origin` will tell it.
        """
        self._faults, self._clock, self._interval_ms = faults, clock, interval_ms
        self._start_ms, self._random = clock.now_ms(), random.Random(0)
        self._first_ms = self._next_open_ms(self._start_ms)
        self.origin_ms = origin_ms
        self._windows: list[FaultWindow] = []
        self._current: dict[str, list[FaultWindow]] = {}
        self._changes_ms = inf
        self._place(each for each in faults if each.at is None or origin_ms is not None)

    def set_origin(self, now_ms: int) -> None:
        """Number the candles from the first one that opens after now, if they are not yet."""
        if self.origin_ms is None:
            self.origin_ms = self._next_open_ms(now_ms)
            self._place(each for each in self._faults if each.at is not None)

    def windows(self, kinds: Iterable[str]) -> list[FaultWindow]:
        """Return all windows of some kinds, past and future."""
        wanted = set(kinds)
        return [each for each in self._windows if each.fault.kind in wanted]

    def unplaced(self, kind: str) -> list[ScriptedFault]:
        """Return the faults of a kind whose candles are not numbered yet."""
        if self.origin_ms is not None:
            return []
        return [each for each in self._faults if each.kind == kind and each.at is not None]

    def find(
        self,
        kind: str,
        symbol: str | None = None,
        endpoint: str | None = None,
        *,
        once_for: object = None,
    ) -> ScriptedFault | None:
        """Return a fault of a kind that is in force now, and count its use.

        Args:
            kind: the kind.
            symbol: the symbol that it must concern; None: any.
            endpoint: the REST endpoint that it must concern; None: any.
            once_for: what the fault meets only once, such as a connection.
        """
        for window in self._in_force().get(kind, ()):
            if window.concerns(symbol, endpoint) and self._use(window, once_for):
                return window.fault
        return None

    def open_times_ms(self, fault: ScriptedFault) -> tuple[float, float]:
        """Return the open times [from, until) of the candles that a fault names; all if none."""
        if fault.candles is None:
            return -inf, inf
        zero_ms = self._first_ms if fault.at is None else (self.origin_ms or 0)
        first, until = (zero_ms + number * self._interval_ms for number in fault.candles)
        return first, until

    def _next_open_ms(self, now_ms: int) -> int:
        return -(-now_ms // self._interval_ms) * self._interval_ms

    def _use(self, window: FaultWindow, once_for: object) -> bool:
        times = window.fault.times
        if (times is not None and window.used >= times) or once_for in window.spent:
            return False
        if window.fault.share < 1 and self._random.random() >= window.fault.share:
            return False
        window.used += 1
        if once_for is not None:
            window.spent.add(once_for)
        return True

    def _in_force(self) -> dict[str, list[FaultWindow]]:
        now_ms = self._clock.now_ms()
        if now_ms >= self._changes_ms:
            self._current = defaultdict(list)
            for window in self._windows:
                if window.from_ms <= now_ms < window.until_ms:
                    self._current[window.fault.kind].append(window)
            edges = (edge for each in self._windows for edge in (each.from_ms, each.until_ms))
            self._changes_ms = min((edge for edge in edges if edge > now_ms), default=inf)
        return self._current

    def _place(self, faults: Iterator[ScriptedFault]) -> None:
        for fault in faults:
            from_ms: float = self._start_ms
            if fault.at is not None and self.origin_ms is not None:
                from_ms = self.origin_ms + fault.at * self._interval_ms
            length_ms = inf
            if fault.for_s is not None:
                length_ms = fault.for_s * 1000 * self._clock.speed
            elif fault.for_candles is not None:
                length_ms = fault.for_candles * self._interval_ms
            self._windows.append(FaultWindow(fault, from_ms, from_ms + length_ms))
        self._changes_ms = -inf
