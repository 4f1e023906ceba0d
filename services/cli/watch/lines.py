"""`ulstm watch` without a terminal: a line for each prediction."""

from services.cli.watch.board import WatchRow
from services.cli.watch.columns import (
    describe_bounds,
    describe_change,
    describe_hit,
    describe_skill,
)
from shared.core.online.prediction import Prediction
from shared.core.timestamps import format_timestamp


def prediction_line(prediction: Prediction) -> str:
    """Return a prediction in words: candle, symbol, close, change, bounds, last hit, skill."""
    row = WatchRow(prediction.symbol, "live", 0, prediction)
    parts = (
        format_timestamp(prediction.open_time_ms),
        prediction.symbol,
        f"close {prediction.close:.8g}",
        f"next {describe_change(prediction).strip()} ({describe_bounds(prediction)})",
        f"last {describe_hit(row)[2:] or '-'}",
        f"skill {describe_skill(row) or '-'}",
    )
    return "  ".join(parts)
