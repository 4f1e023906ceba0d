"""The state of one symbol: everything that must survive a restart."""

from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np

from shared.core.arrays import Float32s, Float64s, read_only64
from shared.core.features.base import Features
from shared.core.model.head import Head
from shared.core.model.optimiser import Learner
from shared.core.model.scaler import Scaler
from shared.core.online.calibration import Calibration
from shared.core.online.evidence import Evidence
from shared.core.online.intervals import IntervalState
from shared.core.online.scores import Scores
from shared.core.sequence import CLOSE, OPEN_TIME, empty_sequence


def no_checkpoints() -> Float64s:
    """Return the checkpoints of a symbol that no model predicts."""
    return read_only64(np.empty((0, 0)))


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
    # Offset of the candle that it was made from. None: a promotion made it of the candles since
    # training; it is learnt from, but it is no prediction that anybody has read.
    source_offset: int | None = None

    @property
    def is_published(self) -> bool:
        """Whether it is on the predictions topic."""
        return self.source_offset is not None


@dataclass(frozen=True, eq=False)
class SymbolState:
    """The state of a symbol after its records and the promotions among them."""

    symbol: str
    sequence: Float64s = field(default_factory=empty_sequence)  # (n, columns), oldest first
    model_version: str | None = None
    promotion_offset: int | None = None
    learner: Learner | None = None  # None: the network's weights are the model's
    head: Head | None = None  # None: the model's, or it has none
    steps: int = 0  # outcomes learnt from since the promotion
    features: Features | None = None  # None while no model is promoted
    scaler: Scaler | None = None  # fitted here because the card has none for this symbol
    pending: PendingPrediction | None = None
    scores: Scores = field(default_factory=Scores)
    calibration: Calibration = field(default_factory=Calibration)
    evidence: Evidence = field(default_factory=Evidence)
    intervals: IntervalState | None = None  # None while no model is promoted
    corrections: int = 0  # amendments and fills applied since the promotion
    # (n, numbers), oldest first, of features and volatility: see checkpoints.py
    checkpoints: Float64s = field(default_factory=no_checkpoints)
    begins_ms: int = 0  # while it has no candles: the first may open then, or later
    # Not stored, and computed again where they are missing: the Jacobian (weights,) of the pending
    # prediction, which idle time computes, and the inputs (n,) that the head made it from.
    jacobian: Float32s | None = None
    head_inputs: Float64s | None = None

    def replace(self, **changes: Any) -> Self:
        """Return the state with other values of some fields.

        A candle does this several times, and it takes a fifth of the time of dataclasses.replace.

        Raises:
            TypeError: there is no such field.
        """
        if not changes.keys() <= self.__dict__.keys():
            raise TypeError(
                f"no fields of a state: {sorted(changes.keys() - self.__dict__.keys())}"
            )
        after = object.__new__(type(self))
        after.__dict__.update(self.__dict__, **changes)
        return after

    @property
    def last_open_time_ms(self) -> int | None:
        """Open time of the newest candle."""
        return int(self.sequence[-1, OPEN_TIME]) if len(self.sequence) else None

    @property
    def last_close(self) -> float:
        """Close of the newest candle."""
        return float(self.sequence[-1, CLOSE])
