"""Open the market of the settings, and show the part visible at a time: never the future."""

from dataclasses import dataclass
from itertools import count, takewhile
from typing import Final

from services.exchange_simulator.faults.scripted_market import GONE, ScriptedMarket
from services.exchange_simulator.kline import partial_candle
from services.exchange_simulator.market import Market, read_recordings
from services.exchange_simulator.settings import SimulatorSettings
from services.exchange_simulator.synthetic import SyntheticMarket, is_synthetic, synthetic_symbols
from shared.adapters.recording import CandleRow
from shared.core.errors import BadInput, BadSetting
from shared.core.topics import interval_ms

DEFAULT_SYMBOLS: Final = 20  # of a synthetic market
PUSH_INTERVAL_MS: Final = 2000  # of the exchange's time, as Binance does for 5m
DEFAULT_HISTORY: Final = 2016  # candles before the start of a synthetic market: a week of 5m


@dataclass(frozen=True, slots=True)
class MarketView:
    """A market, shown up to a time of the exchange that the caller gives."""

    market: ScriptedMarket
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
        numbers = self.market.find(symbol, max(self.first_open_ms, start_ms or 0), until_ms)
        numbers = numbers[-limit:] if start_ms is None else numbers[:limit]
        rows = list(self.market.rows(symbol, numbers))
        # Binance sends the open candle as the last row and does not mark it.
        if rows and rows[-1].open_time_ms + self.interval_ms > now_ms:
            rows[-1] = partial_candle(rows[-1], (now_ms - rows[-1].open_time_ms) / self.interval_ms)
        return rows

    def last(self, symbol: str, duration_ms: int, now_ms: int) -> list[CandleRow]:
        """Return the candles that opened in the last milliseconds; the last one may be open."""
        limit = -(-duration_ms // self.interval_ms)
        return self.klines(symbol, now_ms - duration_ms, None, limit, now_ms)

    def final_candle(self, symbol: str, open_time_ms: int) -> CandleRow | None:
        """Return the candle of an open time as it will close; None if the exchange has none."""
        numbers = self.market.find(symbol, open_time_ms, open_time_ms + 1)
        return next(iter(self.market.rows(symbol, numbers)), None)

    def is_listed(self, symbol: str, now_ms: int) -> bool:
        """Return whether the exchange knows a symbol at a time, traded or not."""
        return self.market.status(symbol, now_ms) != GONE

    def listed(self, now_ms: int) -> dict[str, str]:
        """Return the symbols that the exchange knows at a time, each with its status."""
        statuses = {symbol: self.market.status(symbol, now_ms) for symbol in self.market.symbols}
        return {symbol: status for symbol, status in statuses.items() if status != GONE}

    def has_ended(self, now_ms: int) -> bool:
        """Return whether the market's last candle has closed."""
        return self.market.end_ms is not None and now_ms >= self.market.end_ms


def push_times_ms(open_time_ms: int, interval_ms: int, step_ms: int) -> list[int]:
    """Return the times at which an open candle is pushed: every `step_ms`, and before the close.

    >>> push_times_ms(0, 300_000, 100_000)
    [100000, 200000, 298000]
    """
    last_ms = open_time_ms + interval_ms - PUSH_INTERVAL_MS
    steps = takewhile(lambda time: time < last_ms, count(open_time_ms + step_ms, step_ms))
    return [*steps, last_ms]


def open_market(settings: SimulatorSettings) -> tuple[MarketView, int]:
    """Return the view of the market, and the time of the exchange to start at in milliseconds.

    Raises:
        BadSetting: the candles cannot be used, or history and start do not fit them.
    """
    duration_ms = interval_ms(settings.interval)
    market = ScriptedMarket(_market(settings, duration_ms), duration_ms)
    begin_ms, history = market.begin_ms, settings.history
    if settings.start_ms is None:
        candles = _default_history(market, duration_ms) if history is None else history
        start_ms, first_open_ms = begin_ms + candles * duration_ms, begin_ms
    elif history is None:
        start_ms, first_open_ms = settings.start_ms, begin_ms
    else:
        start_ms = settings.start_ms
        first_open_ms = max(begin_ms, start_ms - history * duration_ms)
    _check_start(settings, market, start_ms)
    return MarketView(market, settings.interval, duration_ms, first_open_ms), start_ms


def _check_start(settings: SimulatorSettings, market: Market, start_ms: int) -> None:
    if market.begin_ms <= start_ms and (market.end_ms is None or start_ms < market.end_ms):
        return
    name = "EXCHANGE_HISTORY" if settings.start_ms is None else "EXCHANGE_START_MS"
    span = f"from {market.begin_ms} to {market.end_ms or 'no end'} ms"
    raise BadSetting(f"{name} gives a start at {start_ms} ms; the candles are {span}: choose one")


def _default_history(market: Market, duration_ms: int) -> int:
    if market.end_ms is None:
        return DEFAULT_HISTORY
    return (market.end_ms - market.begin_ms) // duration_ms // 2


def _market(settings: SimulatorSettings, duration_ms: int) -> Market:
    if settings.candles is not None:
        try:
            return read_recordings(
                settings.candles, duration_ms, settings.symbol_list, settings.symbol_count
            )
        except BadInput as error:
            raise BadSetting(f"EXCHANGE_CANDLES cannot be used: {error}") from error
    symbols = settings.symbol_list or synthetic_symbols(settings.symbol_count or DEFAULT_SYMBOLS)
    if real := [symbol for symbol in symbols if not is_synthetic(symbol)]:
        raise BadSetting(
            f"EXCHANGE_SYMBOLS names {', '.join(real)}, but without EXCHANGE_CANDLES there are only"
            f" synthetic symbols: give a count, or names such as {synthetic_symbols(1)[0]}"
        )
    return SyntheticMarket(symbols, duration_ms, settings.seed)
