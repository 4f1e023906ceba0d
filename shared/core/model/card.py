"""A model version: its card (all that must travel with the weights) and its weights."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf
from typing import Any, Final, Literal

import numpy as np

from shared.core.arrays import Float32s, read_only32
from shared.core.features.registry import feature_set
from shared.core.model.architecture import Architecture
from shared.core.model.evidence_settings import EvidenceSettings
from shared.core.model.head import Head, HeadSettings
from shared.core.model.interval_settings import IntervalSettings
from shared.core.model.limits import check_range, reject_bundle
from shared.core.model.optimiser import Optimiser
from shared.core.model.scaler import Scaler
from shared.core.model.shrinkage import Shrinkage

Learns = Literal["nothing", "gradient", "head", "both"]
"""What learns online: no weight, all of the network's by gradient steps, the head, or both."""

_LAST_MS: Final = 253_402_300_799_999  # of the year 9999
MAX_WEIGHT: Final = 1e6  # larger ones overflow float32 in the products of a window


@dataclass(frozen=True, slots=True)
class Card:
    """The settings and the history of a model version.

    The fold reads all but `trained_from_ms`, `parent`, `scores` and `training`.
    """

    architecture: Architecture
    feature_set: str
    label_scale: float  # changes are measured in this times the feature set's unit
    optimiser: Optimiser
    scalers: Mapping[str, Scaler]  # by symbol; a missing one is fitted on the first full window
    trained_from_ms: int
    trained_through_ms: int  # open time of the last candle that training has seen
    huber_delta: float = inf  # larger errors, in units of the change scale, are clipped to it
    shrinkage: Shrinkage = field(default_factory=Shrinkage)
    intervals: IntervalSettings = field(default_factory=IntervalSettings)
    evidence: EvidenceSettings = field(default_factory=EvidenceSettings)
    learns: Learns = "gradient"
    head: HeadSettings = field(default_factory=HeadSettings)
    baskets: str | None = None  # version of the definition that the model was trained with
    parent: str | None = None  # the champion when this version was made
    scores: Mapping[str, Any] = field(default_factory=dict)  # as the trainer measured them
    training: Mapping[str, Any] = field(default_factory=dict)  # the trainer's settings

    def __post_init__(self) -> None:
        """Reject a card that contradicts itself."""
        columns = feature_set(self.feature_set).columns
        if columns != self.architecture.features:
            allowed = f"{columns}, the columns of {self.feature_set}"
            reject_bundle("features", self.architecture.features, allowed)
        check_range("time of the first candle", self.trained_from_ms, 0, _LAST_MS)
        check_range("time of the last candle", self.trained_through_ms, 0, _LAST_MS)
        if not self.huber_delta > 0:
            reject_bundle("huber delta", self.huber_delta, "above 0")
        if not 1e-9 <= self.label_scale <= 1e3:
            reject_bundle("label scale", self.label_scale, "1e-9 to 1e3")
        for symbol, scaler in self.scalers.items():
            self._check_scaler(symbol, scaler)

    def _check_scaler(self, symbol: str, scaler: Scaler) -> None:
        sizes = {len(scaler.scale), len(scaler.offset)}
        if sizes != {self.architecture.features}:
            allowed = f"{self.architecture.features}"
            reject_bundle(f"scaler columns of {symbol}", sorted(sizes), allowed)
        if not np.isfinite([*scaler.scale, *scaler.offset]).all():
            reject_bundle(f"scaler of {symbol}", "not finite", "finite numbers")


@dataclass(frozen=True, slots=True, eq=False)
class Bundle:
    """A card and its weights, float32 (weight_count,), flat in Keras' order.

    With a head, the head's output is the forecast; the network gives its inputs.
    """

    version: str
    card: Card
    weights: Float32s
    sha256: str  # of the bundle's bytes in the log
    head: Head | None = None  # each symbol's before its first step
    # By symbol: its state when training ended, as canonical bytes. See online/start.py.
    starts: Mapping[str, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Reject a bundle whose card and arrays contradict each other."""
        card = self.card
        if self.head is None:
            if card.learns in {"head", "both"}:
                reject_bundle("what learns", card.learns, "nothing or gradient without a head")
            return
        inputs = card.architecture.widths[-1] + card.architecture.features + 1
        if self.head.inputs != inputs:
            reject_bundle("inputs of the head", self.head.inputs, f"{inputs} for this network")

    def arrays(self) -> list[Float32s]:
        """Return the weights in the shapes of Keras' get_weights()."""
        arrays, start = [], 0
        for shape in self.card.architecture.shapes():
            size = int(np.prod(shape))
            arrays.append(self.weights[start : start + size].reshape(shape))
            start += size
        return arrays


def validate_weights(architecture: Architecture, weights: Float32s) -> Float32s:
    """Check weights (weights,); return them contiguous, as float32, read-only.

    Raises:
        BadInput: their number does not fit the architecture, or one is not finite or too large.
    """
    count = architecture.weight_count()
    if weights.shape != (count,):
        reject_bundle("number of weights", weights.size, f"{count} for this architecture")
    if not np.isfinite(weights).all() or np.abs(weights).max() > MAX_WEIGHT:
        reject_bundle("a weight", "not finite or too large", f"finite numbers up to {MAX_WEIGHT:g}")
    return read_only32(np.ascontiguousarray(weights, dtype=np.float32))


def sha256_hex(data: bytes) -> str:
    """Return the SHA-256 of bytes, in hexadecimal."""
    return hashlib.sha256(data).hexdigest()
