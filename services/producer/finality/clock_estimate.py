"""Estimate the exchange's time from its services' reports. PURE: the clocks are arguments.

Three witnesses may be wrong, each in its own way: REST's `/time` (ahead, behind, jumping), the
event times of the stream (a wild message, a stream that lags by a minute), and this machine's
clock (which says nothing of a simulator that began in another year). So

1. each estimate is a median: of several readings, or over several symbols of the stream;
2. an estimate is trusted if this machine's clock agrees with it; else if REST's own rows do; else
   all of them are;
3. the later of the trusted ones says what is overdue, the earlier one what may be final.

Estimates are in milliseconds since 1970; `at_s` is the monotonic clock's time of a reading.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import median, median_low
from typing import Final

AGREEMENT_MS: Final = 5_000  # clocks that differ by no more than this agree
# In real time: how long a message may have been on its way, which an accelerated clock magnifies.
TRANSIT_S: Final = 0.25

MIN_RATE_SAMPLES: Final = 3
MIN_RATE_SPAN_S: Final = 0.2  # between two readings whose slope counts
MAX_RATE: Final = 20_000.0
REAL_TIME: Final = (0.7, 1.3)  # a rate in here is one, measured over too short a time
RATE_DEVIATION, RATE_AGREEMENT = 0.1, 0.6  # so many of the slopes must be that close to the median
ROWS_SLACK_MS: Final = 60_000


@dataclass(frozen=True, slots=True)
class ClockSample:
    """A time that the exchange told, and the monotonic clock's time of its arrival."""

    time_ms: int
    at_s: float
    symbol: str = ""

    def offset_ms(self, rate: float) -> float:
        """Return the exchange's time at zero of the monotonic clock."""
        return self.time_ms - self.at_s * 1000 * rate


@dataclass(frozen=True, slots=True)
class ClockReading:
    """The exchange's time; zeros before it is known.

    Attributes:
        now_ms: the later of the trusted estimates: what is overdue by it may be requested.
        closed_ms: the earlier one: what had closed by then has closed.
        is_corroborated: two witnesses agree.
        elapsed_ms: the exchange's milliseconds since the process began; it never jumps.
        tolerance_ms: how far the estimates may be behind the exchange's true time.
        rate: the exchange's seconds in a real second.
    """

    now_ms: int = 0
    closed_ms: int = 0
    is_corroborated: bool = False
    elapsed_ms: int = 0
    tolerance_ms: int = AGREEMENT_MS
    rate: float = 1.0


UNKNOWN_TIME: Final = ClockReading()


def estimate_rate(samples: Sequence[ClockSample], rate: float) -> float:
    """Return the exchange's seconds in a real second, by Theil and Sen's median of slopes.

    A clock that was set has slopes that disagree: then the rate stays as it was.

    Args:
        samples: readings of one clock, ascending in arrival.
        rate: the rate so far.
    """
    slopes = [
        (later.time_ms - earlier.time_ms) / (later.at_s - earlier.at_s) / 1000
        for earlier, later in combinations(samples, 2)
        if later.at_s - earlier.at_s >= MIN_RATE_SPAN_S
    ]
    if len(samples) < MIN_RATE_SAMPLES or not slopes:
        return rate
    slope = median(slopes)
    if REAL_TIME[0] <= slope <= REAL_TIME[1]:
        return 1.0
    close = sum(abs(each - slope) <= RATE_DEVIATION * slope for each in slopes)
    is_agreed = close >= RATE_AGREEMENT * len(slopes)
    return slope if is_agreed and 0 < slope <= MAX_RATE else rate


def offset_of_readings(samples: Iterable[ClockSample], rate: float) -> float | None:
    """Return the median offset of a clock's readings; the earlier of two that differ."""
    return median_low(offsets) if (offsets := [s.offset_ms(rate) for s in samples]) else None


def offset_of_stream(samples: Iterable[ClockSample], rate: float) -> float | None:
    """Return the median over symbols of each symbol's median offset.

    One wild message moves nothing, nor does one symbol whose messages are all wild.
    """
    by_symbol: dict[str, list[float]] = defaultdict(list)
    for sample in samples:
        by_symbol[sample.symbol].append(sample.offset_ms(rate))
    return median_low(map(median_low, by_symbol.values())) if by_symbol else None


def fits_rows(offset_ms: float, newest: ClockSample, interval_ms: int, rate: float) -> bool:
    """Return whether REST may have shown a newest row at a time.

    It had begun; and the next ones had not, unless nobody traded.

    Args:
        offset_ms: the offset of the estimate in question.
        newest: the open time of a page's last row, and when the page arrived.
        interval_ms: milliseconds between two open times.
        rate: the exchange's seconds in a real second.
    """
    time_ms = offset_ms + newest.at_s * 1000 * rate
    earliest_ms = newest.time_ms - tolerance_ms(rate)
    return earliest_ms <= time_ms <= newest.time_ms + 2 * interval_ms + ROWS_SLACK_MS


def tolerance_ms(rate: float) -> int:
    """Return how far an estimate may be behind the exchange's time."""
    return AGREEMENT_MS + int(TRANSIT_S * 1000 * rate)


def choose_trusted(
    estimates: Sequence[float], agreed: Sequence[float], fitting: Sequence[float]
) -> Sequence[float]:
    """Return the estimates to use.

    Args:
        estimates: all of them.
        agreed: those that this machine's clock agrees with.
        fitting: those that REST's rows agree with.
    """
    return agreed or fitting or estimates
