"""Each prediction with its outcome, which comes with the next prediction of its symbol."""

from collections.abc import Iterator
from typing import NamedTuple

from shared.adapters.schemas.prediction_messages import PredictionMessage


class ScoredPrediction(NamedTuple):
    """A prediction, its partition, and the close that came."""

    partition: int
    prediction: PredictionMessage
    outcome_close: float | None  # None: unknown, or its candle is missing


class OutcomeJoin:
    """Joins predictions with the closes that came; keeps one prediction of each symbol."""

    def __init__(self, interval_ms: int) -> None:
        """Begin empty; `interval_ms` lies between two open times."""
        self._interval_ms = interval_ms
        self._pending: dict[str, ScoredPrediction] = {}
        self.out_of_order = 0  # predictions that are no newer than one before

    def add(self, partition: int, prediction: PredictionMessage) -> ScoredPrediction | None:
        """Add a prediction; return its symbol's one before, whose outcome is known now."""
        before = self._pending.get(prediction.symbol)
        if before and prediction.open_time_ms <= before.prediction.open_time_ms:
            self.out_of_order += 1
            return None
        self._pending[prediction.symbol] = ScoredPrediction(partition, prediction, None)
        if before is None:
            return None
        follows = prediction.open_time_ms == before.prediction.open_time_ms + self._interval_ms
        return before._replace(outcome_close=prediction.close if follows else None)

    def flush(self) -> Iterator[ScoredPrediction]:
        """Yield the newest prediction of each symbol, whose outcome is not known."""
        yield from self._pending.values()
        self._pending.clear()
