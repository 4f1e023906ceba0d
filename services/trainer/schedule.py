"""How to fit, and what a fit gives. Values only."""

from dataclasses import dataclass
from math import inf

from shared.core.arrays import Float32s


@dataclass(frozen=True, slots=True)
class Schedule:
    """How long, how fast and towards what to train."""

    epochs: int
    patience: int  # epochs without a better validation loss before it ends
    windows_per_epoch: int
    validation_windows: int
    batch_size: int
    learning_rate: float
    dropout: float
    seed: int
    huber_delta: float = inf  # the loss is the squared error up to this error, and a straight line beyond it


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """Weights, flat in Keras' order, and the mean losses by epoch on the network's scale."""

    weights: Float32s
    training_losses: tuple[float, ...]
    validation_losses: tuple[float, ...]
