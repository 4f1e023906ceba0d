"""What is known of one symbol now."""

from dataclasses import dataclass, field

from services.dashboard.live.columns import Row, rounded_fraction, rounded_price
from services.dashboard.ports import Standing
from shared.core.evaluation.skill_score import Skill
from shared.core.online.interval_scores import COVERAGES
from shared.core.online.intervals import Interval
from shared.core.online.prediction import Prediction
from shared.core.records import Candle, SymbolStatus

SHOWN_COVERAGE = 90  # per cent, of the bounds in the table
_SHOWN = COVERAGES.index(SHOWN_COVERAGE)


@dataclass(slots=True)
class SymbolBoard:
    """A symbol's newest records. They may be added in any order: the newest count."""

    symbol: str
    partition: int
    candle: Candle | None = None
    candle_before: Candle | None = None
    arrived_ms: float | None = None  # of the newest candle
    close_to_arrival_ms: float | None = None
    arrival_to_readable_ms: float | None = None
    prediction: Prediction | None = None
    prediction_before: Prediction | None = None
    status: SymbolStatus | None = None
    skill: Skill | None = None  # over the recent window
    standing: Standing = field(default="waiting")

    def add_candle(self, candle: Candle, *, is_older: bool = False) -> bool:
        """Add a candle, or other values of one; return whether it is the newest.

        Args:
            candle: the candle.
            is_older: its record comes before all that were added: what is known is newer.
        """
        newest, before = self.candle, self.candle_before
        if _replaces(candle, newest, is_older):
            if newest is not None and candle.open_time_ms > newest.open_time_ms:
                self.candle_before = newest
            self.candle = candle
            return True
        is_before = newest is not None and candle.open_time_ms < newest.open_time_ms
        if is_before and _replaces(candle, before, is_older):
            self.candle_before = candle
        return False

    def add_prediction(self, prediction: Prediction) -> bool:
        """Add a prediction; return whether it is the newest."""
        newest = self.prediction
        if newest is None or prediction.open_time_ms > newest.open_time_ms:
            self.prediction, self.prediction_before = prediction, newest
            return True
        before = self.prediction_before
        if prediction.open_time_ms < newest.open_time_ms and (
            before is None or prediction.open_time_ms > before.open_time_ms
        ):
            self.prediction_before = prediction
        return False

    def add_status(self, status: SymbolStatus, *, is_older: bool = False) -> None:
        """Add what happened to the symbol."""
        known = self.status
        if known is None or status.time_ms > known.time_ms - (not is_older):
            self.status = status

    @property
    def active_status(self) -> SymbolStatus | None:
        """The last status, unless a candle has come since."""
        status, candle = self.status, self.candle
        if status is None or (candle is not None and candle.open_time_ms >= status.time_ms):
            return None
        return status

    def find_standing(self, due_open_time_ms: int | None) -> Standing:
        """Return where the symbol stands.

        Args:
            due_open_time_ms: of the newest candle that it should have, and whose prediction should
                be there; None while that is not known.
        """
        status = self.active_status
        if status is not None and status.ends_symbol:
            return "ended"
        if status is not None and status.status == "halted":
            return "halted"
        if self.prediction is None:
            return "waiting"
        is_due = due_open_time_ms is not None and self.prediction.open_time_ms <= due_open_time_ms
        return "late" if is_due else "live"

    def row(self, interval_ms: int) -> Row:
        """Return the symbol's row, in the order of COLUMNS."""
        prediction = self.prediction
        return [
            self.symbol,
            self.standing,
            *self._price_cells(interval_ms),
            *_forecast_cells(prediction),
            *self._skill_cells(),
            *_score_cells(prediction),
            *self.last_outcome(),
            *_model_cells(prediction),
            *map(
                _rounded, (self.arrived_ms, self.close_to_arrival_ms, self.arrival_to_readable_ms)
            ),
        ]

    def last_outcome(self) -> tuple[bool | None, bool | None]:
        """Return whether the last outcome had its forecast's sign, and lay within its bounds.

        None: not known; for the sign also where the forecast or the outcome is no change.
        """
        prediction, before = self.prediction, self.prediction_before
        previous = None if prediction is None else prediction.previous
        outcome = None if previous is None else previous.outcome_change
        if previous is None or outcome is None:
            return None, None
        product = previous.calibrated_change * outcome
        hit = None if product == 0 else product > 0
        if before is None or before.open_time_ms != previous.open_time_ms:
            return hit, None
        bounds = shown_bounds(before)
        if bounds is None:
            return hit, None
        return hit, bounds.lower_change <= outcome <= bounds.upper_change

    def _price_cells(self, interval_ms: int) -> tuple[object, ...]:
        prediction, candle, before = self.prediction, self.candle, self.candle_before
        if candle is None:
            return (None, None, None) if prediction is None else _prices_of(prediction)
        open_time_ms = candle.open_time_ms + interval_ms
        if prediction is not None:
            open_time_ms = prediction.open_time_ms
        if before is None or candle.open_time_ms - before.open_time_ms != interval_ms:
            return open_time_ms, candle.close, None
        return open_time_ms, candle.close, rounded_fraction(candle.close / before.close - 1.0)

    def _skill_cells(self) -> tuple[object, ...]:
        skill = self.skill
        if skill is None:
            return None, None, None, 0
        return *map(rounded_fraction, (skill.value, skill.low, skill.high)), skill.n


def _replaces(candle: Candle, known: Candle | None, is_older: bool) -> bool:
    if known is None or candle.open_time_ms > known.open_time_ms:
        return True
    return candle.open_time_ms == known.open_time_ms and not is_older


def shown_bounds(prediction: Prediction) -> Interval | None:
    """Return the bounds that the table shows; None for a profile that published none."""
    return next((one for one in prediction.intervals if one.coverage == SHOWN_COVERAGE), None)


def _prices_of(prediction: Prediction) -> tuple[object, ...]:
    previous = prediction.previous
    change = None if previous is None else previous.outcome_change
    return prediction.open_time_ms, prediction.close, rounded_fraction(change)


def _forecast_cells(prediction: Prediction | None) -> tuple[object, ...]:
    if prediction is None:
        return (None,) * 7
    shown = shown_bounds(prediction)
    bounds = (None,) * 4 if shown is None else _bound_cells(shown)
    change = rounded_fraction(prediction.calibrated_change)
    return change, rounded_price(prediction.calibrated_close), *bounds, prediction.actionable


def _bound_cells(bounds: Interval) -> tuple[object, ...]:
    changes = map(rounded_fraction, (bounds.lower_change, bounds.upper_change))
    return *changes, *map(rounded_price, (bounds.lower_close, bounds.upper_close))


def _score_cells(prediction: Prediction | None) -> tuple[object, ...]:
    if prediction is None:
        return None, None
    scores, intervals = prediction.scores, prediction.interval_scores
    hit_rate = scores.sign_hits / scores.moves if scores.moves else None
    is_known = intervals.n > 0 and len(intervals.covered) == len(COVERAGES)
    coverage = intervals.covered[_SHOWN] / intervals.n if is_known else None
    return rounded_fraction(hit_rate), rounded_fraction(coverage)


def _model_cells(prediction: Prediction | None) -> tuple[object, ...]:
    if prediction is None:
        return None, None
    return prediction.model_version, prediction.steps


def _rounded(milliseconds: float | None) -> int | None:
    return None if milliseconds is None else round(milliseconds)
