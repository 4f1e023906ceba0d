"""The invariants between the klines and the predictions of a partition, checked without the fold.

Each prediction is compared with its candle and with the symbol's previous prediction, as both are
on the topics. By induction that covers the whole log, needs a few numbers per symbol, and reports a
wrong record once rather than in every record after it.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from shared.core.audit.kline_rules import (
    check_candle_place,
    check_correction,
    check_gap_place,
    check_status,
    is_past,
)
from shared.core.audit.prediction_rules import (
    check_candle_fields,
    check_corrections,
    check_intervals,
    check_succession,
)
from shared.core.audit.symbol_history import SymbolHistory
from shared.core.audit.violation import ABSENT, Check, Difference, Violation, compare_fields
from shared.core.online.prediction import Prediction
from shared.core.records import Candle, Correction, Gap, SymbolStatus
from shared.core.sequence import SEQUENCE_LENGTH


@dataclass(frozen=True, slots=True)
class ActivePromotion:
    """The promotion in effect.

    The window length is None where only another numeric profile can read the model's card.
    """

    offset: int
    model_version: str
    window_length: int | None
    numeric_profile: str


@dataclass(frozen=True, slots=True)
class RecordCheck:
    """Whether readers reject a record (None: they may), and the checks it fails."""

    is_rejected: bool | None = False
    violations: tuple[Violation, ...] = ()


@dataclass(slots=True)
class _NewestCandle:
    """The candle that the next predictions are compared with."""

    offset: int
    candle: Candle
    history: SymbolHistory
    change: float | None  # close / previous close - 1; None across a gap
    is_prediction_due: bool | None  # None: what is not known here decides it


class PartitionInvariants:
    """Checks the records of a partition in order, each before the predictions made from it."""

    def __init__(self, interval: str, step_ms: int, *, is_whole: bool = True) -> None:
        """Begin before the first record.

        Args:
            interval: of the deployment, such as 5m.
            step_ms: its length in ms.
            is_whole: whether the first record is the partition's first. If not, the predictions of
                a symbol are checked from the promotion on at which all candles that a predictor
                keeps of it have been seen.
        """
        self._interval, self._step_ms, self._is_whole = interval, step_ms, is_whole
        self._histories: dict[str, SymbolHistory] = {}
        self._promotion: ActivePromotion | None = None
        self._newest: _NewestCandle | None = None

    def check_candle(self, offset: int, candle: Candle) -> RecordCheck:
        """Check that a candle opens where the last one, or the gap after it, ends.

        A candle that is not newer than its symbol's newest, or than its end, is rejected by all
        readers.
        """
        self._newest = None
        history = self._histories.get(candle.symbol)
        if history is None:
            history = SymbolHistory(
                candle.open_time_ms, is_whole=self._is_whole, is_known=self._is_whole
            )
            self._histories[candle.symbol] = history
        elif is_past(candle, history):
            return RecordCheck(is_rejected=True)
        elif not history.candles:
            history.next_open_time_ms = candle.open_time_ms
        check = RecordCheck(violations=tuple(check_candle_place(candle, history)))
        change = self._change_since(history, candle)
        history.append(candle, self._step_ms)
        is_due = self._is_prediction_due(history)
        self._newest = _NewestCandle(offset, candle, history, change, is_due)
        return check

    def check_gap(self, gap: Gap) -> RecordCheck:
        """Check that a gap begins where its symbol's last candle or gap ends."""
        self._newest = None
        history = self._started(gap.symbol)
        if history is None:
            return RecordCheck()
        check = RecordCheck(violations=tuple(check_gap_place(gap, history)))
        history.add_gap(gap)
        return check

    def apply_correction(self, correction: Correction) -> RecordCheck:
        """Apply a correction; check that a fill lies in a gap, and an amendment does not.

        Readers reject one that contradicts the candles they keep.
        """
        self._newest = None
        symbol = correction.candle.symbol
        history = self._started(symbol)
        if history is None:
            return RecordCheck(is_rejected=True if self.knows(symbol) else None)
        violations = tuple(check_correction(correction, history))
        is_rejected = not history.correct(correction, self._step_ms)
        if not history.is_known:
            return RecordCheck(is_rejected=None)
        return RecordCheck(is_rejected, () if is_rejected else violations)

    def check_status(self, status: SymbolStatus) -> RecordCheck:
        """Check that a status fits its symbol's candles; forget them where it begins anew."""
        self._newest = None
        history = self._started(status.symbol)
        violations = () if history is None else tuple(check_status(status, history))
        if status.resets_symbol:
            self._histories[status.symbol] = SymbolHistory(status.time_ms)
        return RecordCheck(violations=violations)

    def apply_promotion(self, promotion: ActivePromotion | None) -> RecordCheck:
        """Apply a promotion: candles are kept, scores and steps begin again.

        Args:
            promotion: None if nothing predicts from here on.
        """
        self._newest, self._promotion = None, promotion
        for history in self._histories.values():
            history.forget_predictions()
            history.is_known = history.is_known or history.candles >= SEQUENCE_LENGTH
        return RecordCheck(is_rejected=promotion is None)

    def skip_rejected(self) -> RecordCheck:
        """Skip a record that no reader can use."""
        self._newest = None
        return RecordCheck(is_rejected=True)

    def knows(self, symbol: str) -> bool:
        """Return whether all is known that a symbol's next prediction follows from."""
        history = self._histories.get(symbol)
        return self._is_whole if history is None else history.is_known

    def lacks_prediction(self) -> bool:
        """Return whether the newest record is a candle whose prediction has not come yet."""
        return self._newest is not None and self._newest.is_prediction_due is True

    def report_missing_prediction(self) -> Violation:
        """Report that the newest candle has no prediction.

        The symbol's next prediction is then compared with its candle alone.

        Raises:
            ValueError: the newest record needs no prediction.
        """
        newest = self._newest
        if newest is None:
            raise ValueError("the newest record needs no prediction")
        newest.is_prediction_due = False
        newest.history.last_prediction, newest.history.lacks_prediction = None, True
        opens_ms = newest.candle.open_time_ms + self._step_ms
        message = (
            f"{newest.candle.symbol} has no prediction of the candle that opens at {opens_ms} ms,"
            " which should have been made from this one"
        )
        return Violation(Check.PLACE, message, (Difference("prediction", ABSENT, "one"),))

    def check_prediction(self, prediction: Prediction) -> tuple[Violation, ...]:
        """Compare a prediction with the newest candle and the symbol's previous prediction."""
        newest = self._newest
        if newest is None or not _is_made_from(prediction, newest):
            return (self._misplaced(prediction),)
        history = newest.history
        violations = [
            *check_candle_fields(prediction, newest.candle, self._interval, self._step_ms),
            *check_intervals(prediction),
        ]
        if history.is_known:
            violations += check_corrections(prediction, history)
            if not history.lacks_prediction:
                violations += check_succession(prediction, history, newest.change)
        violations += self._check_promotion(prediction)
        history.add_prediction(prediction)
        newest.is_prediction_due = False
        return tuple(violations)

    def _started(self, symbol: str) -> SymbolHistory | None:
        """Return a symbol's history if it has candles."""
        history = self._histories.get(symbol)
        return history if history is not None and history.candles else None

    def _change_since(self, history: SymbolHistory, candle: Candle) -> float | None:
        """Return the change of the close since the last candle; None if there is a hole between.

        None too where fills came since the last prediction, which is of another candle then.
        """
        predicted = history.last_prediction
        is_next = candle.open_time_ms == history.last_open_time_ms + self._step_ms
        if predicted is not None and predicted.open_time_ms != candle.open_time_ms:
            return None
        return candle.close / history.last_close - 1.0 if history.candles and is_next else None

    def _is_prediction_due(self, history: SymbolHistory) -> bool | None:
        if self._promotion is None:
            return False
        window_length = self._promotion.window_length
        if window_length is None or not history.is_known:
            return None
        return history.candles >= window_length

    def _check_promotion(self, prediction: Prediction) -> Iterator[Violation]:
        promotion = self._promotion
        if promotion is None:
            return
        yield from compare_fields(
            Check.LINEAGE,
            f"prediction of {prediction.symbol} does not belong to the promotion in effect",
            prediction,
            {
                "model_version": promotion.model_version,
                "promotion_offset": promotion.offset,
                "numeric_profile": promotion.numeric_profile,
            },
        )

    def _misplaced(self, prediction: Prediction) -> Violation:
        """Describe a prediction where none is due, or not from this record."""
        history = self._histories.get(prediction.symbol)
        last = history.last_prediction if history is not None else None
        name = f"prediction of {prediction.symbol} at {prediction.open_time_ms} ms"
        expected = "a candle that needs a prediction, in order"
        message = (
            f"{name} names a record that is no candle of its symbol with a full window and a model"
        )
        if last is not None and last.open_time_ms == prediction.open_time_ms:
            message, expected = f"{name} is a duplicate", f"above {last.source_offset}"
        elif last is not None and last.source_offset >= prediction.source_offset:
            message = f"{name} comes after a later one of its symbol"
            expected = f"above {last.source_offset}"
        difference = Difference("source_offset", prediction.source_offset, expected)
        return Violation(Check.PLACE, message, (difference,))


def _is_made_from(prediction: Prediction, newest: _NewestCandle) -> bool:
    return (
        newest.is_prediction_due is not False
        and prediction.source_offset == newest.offset
        and prediction.symbol == newest.candle.symbol
    )
