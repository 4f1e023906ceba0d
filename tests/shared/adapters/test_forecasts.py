import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.adapters.schemas.forecasts import decode_forecast
from shared.adapters.schemas.predictions import decode_prediction, encode_prediction
from shared.core.errors import BadInput
from shared.core.online.prediction import Outcome
from tests.services.dashboard.history.symbol_topics import a_prediction

CHANGES = st.floats(-1.0, 1.0)
OUTCOMES = st.builds(
    Outcome, st.integers(0, 10**12), st.just("m1"), CHANGES, CHANGES, st.none() | CHANGES
)


@given(st.none() | OUTCOMES, st.floats(0.0, 1.0))
def test_a_forecast_has_the_fields_of_the_whole_prediction(
    previous: Outcome | None, scale: float
) -> None:
    value = encode_prediction(a_prediction(3, previous=previous, change_scale=scale))

    part, whole = decode_forecast(value), decode_prediction(value)

    assert (part.symbol, part.open_time_ms) == (whole.symbol, whole.open_time_ms)
    assert part.change_scale == whole.change_scale
    assert (part.previous is None) == (whole.previous is None)
    if part.previous is not None and whole.previous is not None:
        assert part.previous.open_time_ms == whole.previous.open_time_ms
        assert part.previous.calibrated_change == whole.previous.calibrated_change
        assert part.previous.outcome_change == whole.previous.outcome_change


@pytest.mark.parametrize("value", [None, b"", b"{}", b"[]", b"\xff", b'{"schema":2}'])
def test_what_is_no_prediction_is_refused(value: bytes | None) -> None:
    with pytest.raises(BadInput):
        decode_forecast(value)
