"""Messages of the topic `predictions`, field by field."""

from typing import Annotated, Final

from pydantic import Field

from shared.adapters.schemas import wire
from shared.core.online.interval_scores import IntervalScores

MAX_PREDICTION_BYTES: Final = 16_384  # one takes about 2,500

Count = wire.Count
Share = Annotated[float, Field(ge=0, le=1)]


class ScoresMessage(wire.Wire):
    """Running sums over a symbol's published predictions since the promotion.

    Changes are fractions of the close before; `..._zero` are the sums of the forecast "no change".
    Skill is 1 - squared_error_calibrated / squared_error_zero.
    """

    n: Count = Field(description="Predictions whose outcome is known.")
    squared_error: float = Field(description="Sum of the squared errors of predicted_change.")
    squared_error_zero: float = Field(description="Sum of the squared outcomes.")
    absolute_error: float = Field(description="Sum of the absolute errors of predicted_change.")
    absolute_error_zero: float = Field(description="Sum of the absolute outcomes.")
    sign_hits: Count = Field(description="Predictions with the sign of their outcome.")
    moves: Count = Field(description="Outcomes that were not zero.")
    squared_error_calibrated: float = Field(
        description="Sum of the squared errors of calibrated_change."
    )


class IntervalMessage(wire.Wire):
    """Bounds that hold the next close so often; a close that equals a bound is inside."""

    coverage: Annotated[int, Field(ge=1, le=99)] = Field(
        description="How many closes of a hundred the bounds hold, per cent."
    )
    lower_change: float = Field(description="Lower bound, a fraction of `close`.")
    upper_change: float = Field(description="Upper bound, a fraction of `close`.")
    lower_close: float = Field(description="Lower bound in quote currency.")
    upper_close: float = Field(description="Upper bound in quote currency.")


class IntervalScoresMessage(wire.Wire):
    """Running sums over a symbol's published intervals since the promotion.

    A close counts as at most five widths of the outermost interval beyond it.
    """

    n: Count = Field(default=0, description="Intervals whose outcome is known.")
    covered: tuple[Count, ...] = Field(
        default=IntervalScores().covered,
        description="How many closes each interval held, innermost first.",
    )
    width: tuple[float, ...] = Field(
        default=IntervalScores().width,
        description="Sum of upper less lower bound of each interval, fractions.",
    )
    pinball_loss: float = Field(
        default=0.0, description="Sum of the mean pinball loss of the eight bounds, a fraction."
    )
    pinball_loss_constant: float = Field(
        default=0.0, description="The same with constant volatility."
    )
    pinball_loss_exponential: float = Field(
        default=0.0, description="The same with exponentially weighted volatility."
    )


class OutcomeMessage(wire.Wire):
    """The symbol's prediction before this one, with its outcome."""

    open_time_ms: wire.TimeMs = Field(
        description="Opening of the candle that it predicted, ms since 1970 UTC."
    )
    model_version: wire.Version = Field(description="The version that made it.")
    predicted_change: float = Field(description="As it was published, a fraction.")
    calibrated_change: float = Field(description="As it was published, a fraction.")
    outcome_change: float | None = Field(
        description="What came: close / close before - 1, a fraction. Null across a gap, also one"
        " that was filled since."
    )


class PredictionMessage(wire.Wire):
    """The expected close of a symbol's next candle, made from the candle at `source_offset`.

    Changes are fractions of `close`: 0.001 is 0.1 %.
    """

    schema_: wire.SchemaNumber = wire.schema_field()
    symbol: wire.Symbol = Field(description="The symbol; the record's key too.")
    interval: str = Field(description="The candles' interval, such as 5m.")
    open_time_ms: wire.TimeMs = Field(
        description="Opening of the candle that is predicted, ms since 1970 UTC."
    )
    close: float = Field(
        description="Close of the candle before it, in quote currency: what changes refer to."
    )
    predicted_change: float = Field(description="The network's own forecast, a fraction.")
    predicted_close: float = Field(description="The close it leads to, in quote currency.")
    change_scale: float = Field(
        description="The symbol's recent volatility, a fraction: what the network measures changes"
        " in."
    )
    calibration: Share = Field(
        description="Share of earlier raw forecasts that was realised; 0 where no skill was shown."
    )
    calibrated_change: float = Field(
        description="`predicted_change` x `calibration`, a fraction: the forecast to use."
    )
    calibrated_close: float = Field(description="The close it leads to, in quote currency.")
    actionable: bool = Field(
        description="Whether calibrated forecasts of this symbol have been better than no change"
        " beyond chance."
    )
    intervals: tuple[IntervalMessage, ...] = Field(
        default=(),
        description="Bounds of the next close at 50, 80, 90 and 95 %, each within the next. Empty"
        " in records of numeric profiles before 3.",
    )
    model_version: wire.Version = Field(
        description="The bundle on `models` whose weights the symbol started from."
    )
    steps: Count = Field(description="Online steps of this symbol since the promotion.")
    loss: float | None = Field(
        description="Squared error of the newest step in units of `change_scale` squared; null if"
        " there was no step."
    )
    was_reset: bool = Field(
        description="Whether the step gave numbers that are not finite, so that the symbol went"
        " back to the model's weights."
    )
    previous: OutcomeMessage | None = Field(
        description="The symbol's prediction before this one, and its outcome; null after a"
        " promotion."
    )
    scores: ScoresMessage = Field(description="How good the forecasts have been.")
    interval_scores: IntervalScoresMessage = Field(
        default=IntervalScoresMessage(), description="How often the intervals have held."
    )
    source_offset: Count = Field(
        description="Offset in `klines`, same partition, of the candle this was made from."
    )
    promotion_offset: Count = Field(
        description="Offset in `klines`, same partition, of the promotion in force."
    )
    corrections: Count = Field(
        default=0,
        description="Amendments and fills of the symbol's candles since the promotion. More than"
        " in the prediction before: the window was corrected between them. 0 in records of"
        " numeric profiles before 4.",
    )
    state_digest: wire.Sha256 = Field(
        description="SHA-256 that stands for the symbol's state that the candle was applied to."
    )
    numeric_profile: str = Field(
        description="Which bits the kernel computes; the same on every machine."
    )
