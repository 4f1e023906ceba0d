"""The few numbers of a symbol's log that its next record and prediction are compared with."""

from collections import deque
from dataclasses import dataclass, field

from shared.core.online.prediction import Prediction
from shared.core.records import Candle, Correction, Fill, Gap
from shared.core.sequence import SEQUENCE_LENGTH


@dataclass(slots=True)
class SymbolHistory:
    """A symbol's newest candle, the open times of the candles kept, and its last prediction.

    Without candles: the symbol has ended, and may begin anew at `next_open_time_ms`.
    """

    next_open_time_ms: int  # the end of the last candle, or of the gap after it
    first_open_time_ms: int = 0
    last_open_time_ms: int = 0
    last_close: float = 0.0
    candles: int = 0
    # Open times [from, until) in ms of the last SEQUENCE_LENGTH candles: a span between two holes
    # each, so that a year of candles without a hole takes two numbers.
    kept_spans: deque[list[int]] = field(default_factory=deque)
    # Open times [from, until) in ms of all gaps, as far as they are not filled.
    gaps: list[list[int]] = field(default_factory=list)
    corrections: int = 0  # applied since the promotion
    last_prediction: Prediction | None = None  # since the promotion
    is_learnable: bool = True  # no correction has changed the window of the last prediction since
    lacks_prediction: bool = False  # so that the next one has nothing to be compared with
    is_whole: bool = True  # its records are known from the first, or from its new beginning, on
    is_known: bool = True  # all candles that a predictor keeps of it are known

    def append(self, candle: Candle, step_ms: int) -> None:
        """Append a candle; drop the oldest beyond SEQUENCE_LENGTH."""
        opens_ms, closes_ms = candle.open_time_ms, candle.open_time_ms + step_ms
        if self.kept_spans and self.kept_spans[-1][1] == opens_ms:
            self.kept_spans[-1][1] = closes_ms
        else:
            self.kept_spans.append([opens_ms, closes_ms])
        if not self.candles:
            self.first_open_time_ms = opens_ms
        self.candles += 1
        if self.candles > SEQUENCE_LENGTH:
            self._drop_oldest(step_ms)
        self.next_open_time_ms, self.last_open_time_ms = closes_ms, opens_ms
        self.last_close = candle.close

    def add_gap(self, gap: Gap) -> None:
        """Add a gap after the newest candle."""
        self.gaps.append([gap.from_open_time_ms, gap.until_open_time_ms])
        self.next_open_time_ms = max(self.next_open_time_ms, gap.until_open_time_ms)

    def expects(self, correction: Correction) -> bool:
        """Return whether a gap that is not filled has a fill's time, and none an amendment's."""
        time_ms = correction.candle.open_time_ms
        if time_ms < self.first_open_time_ms and not self.is_whole:
            return True
        is_in_gap = any(start <= time_ms < end for start, end in self.gaps)
        if isinstance(correction, Fill):
            return is_in_gap
        return self.first_open_time_ms <= time_ms <= self.last_open_time_ms and not is_in_gap

    def correct(self, correction: Correction, step_ms: int) -> bool:
        """Apply an amendment or a fill if its time is kept: no step is made on a changed window.

        Returns:
            False if readers reject it: it amends a missing candle, or fills a present one.
        """
        candle, time_ms = correction.candle, correction.candle.open_time_ms
        if time_ms < self.kept_spans[0][0]:
            self._close_gap(time_ms, step_ms)
            return True
        is_there = any(start <= time_ms < end for start, end in self.kept_spans)
        if is_there == isinstance(correction, Fill):
            return False
        if not is_there:
            self._insert(time_ms, step_ms)
        self.corrections += 1
        self.is_learnable = False
        if time_ms >= self.last_open_time_ms:
            self.last_open_time_ms, self.last_close = time_ms, candle.close
            self.next_open_time_ms = max(self.next_open_time_ms, time_ms + step_ms)
        return True

    def add_prediction(self, prediction: Prediction) -> None:
        """Remember the prediction that the next one is compared with."""
        self.last_prediction = prediction
        self.is_learnable, self.lacks_prediction = True, False

    def forget_predictions(self) -> None:
        """Begin anew, as a promotion does: the next prediction has no predecessor."""
        self.last_prediction, self.lacks_prediction, self.corrections = None, False, 0

    def _close_gap(self, time_ms: int, step_ms: int) -> None:
        """Take a moment out of the gap that covers it, if one does."""
        for at, (start, end) in enumerate(self.gaps):
            if start <= time_ms < end:
                rest = [[start, time_ms], [time_ms + step_ms, end]]
                self.gaps[at : at + 1] = [span for span in rest if span[0] < span[1]]
                return

    def _insert(self, time_ms: int, step_ms: int) -> None:
        """Insert a candle, as a span of its own; drop the oldest beyond SEQUENCE_LENGTH."""
        self._close_gap(time_ms, step_ms)
        at = sum(start < time_ms for start, _ in self.kept_spans)
        self.kept_spans.insert(at, [time_ms, time_ms + step_ms])
        self.candles += 1
        if self.candles > SEQUENCE_LENGTH:
            self._drop_oldest(step_ms)

    def _drop_oldest(self, step_ms: int) -> None:
        self.candles -= 1
        oldest = self.kept_spans[0]
        oldest[0] += step_ms
        if oldest[0] == oldest[1]:
            self.kept_spans.popleft()
