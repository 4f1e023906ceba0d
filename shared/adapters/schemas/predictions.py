"""Records of the topic `predictions`."""

from typing import Any, Final, Literal

from pydantic import Field, ValidationError

from shared.adapters.schemas import wire
from shared.core.dataclass_fields import sorted_fields
from shared.core.online.interval_scores import IntervalScores
from shared.core.online.intervals import Interval
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


class IntervalMessage(wire.Wire):
    """Bounds that hold the next close `coverage` per cent of the time; bounds are inside."""

    coverage: int
    lower_change: float
    upper_change: float
    lower_close: float
    upper_close: float


class IntervalScoresMessage(wire.Wire):
    """Running sums of how the symbol's intervals have held since its model was promoted."""

    n: int = 0
    covered: tuple[int, ...] = IntervalScores().covered
    width: tuple[float, ...] = IntervalScores().width
    pinball_loss: float = 0.0
    pinball_loss_constant: float = 0.0
    pinball_loss_exponential: float = 0.0


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
    intervals: tuple[IntervalMessage, ...] = ()  # profiles before 3 published none
    model_version: wire.Version
    steps: int
    loss: float | None
    was_reset: bool
    previous: OutcomeMessage | None
    scores: ScoresMessage
    interval_scores: IntervalScoresMessage = IntervalScoresMessage()
    source_offset: int
    promotion_offset: int
    corrections: int = 0  # profiles before 4 counted none
    state_digest: wire.Sha256
    numeric_profile: str


_TEMPLATE: Final[dict[str, Any]] = {
    **dict.fromkeys(sorted([*Prediction.__slots__, "schema"])),
    "schema": wire.SCHEMA,
}


def encode_prediction(prediction: Prediction) -> bytes:
    """Return the canonical bytes of a prediction.

    Raises:
        ValueError: it was made without its state's digest, so it must not be published.
    """
    if prediction.state_digest is None:
        place = f"{prediction.symbol} from offset {prediction.source_offset}"
        raise ValueError(f"the prediction of {place} has no state digest")
    previous = prediction.previous
    # Sorted once, in the template: sorting each record would take half of the encoder's time.
    fields = _TEMPLATE | sorted_fields(prediction)
    fields["previous"] = None if previous is None else sorted_fields(previous)
    fields["intervals"] = [sorted_fields(interval) for interval in prediction.intervals]
    fields["scores"] = sorted_fields(prediction.scores)
    fields["interval_scores"] = sorted_fields(prediction.interval_scores)
    return wire.dump_sorted(fields)


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
    fields["intervals"] = tuple([Interval(**vars(each)) for each in message.intervals])
    fields["scores"] = Scores(**vars(message.scores))
    fields["interval_scores"] = IntervalScores(**vars(message.interval_scores))
    return Prediction(**fields)
