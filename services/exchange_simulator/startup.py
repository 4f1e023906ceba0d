"""Open the market that the settings ask for."""

from typing import Final

from services.exchange_simulator.market import Market, read_recordings
from services.exchange_simulator.market_view import MarketView
from services.exchange_simulator.settings import SimulatorSettings
from services.exchange_simulator.synthetic import (
    SyntheticMarket,
    is_synthetic,
    synthetic_symbols,
)
from shared.core.errors import BadInput, BadSetting
from shared.core.topics import interval_ms

DEFAULT_SYMBOLS: Final = 20  # of a synthetic market
DEFAULT_HISTORY: Final = 2016  # candles before the start of a synthetic market: a week of 5m


def open_market(settings: SimulatorSettings) -> tuple[MarketView, int]:
    """Return the view of the market, and the time of the exchange to start at in milliseconds.

    Raises:
        BadSetting: the candles cannot be used, or history and start do not fit them.
    """
    duration_ms = interval_ms(settings.interval)
    market = _market(settings, duration_ms)
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
