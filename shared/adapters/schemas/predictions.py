"""Records of the topic `predictions`."""

from typing import Any, Final

from pydantic import ValidationError

from shared.adapters.schemas import wire
from shared.adapters.schemas.prediction_messages import MAX_PREDICTION_BYTES, PredictionMessage
from shared.core.dataclass_fields import sorted_fields
from shared.core.online.interval_scores import IntervalScores
from shared.core.online.intervals import Interval
from shared.core.online.prediction import Outcome, Prediction
from shared.core.online.scores import Scores

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


def parse_prediction(value: bytes | None) -> PredictionMessage:
    """Return the message of a record's bytes, which has the fields of the prediction.

    Raises:
        BadInput: they are no prediction.
    """
    checked = wire.check_size(value, MAX_PREDICTION_BYTES, "a prediction")
    try:
        return PredictionMessage.model_validate_json(checked)
    except ValidationError as error:
        raise wire.to_bad_input(error) from error


def decode_prediction(value: bytes | None) -> Prediction:
    """Return the prediction of a message's bytes.

    Raises:
        BadInput: they are no prediction.
    """
    message = parse_prediction(value)
    fields = dict(vars(message))  # iterating the model gives the same, at several times the cost
    del fields["schema_"]
    fields["previous"] = None if message.previous is None else Outcome(**vars(message.previous))
    fields["intervals"] = tuple([Interval(**vars(each)) for each in message.intervals])
    fields["scores"] = Scores(**vars(message.scores))
    fields["interval_scores"] = IntervalScores(**vars(message.interval_scores))
    return Prediction(**fields)
