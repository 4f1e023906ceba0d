"""Predictions of any values that one may have."""

from typing import Any, Final

from hypothesis import strategies as st

from shared.core.online.interval_scores import COVERAGES, IntervalScores
from shared.core.online.intervals import Interval
from shared.core.online.prediction import Outcome, Prediction
from shared.core.online.scores import Scores

LAST_MS: Final = 253_402_300_799_999
numbers = st.floats(allow_nan=False, allow_infinity=False)
counts = st.integers(0, 10**15)
times = st.integers(0, LAST_MS)
versions = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}", fullmatch=True)
scores = st.builds(Scores, counts, numbers, numbers, numbers, numbers, counts, counts, numbers)
outcomes = st.builds(Outcome, times, versions, numbers, numbers, st.none() | numbers)


@st.composite
def intervals(draw: st.DrawFn) -> tuple[Interval, ...]:
    bounds = st.tuples(numbers, numbers, numbers, numbers)
    return tuple(Interval(coverage, *draw(bounds)) for coverage in COVERAGES)


interval_scores = st.builds(
    IntervalScores,
    counts,
    st.tuples(counts, counts, counts, counts),
    st.tuples(numbers, numbers, numbers, numbers),
    numbers,
    numbers,
    numbers,
)


@st.composite
def predictions(draw: st.DrawFn) -> Prediction:
    """Draw a prediction that an encoder takes."""
    fields: dict[str, Any] = {
        name: draw(numbers)
        for name in (
            *("close", "predicted_change", "predicted_close", "change_scale"),
            *("calibrated_change", "calibrated_close"),
        )
    }
    return Prediction(
        **fields,
        symbol=draw(st.sampled_from(["BTCUSDT", "1000SATSUSDT", "币安人生USDT", "A.B-C_D"])),
        interval=draw(st.sampled_from(["1m", "5m", "1h"])),
        open_time_ms=draw(times),
        calibration=draw(st.floats(0.0, 1.0)),
        actionable=draw(st.booleans()),
        intervals=draw(intervals()),
        model_version=draw(versions),
        steps=draw(counts),
        loss=draw(st.none() | numbers),
        was_reset=draw(st.booleans()),
        previous=draw(st.none() | outcomes),
        scores=draw(scores),
        interval_scores=draw(interval_scores),
        source_offset=draw(counts),
        promotion_offset=draw(counts),
        corrections=draw(counts),
        state_digest=draw(st.from_regex(r"[0-9a-f]{64}", fullmatch=True)),
        numeric_profile="5-50ac22fce68847bb",
    )
