"""The columns of exported predictions and candles."""

from collections.abc import Iterator, Sequence
from operator import attrgetter
from typing import Any, Final

import pyarrow as pa

from services.cli.export.candle_merge import MergedCandle
from services.cli.export.outcome_join import ScoredPrediction
from services.cli.export.table_file import UTC_TIME
from shared.core.online.interval_scores import COVERAGES

# Fields of a prediction before and behind the columns that are made of several, with their types.
_FORECAST: Final = {
    "symbol": pa.string(),
    "open_time_ms": UTC_TIME,
    "close": pa.float64(),
    "predicted_change": pa.float64(),
    "predicted_close": pa.float64(),
    "calibration": pa.float64(),
    "calibrated_change": pa.float64(),
    "calibrated_close": pa.float64(),
    "actionable": pa.bool_(),
}
_ORIGIN: Final = {
    "change_scale": pa.float64(),
    "loss": pa.float64(),
    "steps": pa.int64(),
    "was_reset": pa.bool_(),
    "corrections": pa.int64(),
    "model_version": pa.string(),
    "numeric_profile": pa.string(),
    "source_offset": pa.int64(),
    "promotion_offset": pa.int64(),
}
_CANDLE: Final = {
    "symbol": pa.string(),
    "open_time_ms": UTC_TIME,
    "open": pa.float64(),
    "high": pa.float64(),
    "low": pa.float64(),
    "close": pa.float64(),
    "volume": pa.float64(),
    "quote_volume": pa.float64(),
    "trades": pa.int64(),
    "taker_buy_volume": pa.float64(),
}
_BOUNDS: Final = [
    f"{side}_close_{coverage}" for coverage in COVERAGES for side in ("lower", "upper")
]
_forecast_of, _origin_of, _candle_of = (
    attrgetter(*fields) for fields in (_FORECAST, _ORIGIN, _CANDLE)
)


def _schema(columns: dict[str, pa.DataType]) -> pa.Schema:
    """Return a schema; a time has a type, so its name needs no unit."""
    return pa.schema([(name.removesuffix("_ms"), kind) for name, kind in columns.items()])


PREDICTION_COLUMNS: Final = _schema(
    {
        **_FORECAST,
        **dict.fromkeys([*_BOUNDS, "outcome_close", "outcome_change"], pa.float64()),
        **_ORIGIN,
        "partition": pa.int32(),
    }
)
CANDLE_COLUMNS: Final = _schema(
    {
        **_CANDLE,
        "market_change": pa.float64(),
        "market_symbols": pa.int32(),
        "is_amended": pa.bool_(),
        "is_filled": pa.bool_(),
    }
)


def prediction_row(scored: ScoredPrediction) -> Sequence[Any]:
    """Return the values of a prediction in the order of its columns."""
    one, outcome = scored.prediction, scored.outcome_close
    change = outcome / one.close - 1.0 if outcome is not None and one.close else None
    bounds = _bounds(scored)
    return (*_forecast_of(one), *bounds, outcome, change, *_origin_of(one), scored.partition)


def candle_row(merged: MergedCandle) -> Sequence[Any]:
    """Return the values of a candle in the order of its columns."""
    one, market = merged.candle, merged.candle.market
    move = (None, None) if market is None else (market.change, market.symbols)
    return (*_candle_of(one), *move, merged.is_amended, merged.is_filled)


def _bounds(scored: ScoredPrediction) -> Iterator[float | None]:
    """Yield the bounds of each coverage, None where a prediction has none."""
    found = {one.coverage: one for one in scored.prediction.intervals}
    for coverage in COVERAGES:
        one = found.get(coverage)
        yield None if one is None else one.lower_close
        yield None if one is None else one.upper_close
