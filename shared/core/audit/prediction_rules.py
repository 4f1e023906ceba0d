"""The rules that each prediction keeps towards its candle, its predecessor and its promotion.

They are plain arithmetic, written a second time without the fold: a mistake in the fold cannot hide
itself here.
"""

from collections.abc import Iterator
from math import inf, isfinite
from operator import add
from typing import Final

from shared.core.audit.symbol_history import SymbolHistory
from shared.core.audit.violation import Check, Difference, Violation, compare_fields
from shared.core.online.interval_scores import COVERAGES, LARGEST_MISS, IntervalScores
from shared.core.online.intervals import Interval
from shared.core.online.prediction import Outcome, Prediction
from shared.core.online.scores import Scores
from shared.core.records import Candle

_FIRST_WITH_INTERVALS: Final = 3  # version of the numeric profile
_FIRST_WITH_CORRECTIONS: Final = 4


def check_candle_fields(
    prediction: Prediction, candle: Candle, interval: str, step_ms: int
) -> Iterator[Violation]:
    """Compare a prediction with the candle it was made from."""
    return compare_fields(
        Check.CANDLE,
        f"prediction of {candle.symbol} does not agree with its candle",
        prediction,
        {
            "interval": interval,
            "open_time_ms": candle.open_time_ms + step_ms,
            "close": candle.close,
            "predicted_close": candle.close * (1.0 + prediction.predicted_change),
            "calibrated_change": prediction.predicted_change * prediction.calibration,
            "calibrated_close": candle.close * (1.0 + prediction.calibrated_change),
        },
    )


def check_corrections(prediction: Prediction, history: SymbolHistory) -> Iterator[Violation]:
    """Compare a prediction's number of corrections with those of its symbol in the log."""
    if _profile_version(prediction) < _FIRST_WITH_CORRECTIONS:
        return
    yield from compare_fields(
        Check.CANDLE,
        f"prediction of {prediction.symbol} does not count the corrections of its candles",
        prediction,
        {"corrections": history.corrections},
    )


def check_intervals(prediction: Prediction) -> Iterator[Violation]:
    """Compare a prediction's intervals with what they must be: nested, of closes above zero."""
    if _profile_version(prediction) < _FIRST_WITH_INTERVALS and not prediction.intervals:
        return
    if len(prediction.intervals) != len(COVERAGES):
        message = f"prediction of {prediction.symbol} has {len(prediction.intervals)} intervals"
        yield Violation(
            Check.INTERVALS,
            message,
            (Difference("intervals", len(prediction.intervals), len(COVERAGES)),),
        )
        return
    yield from compare_fields(
        Check.INTERVALS,
        f"intervals of {prediction.symbol} are not nested, or not those of its close",
        prediction,
        {"intervals": _expected_intervals(prediction)},
    )


def check_succession(
    prediction: Prediction, history: SymbolHistory, change: float | None
) -> Iterator[Violation]:
    """Compare a prediction with the symbol's previous one and the outcome known since.

    Args:
        prediction: the new prediction.
        history: of its symbol; its last prediction is the previous one.
        change: of the close since the previous candle, as a fraction; None across a gap.
    """
    previous = history.last_prediction
    outcome = change if previous is not None and history.is_learnable else None
    symbol = prediction.symbol
    yield from compare_fields(
        Check.PREVIOUS,
        f"prediction of {symbol} does not name the previous one and its outcome",
        prediction,
        {"previous": _expected_previous(previous, change)},
    )
    yield from compare_fields(
        Check.SCORES,
        f"scores of {symbol} do not follow from the previous ones and the outcome",
        prediction,
        {"scores": _expected_scores(previous, outcome)},
    )
    yield from compare_fields(
        Check.INTERVALS,
        f"scores of the intervals of {symbol} do not follow from the previous ones and the outcome",
        prediction,
        {"interval_scores": _expected_interval_scores(prediction, previous, outcome)},
    )
    steps = 0
    if previous is not None and not prediction.was_reset:
        steps = previous.steps + (outcome is not None)
    yield from compare_fields(
        Check.STEPS,
        f"steps or loss of {symbol} do not follow from the outcome",
        prediction,
        {"steps": steps, **_expected_loss(previous, outcome)},
    )


def _expected_previous(previous: Prediction | None, change: float | None) -> Outcome | None:
    if previous is None:
        return None
    return Outcome(
        previous.open_time_ms,
        previous.model_version,
        previous.predicted_change,
        previous.calibrated_change,
        change,
    )


def _expected_scores(previous: Prediction | None, outcome: float | None) -> Scores:
    """Return the scores after an outcome; without one they stay as they were."""
    before = Scores() if previous is None else previous.scores
    if previous is None or outcome is None:
        return before
    predicted = previous.predicted_change
    error, calibrated_error = predicted - outcome, previous.calibrated_change - outcome
    return Scores(
        n=before.n + 1,
        squared_error=before.squared_error + error * error,
        squared_error_zero=before.squared_error_zero + outcome * outcome,
        absolute_error=before.absolute_error + abs(error),
        absolute_error_zero=before.absolute_error_zero + abs(outcome),
        sign_hits=before.sign_hits + (predicted * outcome > 0),
        moves=before.moves + (outcome != 0),
        squared_error_calibrated=before.squared_error_calibrated
        + calibrated_error * calibrated_error,
    )


def _expected_intervals(prediction: Prediction) -> tuple[Interval, ...]:
    """Return the intervals of the published changes, each widened to hold the one before."""
    close, expected = prediction.close, list[Interval]()
    lowest, highest = inf, -inf
    for coverage, published in zip(COVERAGES, prediction.intervals, strict=True):
        lowest = max(min(lowest, published.lower_change), -0.99)
        highest = max(highest, published.upper_change, lowest)
        lower_close, upper_close = close * (1.0 + lowest), close * (1.0 + highest)
        expected.append(Interval(coverage, lowest, highest, lower_close, upper_close))
    return tuple(expected)


def _expected_interval_scores(
    prediction: Prediction, previous: Prediction | None, outcome: float | None
) -> IntervalScores:
    """Return the intervals' scores after an outcome.

    The losses of the baselines cannot be derived from what is published; they never fall.
    """
    before = IntervalScores() if previous is None else previous.interval_scores
    if previous is None or outcome is None:
        return before
    found, pairs = prediction.interval_scores, previous.intervals
    bounds = [
        *((each.lower_change, (100 - each.coverage) / 200) for each in reversed(pairs)),
        *((each.upper_change, (100 + each.coverage) / 200) for each in pairs),
    ]
    loss = 0.0
    if bounds:
        lowest, highest = bounds[0][0], bounds[-1][0]
        reach = LARGEST_MISS * (highest - lowest)
        counted = min(max(outcome, lowest - reach), highest + reach)
        for bound, level in bounds:
            loss += (level - (counted < bound)) * (counted - bound)
    covered = [each.lower_change <= outcome <= each.upper_change for each in pairs]
    widths = [each.upper_change - each.lower_change for each in pairs]
    return IntervalScores(
        before.n + 1,
        tuple(map(add, before.covered, covered)),
        tuple(map(add, before.width, widths)),
        before.pinball_loss + loss / 8.0,
        max(found.pinball_loss_constant, before.pinball_loss_constant),
        max(found.pinball_loss_exponential, before.pinball_loss_exponential),
    )


def _expected_loss(previous: Prediction | None, outcome: float | None) -> dict[str, float | None]:
    """Return the squared error in units of the change scale.

    Empty if the scale is not positive: then there is nothing to compare with, and the rule that
    every byte must agree with the fold finds the fault.
    """
    if previous is None or outcome is None:
        return {"loss": None}
    scale = previous.change_scale
    if not scale > 0.0:
        return {}
    error = previous.predicted_change / scale - outcome / scale
    return {"loss": error * error if isfinite(error * error) else None}


def _profile_version(prediction: Prediction) -> int:
    version = prediction.numeric_profile.partition("-")[0]
    return int(version) if version.isdigit() else _FIRST_WITH_CORRECTIONS
