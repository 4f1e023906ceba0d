"""What must travel with a model's weights."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf
from typing import Any, Literal

import numpy as np

from shared.core.arrays import Float32s, read_only32
from shared.core.features.registry import feature_set
from shared.core.model.architecture import Architecture
from shared.core.model.limits import reject_bundle
from shared.core.model.optimiser import Optimiser
from shared.core.model.scaler import Scaler
from shared.core.model.shrinkage import Shrinkage

MAX_WEIGHT = 1e6  # beyond this, the products of a window overflow float32
Target = Literal["change", "level"]
"""What the network's output is: the next change, or the next close on the symbol's scaler."""


@dataclass(frozen=True, slots=True)
class Card:
    """A model version's settings and history; the fold reads all but the times, the parent and the last two."""

    architecture: Architecture
    feature_set: str
    label_scale: float  # times the feature set's unit: what changes are measured in
    optimiser: Optimiser
    scalers: Mapping[
        str, Scaler
    ]  # by symbol; one that is missing is fitted on the first full window
    trained_from_ms: int
    trained_through_ms: int  # open time of the last candle that training has seen
    huber_delta: float = inf  # an error beyond it, on the network's scale, counts linearly
    shrinkage: Shrinkage = field(default_factory=Shrinkage)
    target: Target = "change"
    parent: str | None = None  # the model version that was in use when this one was made
    scores: Mapping[str, Any] = field(
        default_factory=dict
    )  # what the trainer measured, as plain values
    training: Mapping[str, Any] = field(default_factory=dict)  # how it was trained, as plain values

    def __post_init__(self) -> None:
        """Refuse a card that contradicts itself."""
        columns = feature_set(self.feature_set).columns
        if columns != self.architecture.features:
            reject_bundle(
                "features", self.architecture.features, f"{columns} of {self.feature_set}"
            )
        if not self.huber_delta > 0:
            reject_bundle("huber delta", self.huber_delta, "above 0")
        if not 1e-9 <= self.label_scale <= 1e3:
            reject_bundle("label scale", self.label_scale, "1e-9 to 1e3")
        for symbol, scaler in self.scalers.items():
            sizes = {len(scaler.scale), len(scaler.offset)}
            if sizes != {self.architecture.features}:
                reject_bundle(
                    f"scaler columns of {symbol}", sorted(sizes), f"{self.architecture.features}"
                )
            if not np.isfinite([*scaler.scale, *scaler.offset]).all():
                reject_bundle(f"scaler of {symbol}", "not finite", "finite numbers")
        if self.target == "level":
            self._check_level()

    def _check_level(self) -> None:
        """Refuse a level that no close can be read from."""
        close = feature_set(self.feature_set).close_column
        if close is None:
            reject_bundle("target", "level", f"change, as {self.feature_set} has no close")
        if self.huber_delta != inf:
            reject_bundle(
                "huber delta",
                self.huber_delta,
                "none with target level, whose loss is the squared error",
            )
        for symbol, scaler in self.scalers.items():
            if not 1e-12 <= scaler.scale[close] <= 1e12:
                reject_bundle(
                    f"close's scale of {symbol}",
                    scaler.scale[close],
                    "1e-12 to 1e12 with target level",
                )


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


def validate_weights(architecture: Architecture, weights: Float32s) -> Float32s:
    """Return the weights read-only.

    Raises:
        BadInput: their number is wrong, or one is not finite or too large.
    """
    if weights.shape != (architecture.weight_count(),):
        reject_bundle(
            "number of weights",
            weights.size,
            f"{architecture.weight_count()} for this architecture",
        )
    if not np.isfinite(weights).all() or np.abs(weights).max() > MAX_WEIGHT:
        reject_bundle("a weight", "not finite or too large", f"finite numbers up to {MAX_WEIGHT:g}")
    return read_only32(np.ascontiguousarray(weights, dtype=np.float32))


def sha256_hex(data: bytes) -> str:
    """Return the SHA-256 of bytes, in hexadecimal."""
    return hashlib.sha256(data).hexdigest()
