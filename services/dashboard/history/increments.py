"""What has come to a symbol's past since it was shown last. PURE; one owner."""

from typing import Any, Final

from services.dashboard.history.figures import SKILL_OUTCOMES
from services.dashboard.history.history_page import SymbolPast, to_fields
from services.dashboard.history.past_predictions import PastPrediction, in_time_order, to_past
from services.dashboard.history.time_range import TimeRange
from shared.core.online.prediction import Prediction
from shared.core.records import Record

_KEPT: Final = 2 * SKILL_OUTCOMES  # candles; as many more before the oldest are dropped


class SymbolIncrements:
    """The newest part of a symbol's past, and what of it has changed."""

    def __init__(self, past: SymbolPast) -> None:
        """Take over what was read."""
        self._symbol, self._interval_ms = past.symbol, past.interval_ms
        self._candles, self._has_first = past.candles, past.has_first_prediction
        self._predictions = {one.open_time_ms: one for one in past.predictions}
        self._changed: set[int] = set()  # open times

    def add_record(self, record: Record) -> None:
        """Add a record of the symbol in `klines`."""
        changed_ms = self._candles.add(record)
        if changed_ms is not None:
            self._changed.add(changed_ms)

    def add_prediction(self, prediction: Prediction) -> None:
        """Add a prediction of the symbol."""
        if prediction.open_time_ms not in self._predictions:
            self._predictions[prediction.open_time_ms] = to_past(prediction)
            self._changed.add(prediction.open_time_ms)

    def take_increment(self) -> dict[str, Any] | None:
        """Return what is there from the oldest change on, None without one; begin anew."""
        if not self._changed:
            return None
        span = TimeRange(min(self._changed))
        self._changed.clear()
        past = SymbolPast(
            self._symbol, self._interval_ms, self._candles, self._in_order(), self._has_first
        )
        fields = to_fields(past, span, calibrated=TimeRange())
        self._drop_oldest()
        return fields

    def _in_order(self) -> list[PastPrediction]:
        return in_time_order(self._predictions.values())

    def _drop_oldest(self) -> None:
        if len(self._candles.bars) < 2 * _KEPT:
            return
        oldest_ms = sorted(self._candles.bars)[-_KEPT]
        self._candles.forget_before(oldest_ms)
        kept = {at: one for at, one in self._predictions.items() if at >= oldest_ms}
        self._has_first &= len(kept) == len(self._predictions)
        self._predictions = kept
