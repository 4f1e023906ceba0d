"""The canonical bytes of a symbol's state, and their digest.

JSON head, sorted keys, no spaces      settings, counters, shapes of the arrays
line feed
sequence    (candles, columns)         float64, little-endian
features    (rows, columns)            float64, if the head names them
parameters  (3, weights)               float32, if the head names a learner
"""

import hashlib
import json
from typing import Any, Final
from weakref import WeakKeyDictionary

import numpy as np

from shared.core.arrays import Float32s, Float64s, read_only32, read_only64
from shared.core.dataclass_fields import dataclass_fields
from shared.core.errors import BadInput
from shared.core.features.base import Features
from shared.core.model.optimiser import Learner
from shared.core.model.scaler import Scaler
from shared.core.online.calibration import Calibration
from shared.core.online.scores import Scores
from shared.core.online.state import PendingPrediction, SymbolState
from shared.core.sequence import SEQUENCE_COLUMNS

STATE_SCHEMA: Final = 3
_DIGESTS: Final[WeakKeyDictionary[SymbolState, str]] = WeakKeyDictionary()


def encode_state(state: SymbolState) -> bytes:
    """Return the canonical bytes of a state."""
    return b"".join(_parts(state))


def state_digest(state: SymbolState) -> str:
    """Return the SHA-256 of a state's canonical bytes; each state's is computed once."""
    digest = _DIGESTS.get(state)
    if digest is None:
        sha256 = hashlib.sha256()
        for part in _parts(state):
            sha256.update(part)
        digest = _DIGESTS[state] = sha256.hexdigest()
    return digest


def decode_state(data: bytes) -> SymbolState:
    """Return the state of canonical bytes.

    Raises:
        BadInput: the bytes are damaged or of another schema.
    """
    try:
        return _decode(data)
    except (ValueError, KeyError, TypeError) as error:
        message = (
            f"state of {len(data)} bytes does not decode ({error!r}); it is rebuilt from the log"
        )
        raise BadInput("bad_state", message) from error


def _parts(state: SymbolState) -> list[bytes | memoryview]:
    """Return the canonical bytes in parts; the arrays are not copied."""
    arrays: list[Float64s | Float32s] = [state.sequence.astype("<f8", order="C", copy=False)]
    if state.features is not None:
        arrays.append(state.features.rows.astype("<f8", order="C", copy=False))
    if state.learner is not None:
        arrays.append(state.learner.parameters.astype("<f4", order="C", copy=False))
    text = json.dumps(_head(state), sort_keys=True, separators=(",", ":"), allow_nan=False)
    return [text.encode(), b"\n", *(array.data for array in arrays)]


def _head(state: SymbolState) -> dict[str, Any]:
    learner, features = state.learner, state.features
    return {
        "schema": STATE_SCHEMA,
        "symbol": state.symbol,
        "candles": len(state.sequence),
        "model_version": state.model_version,
        "promotion_offset": state.promotion_offset,
        "scaler": state.scaler and dataclass_fields(state.scaler),
        "pending": state.pending and dataclass_fields(state.pending),
        "scores": dataclass_fields(state.scores),
        "calibration": dataclass_fields(state.calibration),
        "features": features and {"carry": features.carry, "shape": features.rows.shape},
        "learner": learner
        and {
            "weights": learner.parameters.shape[1],
            "steps": learner.steps,
            "beta_1_power": learner.beta_1_power,
            "beta_2_power": learner.beta_2_power,
        },
    }


def _decode(data: bytes) -> SymbolState:
    first_line, rest = data.split(b"\n", 1)
    head: dict[str, Any] = json.loads(first_line)
    if head["schema"] != STATE_SCHEMA:
        raise ValueError(f"state schema {head['schema']}, this version reads {STATE_SCHEMA}")
    size = head["candles"] * SEQUENCE_COLUMNS * 8
    sequence = np.frombuffer(rest[:size], dtype="<f8").reshape(-1, SEQUENCE_COLUMNS)
    features, rest = _decode_features(head["features"], rest[size:])
    scaler, pending = head["scaler"], head["pending"]
    return SymbolState(
        symbol=head["symbol"],
        sequence=read_only64(sequence.astype(np.float64)),
        model_version=head["model_version"],
        promotion_offset=head["promotion_offset"],
        learner=_decode_learner(head["learner"], rest),
        features=features,
        scaler=None if scaler is None else Scaler(tuple(scaler["scale"]), tuple(scaler["offset"])),
        pending=None if pending is None else PendingPrediction(**pending),
        scores=Scores(**head["scores"]),
        calibration=Calibration(**head["calibration"]),
    )


def _decode_features(head: dict[str, Any] | None, data: bytes) -> tuple[Features | None, bytes]:
    """Return the features, and the bytes after them."""
    if head is None:
        return None, data
    rows, columns = head["shape"]
    size = rows * columns * 8
    values = np.frombuffer(data[:size], dtype="<f8").reshape(rows, columns)
    return Features(tuple(head["carry"]), read_only64(values.astype(np.float64))), data[size:]


def _decode_learner(head: dict[str, Any] | None, data: bytes) -> Learner | None:
    if head is None:
        return None
    parameters = np.frombuffer(data, dtype="<f4").reshape(3, head["weights"])
    return Learner(
        read_only32(parameters.astype(np.float32)),
        head["steps"],
        head["beta_1_power"],
        head["beta_2_power"],
    )
