"""What must survive a restart for one symbol, and its bytes."""

import hashlib
import json
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Final

import numpy as np

from shared.core.arrays import Float32s, Float64s, read_only32, read_only64
from shared.core.dataclass_fields import dataclass_fields
from shared.core.errors import BadInput
from shared.core.features.base import Features
from shared.core.model.network import Learner
from shared.core.model.scaler import Scaler
from shared.core.online.calibration import Calibration
from shared.core.online.scores import Scores
from shared.core.records import Candle
from shared.core.sequence import CLOSE, OPEN_TIME, SEQUENCE_COLUMNS, candle_row, empty_sequence

STATE_SCHEMA: Final = 2


@dataclass(frozen=True, slots=True)
class Pending:
    """A prediction whose outcome is not known yet."""

    open_time_ms: int
    model_version: str
    change: float
    calibrated_change: float
    output: float  # of the network, as a change in units of scale; float32
    scale: float  # change = output x scale
    learnable: bool  # its window and weights are still those it was made with


@dataclass(frozen=True, eq=False)
class SymbolState:
    """A fold of one symbol's records and of the promotions among them."""

    symbol: str
    sequence: Float64s = field(default_factory=empty_sequence)  # (n, columns), oldest first
    model_version: str | None = None
    promotion_offset: int | None = None
    learner: Learner | None = None
    features: Features | None = None  # none before a model
    scaler: Scaler | None = None  # fitted here because the card has none for this symbol
    pending: Pending | None = None
    scores: Scores = field(default_factory=Scores)
    calibration: Calibration = field(default_factory=Calibration)
    # Not state: of the pending prediction, computed in the quiet time, and again whenever it is missing.
    jacobian: Float32s | None = None

    @property
    def last_open_time_ms(self) -> int | None:
        """Open time of the newest candle."""
        return int(self.sequence[-1, OPEN_TIME]) if len(self.sequence) else None

    @property
    def last_close(self) -> float:
        """Close of the newest candle."""
        return float(self.sequence[-1, CLOSE])

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the state's bytes."""
        found = hashlib.sha256()
        for part in _parts(self):
            found.update(part)
        return found.hexdigest()


def encode_state(state: SymbolState) -> bytes:
    """Return the canonical bytes: a JSON head, a line feed, then sequence, features and parameters, little-endian."""
    return b"".join(_parts(state))


def _parts(state: SymbolState) -> list[bytes | memoryview]:
    """Return the canonical bytes in parts, the large ones where they lie."""
    learner, features = state.learner, state.features
    head = {
        "schema": STATE_SCHEMA,
        "symbol": state.symbol,
        "candles": len(state.sequence),
        "model_version": state.model_version,
        "promotion_offset": state.promotion_offset,
        "scaler": None if state.scaler is None else dataclass_fields(state.scaler),
        "pending": None if state.pending is None else dataclass_fields(state.pending),
        "scores": dataclass_fields(state.scores),
        "calibration": dataclass_fields(state.calibration),
        "features": None
        if features is None
        else {"carry": features.carry, "shape": features.rows.shape},
        "learner": None
        if learner is None
        else {
            "weights": learner.parameters.shape[1],
            "steps": learner.steps,
            "beta_1_power": learner.beta_1_power,
            "beta_2_power": learner.beta_2_power,
        },
    }
    arrays = [state.sequence.astype("<f8", order="C", copy=False)]
    if features is not None:
        arrays.append(features.rows.astype("<f8", order="C", copy=False))
    if learner is not None:
        arrays.append(learner.parameters.astype("<f4", order="C", copy=False))
    text = json.dumps(head, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return [text.encode(), b"\n", *(array.data for array in arrays)]


def decode_state(data: bytes) -> SymbolState:
    """Return the state of canonical bytes.

    Raises:
        BadInput: they are damaged or of another schema.
    """
    try:
        return _decoded(data)
    except (ValueError, KeyError, TypeError) as error:
        message = (
            f"state of {len(data)} bytes does not decode ({error!r}); it is rebuilt from the log"
        )
        raise BadInput("bad_state", message) from error


def _decoded(data: bytes) -> SymbolState:
    first, rest = data.split(b"\n", 1)
    head: dict[str, Any] = json.loads(first)
    if head["schema"] != STATE_SCHEMA:
        message = f"state schema {head['schema']}, this version reads {STATE_SCHEMA}"
        raise ValueError(message)
    split = head["candles"] * SEQUENCE_COLUMNS * 8
    sequence = np.frombuffer(rest[:split], dtype="<f8").reshape(-1, SEQUENCE_COLUMNS)
    features, rest = _decoded_features(head["features"], rest[split:])
    scaler, pending = head["scaler"], head["pending"]
    return SymbolState(
        symbol=head["symbol"],
        sequence=read_only64(sequence.astype(np.float64)),
        model_version=head["model_version"],
        promotion_offset=head["promotion_offset"],
        learner=_decoded_learner(head["learner"], rest),
        features=features,
        scaler=None if scaler is None else Scaler(tuple(scaler["scale"]), tuple(scaler["offset"])),
        pending=None if pending is None else Pending(**pending),
        scores=Scores(**head["scores"]),
        calibration=Calibration(**head["calibration"]),
    )


def _decoded_features(head: dict[str, Any] | None, data: bytes) -> tuple[Features | None, bytes]:
    """Return the features, and the bytes after them."""
    if head is None:
        return None, data
    rows, columns = head["shape"]
    size = rows * columns * 8
    found = np.frombuffer(data[:size], dtype="<f8").reshape(rows, columns)
    return Features(tuple(head["carry"]), read_only64(found.astype(np.float64))), data[size:]


def _decoded_learner(head: dict[str, Any] | None, data: bytes) -> Learner | None:
    if head is None:
        return None
    parameters = np.frombuffer(data, dtype="<f4").reshape(3, head["weights"])
    return Learner(
        read_only32(parameters.astype(np.float32)),
        head["steps"],
        head["beta_1_power"],
        head["beta_2_power"],
    )


def replace_candle(state: SymbolState, candle: Candle) -> SymbolState:
    """Return the state with a candle of its sequence replaced; one that is no longer kept changes nothing.

    What followed from the candle is not: features are the caller's to make anew.
    """
    at = np.flatnonzero(state.sequence[:, OPEN_TIME] == candle.open_time_ms)
    if not len(at):
        return state
    sequence = state.sequence.copy()
    sequence[at[0]] = candle_row(candle)[0]
    pending = state.pending and replace(state.pending, learnable=False)
    return replace(state, sequence=read_only64(sequence), pending=pending, jacobian=None)
