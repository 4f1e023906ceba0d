"""The part of a prediction that scoring it needs, decoded several times as fast as the whole."""

from pydantic import ValidationError

from shared.adapters.schemas import wire
from shared.adapters.schemas.prediction_messages import MAX_PREDICTION_BYTES


class PastOutcomeMessage(wire.Wire):
    """The symbol's previous forecast and its outcome; None across a gap."""

    open_time_ms: wire.TimeMs
    calibrated_change: float
    outcome_change: float | None


class ForecastMessage(wire.Wire):
    """What was forecast when, in units of what, and what came of the forecast before."""

    schema_: wire.SchemaNumber = wire.schema_field()
    symbol: wire.Symbol
    open_time_ms: wire.TimeMs
    change_scale: float
    previous: PastOutcomeMessage | None


def decode_forecast(value: bytes | None) -> ForecastMessage:
    """Return the forecast of a message's bytes; the rest of a prediction is not looked at.

    Raises:
        BadInput: they are no prediction, as far as can be told.
    """
    checked = wire.check_size(value, MAX_PREDICTION_BYTES, "a prediction")
    try:
        return ForecastMessage.model_validate_json(checked)
    except ValidationError as error:
        raise wire.to_bad_input(error) from error
