"""The card of a bundle on the topic `models`, field by field."""

from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from shared.adapters.schemas import wire
from shared.core.model.card import Learns

MAX_CARD_BYTES: Final = 16 * 1024 * 1024  # 2,000 symbols with a scaler of 32 columns have 5
MAX_CARD_VALUES: Final = 400_000

# The schema does not tell these bounds; the card's own checks narrow them.
_Whole = Annotated[int, Field(ge=-(2**63), le=2**63 - 1), WithJsonSchema({"type": "integer"})]


class _CardPart(BaseModel):
    """A part of a card. What a reader does not know may change the weights: it is refused."""

    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)


class ArchitectureMessage(_CardPart):
    """The sizes of the network: LSTM layers, then one linear output."""

    widths: Annotated[tuple[_Whole, ...], Field(min_length=1, max_length=3)] = Field(
        description="Units of each LSTM layer: a multiple of 8 from 8 to 128."
    )
    window_length: _Whole = Field(description="Candles that a forecast sees, 16 to 512.")
    features: _Whole = Field(description="Columns of the feature set, 1 to 32.")


class OptimiserMessage(_CardPart):
    """The optimiser of the online gradient step."""

    name: Literal["adam", "sgd"] = Field(description="sgd uses `rate` alone.")
    rate: float = Field(description="Learning rate.")
    beta_1: float = Field(description="Decay of the first moment.")
    beta_2: float = Field(description="Decay of the second moment.")
    epsilon: float = Field(description="Added to the root of the second moment.")


class HuberMessage(_CardPart):
    """Huber's loss: quadratic up to `delta`, linear beyond."""

    name: Literal["huber"]
    delta: float = Field(description="In units of the change scale.")


class ShrinkageMessage(_CardPart):
    """How fast a forecast is believed: see `shared/core/model/shrinkage.py`."""

    weight: float = Field(description="Of the prior, as a sum of squared forecasts.")
    prior: float = Field(description="The coefficient before anything is known.")
    caution: float = Field(description="Standard errors subtracted from the coefficient.")
    memory: float = Field(description="Factor of the sums at each outcome; 1 forgets nothing.")
    largest: float = Field(description="An outcome beyond it counts as this much.")


class IntervalSettingsMessage(_CardPart):
    """Where each symbol's volatility forecast and quantiles start."""

    weights: tuple[float, ...] = Field(description="Of the five means of past sizes.")
    hours: tuple[float, ...] = Field(description="How active each hour of the day is, UTC; mean 1.")
    parts_of_an_hour: tuple[float, ...] = Field(description="The same by five minutes of the hour.")
    quantiles: tuple[float, ...] = Field(description="Of changes in units of their forecast.")
    change: float = Field(description="Mean absolute change of a candle, a fraction.")
    true_range: float = Field(description="Mean true range of a candle, a fraction.")


class EvidenceMessage(_CardPart):
    """When a forecast is called actionable."""

    false_flag_rate: float = Field(description="Chance of the flag on a symbol without skill.")


class ScalerMessage(_CardPart):
    """A symbol's min-max scaler: value x scale + offset, by column."""

    scale: tuple[float, ...]
    offset: tuple[float, ...]


class HeadMessage(_CardPart):
    """The linear layer that learns from each outcome by recursive least squares."""

    inputs: _Whole = Field(description="Its inputs: the last layer, the features and a constant.")
    forgetting: float = Field(description="Factor of older outcomes' weight; 1 forgets nothing.")
    prior_observations: float = Field(description="How many outcomes the prior counts for.")
    largest_error: float | None = Field(description="Larger errors are clipped; null: no bound.")


class CardMessage(_CardPart):
    """A model version's card: the settings of its forecasts and how they were made.

    In a bundle it stands behind a line with its length; the arrays that it describes follow.
    """

    schema_: wire.SchemaNumber = wire.schema_field()
    architecture: ArchitectureMessage
    feature_set: str = Field(description="Name of the feature set.")
    label_scale: float = Field(description="Changes are measured in this times the set's unit.")
    loss: Literal["squared_error"] | HuberMessage = Field(description="Of the online step.")
    optimiser: OptimiserMessage
    shrinkage: ShrinkageMessage
    intervals: IntervalSettingsMessage
    evidence: EvidenceMessage
    learns: Learns = Field(
        default="gradient",
        description="What learns online: nothing, the network by gradient steps, the head, both.",
    )
    head: HeadMessage | None = None
    starts: dict[str, wire.Count] = Field(
        default_factory=dict, description="Bytes of each symbol's start, by symbol."
    )
    baskets: wire.BasketsVersion | None = Field(
        default=None, description="Version of the definition of baskets it was trained with."
    )
    scalers: dict[str, ScalerMessage] = Field(description="By symbol.")
    trained_from_ms: _Whole = Field(description="Opening of the first candle, ms since 1970 UTC.")
    trained_through_ms: _Whole = Field(description="Opening of the last candle, ms since 1970 UTC.")
    parent: str | None = Field(description="The champion when this version was made.")
    scores: dict[str, Any] = Field(description="As the trainer measured them.")
    training: dict[str, Any] = Field(description="The trainer's settings and what came of them.")
