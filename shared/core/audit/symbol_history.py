"""The few numbers of a symbol's log that its next record and prediction are compared with."""

from collections import deque
from dataclasses import dataclass, field

from shared.core.online.prediction import Prediction
from shared.core.records import Amendment, Candle
from shared.core.sequence import SEQUENCE_LENGTH


@dataclass(slots=True)
class SymbolHistory:
    """A symbol's newest candle, the open times of the candles kept, and its last prediction."""

    next_open_time_ms: int  # the end of the last candle, or of the gap after it
    last_open_time_ms: int = 0
    last_close: float = 0.0
    candles: int = 0
    # Open times [from, until) in ms of the last SEQUENCE_LENGTH candles: a span between two holes
    # each, so that a year of candles without a hole takes two numbers.
    kept_spans: deque[list[int]] = field(default_factory=deque)
    last_prediction: Prediction | None = None  # since the promotion
    is_learnable: bool = True  # no amendment has changed the window of the last prediction since
    lacks_prediction: bool = False  # so that the next one has nothing to be compared with

    def append(self, candle: Candle, step_ms: int) -> None:
        """Append a candle; drop the oldest beyond SEQUENCE_LENGTH."""
        opens_ms, closes_ms = candle.open_time_ms, candle.open_time_ms + step_ms
        if self.kept_spans and self.kept_spans[-1][1] == opens_ms:
            self.kept_spans[-1][1] = closes_ms
        else:
            self.kept_spans.append([opens_ms, closes_ms])
        self.candles += 1
        if self.candles > SEQUENCE_LENGTH:
            self._drop_oldest(step_ms)
        self.next_open_time_ms, self.last_open_time_ms = closes_ms, opens_ms
        self.last_close = candle.close

    def amend(self, amendment: Amendment) -> None:
        """Apply an amendment if its candle is still kept: no step is made on a changed window."""
        candle = amendment.candle
        if any(start <= candle.open_time_ms < end for start, end in self.kept_spans):
            self.is_learnable = False
            if candle.open_time_ms == self.last_open_time_ms:
                self.last_close = candle.close

    def add_prediction(self, prediction: Prediction) -> None:
        """Remember the prediction that the next one is compared with."""
        self.last_prediction = prediction
        self.is_learnable, self.lacks_prediction = True, False

    def forget_predictions(self) -> None:
        """Begin anew, as a promotion does: the next prediction has no predecessor."""
        self.last_prediction, self.lacks_prediction = None, False

    def _drop_oldest(self, step_ms: int) -> None:
        self.candles -= 1
        oldest = self.kept_spans[0]
        oldest[0] += step_ms
        if oldest[0] == oldest[1]:
            self.kept_spans.popleft()
