"""Records of the topic `predictions`."""

from typing import Literal

from pydantic import Field, ValidationError

from shared.adapters.schemas import wire
from shared.core.dataclass_fields import dataclass_fields
from shared.core.online.prediction import Outcome, Prediction
from shared.core.online.scores import Scores


class ScoresMessage(wire.Wire):
    """A symbol's running scores since its model was promoted."""

    n: int
    squared_error: float
    squared_error_zero: float
    absolute_error: float
    absolute_error_zero: float
    sign_hits: int
    moves: int
    squared_error_calibrated: float


class OutcomeMessage(wire.Wire):
    """The symbol's previous prediction and its outcome; None across a gap."""

    open_time_ms: wire.TimeMs
    model_version: wire.Version
    predicted_change: float
    calibrated_change: float
    outcome_change: float | None


class PredictionMessage(wire.Wire):
    """A prediction as downstream readers find it. Changes are fractions."""

    schema_: Literal[1] = Field(default=1, alias="schema")
    symbol: wire.Symbol
    interval: str
    open_time_ms: wire.TimeMs
    close: float
    predicted_change: float
    predicted_close: float
    change_scale: float
    calibration: float
    calibrated_change: float
    calibrated_close: float
    actionable: bool
    model_version: wire.Version
    steps: int
    loss: float | None
    was_reset: bool
    previous: OutcomeMessage | None
    scores: ScoresMessage
    source_offset: int
    promotion_offset: int
    state_digest: wire.Sha256
    numeric_profile: str


def encode_prediction(prediction: Prediction) -> bytes:
    """Return the canonical bytes of a prediction.

    Raises:
        ValueError: it was made without its state's digest, so it must not be published.
    """
    if prediction.state_digest is None:
        place = f"{prediction.symbol} from offset {prediction.source_offset}"
        raise ValueError(f"the prediction of {place} has no state digest")
    previous = None if prediction.previous is None else dataclass_fields(prediction.previous)
    fields = {
        **dataclass_fields(prediction),
        "schema": wire.SCHEMA,
        "previous": previous,
        "scores": dataclass_fields(prediction.scores),
    }
    return wire.canonical_json(fields)


def decode_prediction(value: bytes | None) -> Prediction:
    """Return the prediction of a message's bytes.

    Raises:
        BadInput: they are no prediction.
    """
    try:
        message = PredictionMessage.model_validate_json(value or b"")
    except ValidationError as error:
        raise wire.to_bad_input(error) from error
    fields = dict(vars(message))  # iterating the model gives the same, at several times the cost
    del fields["schema_"]
    fields["previous"] = None if message.previous is None else Outcome(**vars(message.previous))
    fields["scores"] = Scores(**vars(message.scores))
    return Prediction(**fields)
