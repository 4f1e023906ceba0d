"""A prediction as a value: what `predictions` carries."""

from dataclasses import dataclass

from shared.core.online.scores import Scores


@dataclass(frozen=True, slots=True)
class Outcome:
    """The symbol's previous prediction and what came of it; outcome_change is None across a gap."""

    open_time_ms: int
    model_version: str
    predicted_change: float
    calibrated_change: float
    outcome_change: float | None


@dataclass(frozen=True, slots=True)
class Prediction:
    """The close expected of the candle that opens at `open_time_ms`. Changes are fractions."""

    symbol: str
    interval: str
    open_time_ms: int
    close: float
    predicted_change: float
    predicted_close: float
    change_scale: float  # what the network measures changes in: the symbol's recent volatility
    calibration: float  # in [0, 1]: how much of the predicted change has been borne out so far
    calibrated_change: float  # predicted_change x calibration: never much worse than zero change
    calibrated_close: float
    actionable: bool  # calibrated changes have been better than zero change, beyond chance
    model_version: str
    steps: int
    loss: (
        float | None
    )  # squared error that the step just before was made on, in units of change_scale
    was_reset: bool  # the step gave a number that is not finite: back to the model's weights
    previous: Outcome | None
    scores: Scores
    source_offset: int
    promotion_offset: int
    state_digest: str | None  # of the state it was made from; None where nobody asked for it
    numeric_profile: str
