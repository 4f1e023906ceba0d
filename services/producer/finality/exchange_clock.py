"""The exchange's clock, as far as this process can know it: one for all threads."""

import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from statistics import median_low
from typing import Final, Literal

from services.producer.finality.clock_estimate import (
    AGREEMENT_MS,
    MIN_RATE_SAMPLES,
    ClockReading,
    ClockSample,
    choose_trusted,
    estimate_rate,
    fits_rows,
    offset_of_readings,
    offset_of_stream,
    tolerance_ms,
)

log = logging.getLogger(__name__)

LAST_MS: Final = 253_402_300_799_999  # of the year 9999: microseconds are beyond it
EARLY_READINGS: Final = 5  # of REST's clock, one soon after the other
KEPT_READINGS, KEPT_FOR_OFFSET, KEPT_EVENTS, KEPT_ROWS = 16, 5, 256, 5
PACE_S: Final = 0.2  # between two events that the rate is measured with
WARM_UP_S: Final = 10.0  # of a process whose clock is not known well yet: every time is believed
REST_FRESH_S, STREAM_FRESH_S = 120.0, 10.0
ESTIMATE_S: Final = 0.05  # an estimate is a sum over many samples, and asked for at each kline
MIN_READING_S, MAX_READING_S = 0.25, 30.0  # between two readings of REST's clock
MAX_ROUND_TRIP_S: Final = 5.0  # a slower answer tells too little

Witness = Literal["rest", "stream", "kline"]


class ExchangeClock:
    """Takes the times of REST and the stream; `read` returns the estimate."""

    def __init__(
        self,
        interval_ms: int = 300_000,
        monotonic_s: Callable[[], float] = time.monotonic,
        wall_ms: Callable[[], float] = lambda: time.time() * 1000,
    ) -> None:
        """Start without knowledge.

        Args:
            interval_ms: milliseconds between two open times.
            monotonic_s: the process's clock.
            wall_ms: this machine's clock in milliseconds since 1970.
        """
        self._interval_ms, self.monotonic_s, self._wall_ms = interval_ms, monotonic_s, wall_ms
        self._lock = threading.Lock()
        self._readings: deque[ClockSample] = deque(maxlen=KEPT_READINGS)
        self._events: deque[ClockSample] = deque(maxlen=KEPT_EVENTS)
        self._paced_events: deque[ClockSample] = deque(maxlen=KEPT_READINGS)
        self._rows: deque[ClockSample] = deque(maxlen=KEPT_ROWS)
        self._rate, self._offsets, self._estimated_s = 1.0, dict[Witness, float](), float("-inf")
        self._elapsed_ms, self._began_s = 0.0, monotonic_s()
        self._last_s = self._next_reading_s = self._began_s
        self._knows_rate = False
        self.implausible: Counter[str] = Counter()  # times told that were not believed

    def read(self) -> ClockReading:
        """Return the exchange's time now."""
        with self._lock:
            return self._read(self.monotonic_s())

    def on_rest_time(self, time_ms: int, round_trip_s: float = 0.0) -> None:
        """Take an answer of REST to a request for the time, which took so long."""
        with self._lock:
            now_s = self.monotonic_s()
            self._judge("rest", time_ms, now_s)
            if 0 < time_ms <= LAST_MS and round_trip_s <= MAX_ROUND_TRIP_S:
                self._readings.append(ClockSample(time_ms, now_s))
                self._update_rate()
                self._next_reading_s = now_s + self._reading_interval_s(time_ms, now_s)

    def on_event_time(self, symbol: str, time_ms: int) -> None:
        """Take the event time of a message about a symbol."""
        with self._lock:
            now_s = self.monotonic_s()
            if not 0 < time_ms <= LAST_MS:
                self.implausible["stream"] += 1
                return
            self._events.append(ClockSample(time_ms, now_s, symbol))
            if not self._paced_events or now_s - self._paced_events[-1].at_s >= PACE_S:
                self._paced_events.append(self._events[-1])
                self._update_rate()

    def on_newest_row(self, open_time_ms: int) -> None:
        """Take the open time of the last row of a page that was not cut short."""
        with self._lock:
            self._rows.append(ClockSample(open_time_ms, self.monotonic_s()))

    def claim_reading(self) -> bool:
        """Return whether REST's clock is to be read now: to one of the threads that ask."""
        with self._lock:
            now_s = self.monotonic_s()
            if now_s < self._next_reading_s:
                return False
            self._next_reading_s = now_s + MIN_READING_S  # again soon if there is no answer
            return True

    def has_closed(self, open_time_ms: int) -> bool:
        """Return whether a candle's end is not ahead of the exchange's clock; count it if it is."""
        return self.has_come(open_time_ms + self._interval_ms)

    def has_come(self, time_ms: int) -> bool:
        """Return whether a time is not ahead of the exchange's clock; count it if it is."""
        with self._lock:
            return self._judge("kline", time_ms, self.monotonic_s())

    def _judge(self, witness: Witness, time_ms: int, now_s: float) -> bool:
        """Return whether a time may be true; count it else, and warn of the first."""
        reading = self._read(now_s)
        slack_ms = reading.tolerance_ms + AGREEMENT_MS
        if not self._is_known(reading, now_s):
            return True
        is_late = time_ms > reading.now_ms + slack_ms
        is_early = witness == "rest" and time_ms < reading.closed_ms - slack_ms
        if not (is_late or is_early or time_ms <= 0):
            return True
        self.implausible[witness] += 1
        if self.implausible[witness] == 1:
            log.warning(
                "the exchange tells the time %d ms (%s), but by its clock it is %d ms; such times"
                " are ignored and counted (exchange_times_implausible_total)",
                time_ms,
                witness,
                reading.now_ms,
            )
        return False

    def _is_known(self, reading: ClockReading, now_s: float) -> bool:
        """Return whether the exchange's time is known well enough to refuse another."""
        is_warm = self._knows_rate or now_s >= self._began_s + WARM_UP_S
        return reading.now_ms > 0 and (reading.is_corroborated or is_warm)

    def _update_rate(self) -> None:
        has_readings = len(self._readings) >= MIN_RATE_SAMPLES
        samples = self._readings if has_readings else self._paced_events
        self._rate, self._estimated_s = estimate_rate(samples, self._rate), float("-inf")
        if not self._knows_rate and len(samples) >= MIN_RATE_SAMPLES:
            self._knows_rate = True
            self._elapsed_ms = (self._last_s - self._began_s) * 1000 * self._rate

    def _reading_interval_s(self, time_ms: int, now_s: float) -> float:
        """Return when to read REST's clock again: soon while its readings are few or disagree."""
        offset_ms = offset_of_readings(list(self._readings)[-KEPT_FOR_OFFSET:], self._rate) or 0.0
        deviation_ms = abs(time_ms - offset_ms - now_s * 1000 * self._rate)
        if len(self._readings) < EARLY_READINGS or deviation_ms > tolerance_ms(self._rate):
            return MIN_READING_S
        return max(MIN_READING_S, MAX_READING_S / self._rate)

    def _read(self, now_s: float) -> ClockReading:
        self._elapsed_ms += max(0.0, now_s - self._last_s) * 1000 * self._rate
        self._last_s = now_s
        if now_s - self._estimated_s >= ESTIMATE_S or not self._offsets:
            self._offsets, self._estimated_s = self._estimate(now_s), now_s
        estimates = self._fresh(now_s)
        slack_ms = tolerance_ms(self._rate)
        if not estimates:
            return ClockReading(elapsed_ms=int(self._elapsed_ms), tolerance_ms=slack_ms)
        agreed = self._agreed_by_wall_clock(estimates, now_s)
        trusted = choose_trusted(estimates, agreed, self._fitting(estimates))
        now_ms, closed_ms = (int(pick(trusted) + now_s * 1000 * self._rate) for pick in (max, min))
        do_agree = self._knows_rate and len(trusted) > 1 and now_ms - closed_ms <= slack_ms
        is_corroborated = bool(agreed) or do_agree
        elapsed_ms = int(self._elapsed_ms)
        return ClockReading(
            now_ms, max(0, closed_ms), is_corroborated, elapsed_ms, slack_ms, self._rate
        )

    def _estimate(self, now_s: float) -> dict[Witness, float]:
        readings = list(self._readings)[-KEPT_FOR_OFFSET:]
        recent = [each for each in self._events if now_s - each.at_s <= STREAM_FRESH_S]
        found: dict[Witness, float | None] = {
            "rest": offset_of_readings(readings, self._rate),
            "stream": offset_of_stream(recent or self._events, self._rate),
        }
        return {witness: offset for witness, offset in found.items() if offset is not None}

    def _fresh(self, now_s: float) -> list[float]:
        """Return the offsets of the witnesses that were heard lately; of all if none was."""
        heard_s = {
            "rest": (self._readings[-1].at_s if self._readings else 0.0) + REST_FRESH_S,
            "stream": (self._events[-1].at_s if self._events else 0.0) + STREAM_FRESH_S,
        }
        fresh = [offset for name, offset in self._offsets.items() if now_s <= heard_s[name]]
        return fresh or list(self._offsets.values())

    def _agreed_by_wall_clock(self, offsets: list[float], now_s: float) -> list[float]:
        """Return the offsets that this machine's clock agrees with: none of an accelerated one."""
        if self._rate != 1.0:
            return []
        wall_offset_ms = self._wall_ms() - now_s * 1000
        return [each for each in offsets if abs(each - wall_offset_ms) <= AGREEMENT_MS]

    def _fitting(self, offsets: list[float]) -> list[float]:
        if not self._rows:
            return []
        rate = self._rate
        middle = median_low(each.offset_ms(rate) for each in self._rows)
        newest = next(each for each in self._rows if each.offset_ms(rate) == middle)
        return [each for each in offsets if fits_rows(each, newest, self._interval_ms, rate)]
