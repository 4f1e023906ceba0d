"""What must travel with a model's weights."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf
from typing import Any, Literal, NoReturn

import numpy as np

from shared.core.arrays import Float32s, frozen32
from shared.core.calibration import Shrinkage
from shared.core.errors import BadInput
from shared.core.features import feature_set
from shared.core.scaler import Scaler

MAX_WEIGHT = 1e6  # beyond this, the products of a window overflow float32

Target = Literal["change", "level"]
"""What the network's output is: the next change, or the next close on the symbol's scaler."""


@dataclass(frozen=True, slots=True)
class Architecture:
    """LSTM layers of these widths, then Dense(1), over windows (window_length, features)."""

    widths: tuple[int, ...]
    window_length: int
    features: int

    def __post_init__(self) -> None:
        """Refuse what the kernel does not compute."""
        if not 1 <= len(self.widths) <= 3:
            _refuse("number of LSTM layers", len(self.widths), "1 to 3")
        for width in self.widths:
            if width % 8 or not 8 <= width <= 128:
                _refuse("LSTM width", width, "a multiple of 8 from 8 to 128")
        if not 16 <= self.window_length <= 1024:
            _refuse("window length", self.window_length, "16 to 1024")
        if not 1 <= self.features <= 32:
            _refuse("number of features", self.features, "1 to 32")

    def shapes(self) -> list[tuple[int, ...]]:
        """Return the shapes of the weight arrays in Keras' order.

        >>> Architecture((32, 32), 288, 6).shapes()
        [(6, 128), (32, 128), (128,), (32, 128), (32, 128), (128,), (32, 1), (1,)]
        """
        shapes: list[tuple[int, ...]] = []
        inputs = self.features
        for width in self.widths:
            shapes += [(inputs, 4 * width), (width, 4 * width), (4 * width,)]
            inputs = width
        return [*shapes, (inputs, 1), (1,)]

    def weight_count(self) -> int:
        """Return the number of weights.

        >>> Architecture((32, 32), 288, 6).weight_count()
        13345
        """
        return sum(int(np.prod(shape)) for shape in self.shapes())


@dataclass(frozen=True, slots=True)
class Optimiser:
    """Adam as Keras has it, or plain gradient descent, which uses the rate alone."""

    name: Literal["adam", "sgd"] = "adam"
    rate: float = 1e-5
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-7

    def __post_init__(self) -> None:
        """Refuse what cannot converge."""
        if not 0 <= self.rate <= 1:
            _refuse("optimiser rate", self.rate, "0 to 1")
        for beta in (self.beta_1, self.beta_2):
            if not 0 <= beta < 1:
                _refuse("optimiser beta", beta, "0 to below 1")
        if not 1e-12 <= self.epsilon <= 1:
            _refuse("optimiser epsilon", self.epsilon, "1e-12 to 1")


@dataclass(frozen=True, slots=True)
class Card:
    """A model version's settings and history; the fold reads all but the times, the parent and the last two."""

    architecture: Architecture
    feature_set: str
    label_scale: float  # times the feature set's unit: what changes are measured in
    optimiser: Optimiser
    scalers: Mapping[str, Scaler]  # by symbol; one that is missing is fitted on the first full window
    trained_from_ms: int
    trained_through_ms: int  # open time of the last candle that training has seen
    huber_delta: float = inf  # an error beyond it, on the network's scale, counts linearly
    shrinkage: Shrinkage = field(default_factory=Shrinkage)
    target: Target = "change"
    parent: str | None = None  # the model version that was in use when this one was made
    scores: Mapping[str, Any] = field(default_factory=dict)  # what the trainer measured, as plain values
    training: Mapping[str, Any] = field(default_factory=dict)  # how it was trained, as plain values

    def __post_init__(self) -> None:
        """Refuse a card that contradicts itself."""
        columns = feature_set(self.feature_set).columns
        if columns != self.architecture.features:
            _refuse("features", self.architecture.features, f"{columns} of {self.feature_set}")
        if not self.huber_delta > 0:
            _refuse("huber delta", self.huber_delta, "above 0")
        if not 1e-9 <= self.label_scale <= 1e3:
            _refuse("label scale", self.label_scale, "1e-9 to 1e3")
        for symbol, scaler in self.scalers.items():
            sizes = {len(scaler.scale), len(scaler.offset)}
            if sizes != {self.architecture.features}:
                _refuse(f"scaler columns of {symbol}", sorted(sizes), f"{self.architecture.features}")
            if not np.isfinite([*scaler.scale, *scaler.offset]).all():
                _refuse(f"scaler of {symbol}", "not finite", "finite numbers")
        if self.target == "level":
            self._check_level()

    def _check_level(self) -> None:
        """Refuse a level that no close can be read from."""
        close = feature_set(self.feature_set).close
        if close is None:
            _refuse("target", "level", f"change, as {self.feature_set} has no close")
        if self.huber_delta != inf:
            _refuse("huber delta", self.huber_delta, "none with target level, whose loss is the squared error")
        for symbol, scaler in self.scalers.items():
            if not 1e-12 <= scaler.scale[close] <= 1e12:
                _refuse(f"close's scale of {symbol}", scaler.scale[close], "1e-12 to 1e12 with target level")


@dataclass(frozen=True, slots=True, eq=False)
class Bundle:
    """A card and its weights, float32 (weight_count,), flat in Keras' order."""

    version: str
    card: Card
    weights: Float32s
    sha256: str  # of the bundle's bytes in the log

    def arrays(self) -> list[Float32s]:
        """Return the weights as Keras' get_weights would."""
        arrays, at = [], 0
        for shape in self.card.architecture.shapes():
            size = int(np.prod(shape))
            arrays.append(self.weights[at : at + size].reshape(shape))
            at += size
        return arrays


def checked_weights(architecture: Architecture, weights: Float32s) -> Float32s:
    """Return the weights read-only.

    Raises:
        BadInput: their number is wrong, or one is not finite or too large.
    """
    if weights.shape != (architecture.weight_count(),):
        _refuse(
            "number of weights",
            weights.size,
            f"{architecture.weight_count()} for this architecture",
        )
    if not np.isfinite(weights).all() or np.abs(weights).max() > MAX_WEIGHT:
        _refuse("a weight", "not finite or too large", f"finite numbers up to {MAX_WEIGHT:g}")
    return frozen32(np.ascontiguousarray(weights, dtype=np.float32))


def digest(data: bytes) -> str:
    """Return the SHA-256 of bytes, in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def _refuse(what: str, value: object, limit: str) -> NoReturn:
    message = f"{what} is {value}; allowed: {limit}. Rebuild the model within these limits"
    raise BadInput("bad_bundle", message)
