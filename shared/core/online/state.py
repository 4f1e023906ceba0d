"""The state of one symbol: everything that must survive a restart."""

from dataclasses import dataclass, field

from shared.core.arrays import Float32s, Float64s
from shared.core.features.base import Features
from shared.core.model.optimiser import Learner
from shared.core.model.scaler import Scaler
from shared.core.online.calibration import Calibration
from shared.core.online.scores import Scores
from shared.core.sequence import CLOSE, OPEN_TIME, empty_sequence


@dataclass(frozen=True, slots=True)
class PendingPrediction:
    """A prediction whose outcome is not known yet."""

    open_time_ms: int  # of the candle it predicts
    model_version: str
    change: float
    calibrated_change: float
    output: float  # the predicted change in units of `scale`, a float32
    scale: float  # change = output x scale
    learnable: bool  # its window and weights are still those it was made with


@dataclass(frozen=True, eq=False)
class SymbolState:
    """The state of a symbol after its records and the promotions among them."""

    symbol: str
    sequence: Float64s = field(default_factory=empty_sequence)  # (n, columns), oldest first
    model_version: str | None = None
    promotion_offset: int | None = None
    learner: Learner | None = None
    features: Features | None = None  # None while no model is promoted
    scaler: Scaler | None = None  # fitted here because the card has none for this symbol
    pending: PendingPrediction | None = None
    scores: Scores = field(default_factory=Scores)
    calibration: Calibration = field(default_factory=Calibration)
    # Not stored: the Jacobian (weights,) of the pending prediction, computed in idle time. It is
    # computed again where it is missing.
    jacobian: Float32s | None = None

    @property
    def last_open_time_ms(self) -> int | None:
        """Open time of the newest candle."""
        return int(self.sequence[-1, OPEN_TIME]) if len(self.sequence) else None

    @property
    def last_close(self) -> float:
        """Close of the newest candle."""
        return float(self.sequence[-1, CLOSE])
