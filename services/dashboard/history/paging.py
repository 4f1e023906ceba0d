"""Which part of a symbol's past a page has. PURE."""

from dataclasses import dataclass
from sys import maxsize

from services.dashboard.history.candle_timeline import CandleTimeline
from services.dashboard.history.time_range import TimeRange


@dataclass(frozen=True, slots=True)
class PageRequest:
    """So many candles before an open time; None: the newest, and what is predicted."""

    candles: int
    before_ms: int | None = None


@dataclass(frozen=True, slots=True)
class PageRange:
    """The open times of a page.

    Attributes:
        span: its range; the page before it ends where it begins.
        is_full: it has as many candles as were asked for, or all there are.
        is_first: the log has nothing before it.
    """

    span: TimeRange
    is_full: bool
    is_first: bool


def page_range(candles: CandleTimeline, request: PageRequest, *, is_whole: bool) -> PageRange:
    """Return the range of a page, of what was read so far.

    Args:
        candles: what was read; of the newest part of the log nothing is missing.
        request: the page.
        is_whole: the log was read to its beginning.
    """
    until_ms = maxsize if request.before_ms is None else request.before_ms
    # The oldest candle that was read is left out: a status right before it may not be read yet.
    from_ms = 0 if is_whole else candles.complete_from_ms + 1
    times = candles.times(TimeRange(from_ms, until_ms))
    if is_whole and len(times) <= request.candles:
        return PageRange(TimeRange(0, until_ms), is_full=True, is_first=True)
    from_ms = times[-request.candles :][0] if times else until_ms
    is_full = len(times) >= request.candles
    return PageRange(TimeRange(from_ms, until_ms), is_full, is_first=False)
