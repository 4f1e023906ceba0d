"""Forecasts made elsewhere, matched with the candles that the contenders forecast."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from shared.core.evaluation.contenders import SymbolForecasts
from shared.core.evaluation.forecasts import ForecastSeries


@dataclass(frozen=True, slots=True)
class MatchedForecasts:
    """Forecasts with those made elsewhere beside them, and what did not match."""

    forecasts: list[SymbolForecasts]
    scored: int  # candles that both forecast
    missing: int  # candles that only the contenders forecast
    elsewhere: int  # forecasts of candles that are not scored


def match_forecasts(
    forecasts: Iterable[SymbolForecasts],
    name: str,
    changes: Mapping[str, Mapping[int, float]],
) -> MatchedForecasts:
    """Add forecasts made elsewhere as a contender; they are taken as they are.

    Args:
        forecasts: of all contenders.
        name: of the new contender.
        changes: fractions by symbol and the open time in ms of the candle that is forecast.
    """
    matched = [_match(one, name, changes.get(one.symbol, {})) for one in forecasts]
    candles = sum(len(one.candles.open_time_ms) for one in matched)
    scored = sum(len(one.series[name].open_time_ms) for one in matched)
    given = sum(map(len, changes.values()))
    return MatchedForecasts(matched, scored, candles - scored, given - scored)


def _match(one: SymbolForecasts, name: str, changes: Mapping[int, float]) -> SymbolForecasts:
    candles = next(iter(one.series.values()))
    found = [changes.get(int(time_ms), np.nan) for time_ms in candles.open_time_ms.tolist()]
    change = np.array(found, dtype=np.float64)
    theirs = ForecastSeries(candles.open_time_ms, change, change, candles.outcome)
    known = candles.open_time_ms[np.isfinite(change)]
    return replace(one, series={**one.series, name: theirs.at(known)})
