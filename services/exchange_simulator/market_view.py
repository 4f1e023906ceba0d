"""The part of a market that is visible at a time of the exchange: never the future."""

from dataclasses import dataclass
from itertools import count, takewhile

from services.exchange_simulator.kline import partial_candle
from services.exchange_simulator.market import Market
from shared.adapters.recording import CandleRow


@dataclass(frozen=True, slots=True)
class MarketView:
    """A market, shown up to a time of the exchange that the caller gives."""

    market: Market
    interval: str
    interval_ms: int
    first_open_ms: int  # no earlier candle is shown

    def klines(
        self, symbol: str, start_ms: int | None, end_ms: int | None, limit: int, now_ms: int
    ) -> list[CandleRow]:
        """Return candles by open time, both ends included; the last one may be open.

        If there are more than `limit`: the oldest with a start, the newest without one.
        """
        until_ms = now_ms + 1 if end_ms is None else min(end_ms, now_ms) + 1
        span = self.market.candles(symbol, max(self.first_open_ms, start_ms or 0), until_ms)
        first = max(0, len(span) - limit) if start_ms is None else 0
        rows = list(span.rows(first, min(first + limit, len(span))))
        # Binance sends the open candle as the last row and does not mark it.
        if rows and rows[-1].open_time_ms + self.interval_ms > now_ms:
            rows[-1] = partial_candle(rows[-1], (now_ms - rows[-1].open_time_ms) / self.interval_ms)
        return rows

    def final_candle(self, symbol: str, open_time_ms: int) -> CandleRow | None:
        """Return the candle of an open time as it will close; None if the exchange has none."""
        span = self.market.candles(symbol, open_time_ms, open_time_ms + 1)
        return next(iter(span.rows(0, 1)), None)

    def has_ended(self, now_ms: int) -> bool:
        """Return whether the market's last candle has closed."""
        return self.market.end_ms is not None and now_ms >= self.market.end_ms


def push_times_ms(open_time_ms: int, interval_ms: int, step_ms: int) -> list[int]:
    """Return the times at which an open candle is pushed: every `step_ms`, at least once.

    >>> push_times_ms(0, 300_000, 100_000)
    [100000, 200000]
    >>> push_times_ms(0, 300_000, 600_000)
    [150000]
    """
    ends_ms = open_time_ms + interval_ms
    steps = list(takewhile(lambda time: time < ends_ms, count(open_time_ms + step_ms, step_ms)))
    return steps or [open_time_ms + interval_ms // 2]
