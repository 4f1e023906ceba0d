"""The columns of exported predictions and candles."""

from collections.abc import Sequence
from typing import Any, Final

import pyarrow as pa

from services.cli.export.candle_merge import MergedCandle
from services.cli.export.outcome_join import ScoredPrediction
from services.cli.export.table_file import UTC_TIME
from shared.core.online.interval_scores import COVERAGES

_NO_BOUNDS: Final = (None, None)

PREDICTION_COLUMNS: Final = pa.schema(
    [
        ("symbol", pa.string()),
        ("open_time", UTC_TIME),
        ("close", pa.float64()),
        ("predicted_change", pa.float64()),
        ("predicted_close", pa.float64()),
        ("calibration", pa.float64()),
        ("calibrated_change", pa.float64()),
        ("calibrated_close", pa.float64()),
        ("actionable", pa.bool_()),
        *(
            (f"{side}_close_{coverage}", pa.float64())
            for coverage in COVERAGES
            for side in ("lower", "upper")
        ),
        ("outcome_close", pa.float64()),
        ("outcome_change", pa.float64()),
        ("change_scale", pa.float64()),
        ("loss", pa.float64()),
        ("steps", pa.int64()),
        ("was_reset", pa.bool_()),
        ("corrections", pa.int64()),
        ("model_version", pa.string()),
        ("numeric_profile", pa.string()),
        ("partition", pa.int32()),
        ("source_offset", pa.int64()),
        ("promotion_offset", pa.int64()),
    ]
)
CANDLE_COLUMNS: Final = pa.schema(
    [
        ("symbol", pa.string()),
        ("open_time", UTC_TIME),
        ("open", pa.float64()),
        ("high", pa.float64()),
        ("low", pa.float64()),
        ("close", pa.float64()),
        ("volume", pa.float64()),
        ("quote_volume", pa.float64()),
        ("trades", pa.int64()),
        ("taker_buy_volume", pa.float64()),
        ("market_change", pa.float64()),
        ("market_symbols", pa.int32()),
        ("is_amended", pa.bool_()),
        ("is_filled", pa.bool_()),
    ]
)


def prediction_row(scored: ScoredPrediction) -> Sequence[Any]:
    """Return the values of a prediction in the order of its columns."""
    one, outcome = scored.prediction, scored.outcome_close
    return (
        one.symbol,
        one.open_time_ms,
        one.close,
        one.predicted_change,
        one.predicted_close,
        one.calibration,
        one.calibrated_change,
        one.calibrated_close,
        one.actionable,
        *_bounds(scored),
        outcome,
        outcome / one.close - 1.0 if outcome is not None and one.close else None,
        one.change_scale,
        one.loss,
        one.steps,
        one.was_reset,
        one.corrections,
        one.model_version,
        one.numeric_profile,
        scored.partition,
        one.source_offset,
        one.promotion_offset,
    )


def candle_row(corrected: MergedCandle) -> Sequence[Any]:
    """Return the values of a candle in the order of its columns."""
    one, market = corrected.candle, corrected.candle.market
    return (
        one.symbol,
        one.open_time_ms,
        one.open,
        one.high,
        one.low,
        one.close,
        one.volume,
        one.quote_volume,
        one.trades,
        one.taker_buy_volume,
        None if market is None else market.change,
        None if market is None else market.symbols,
        corrected.is_amended,
        corrected.is_filled,
    )


def _bounds(scored: ScoredPrediction) -> list[float | None]:
    """Return the bounds of each coverage, None where a prediction has none."""
    found = {one.coverage: one for one in scored.prediction.intervals}
    bounds: list[float | None] = []
    for coverage in COVERAGES:
        one = found.get(coverage)
        bounds += _NO_BOUNDS if one is None else (one.lower_close, one.upper_close)
    return bounds
