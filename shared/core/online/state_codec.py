"""The canonical bytes of a symbol's state, and their digest.

JSON line, sorted keys, no spaces      settings, counters, shapes of the arrays
line feed
sequence    (candles, columns)         float64, little-endian
checkpoints (checkpoints, numbers)     float64
features    (rows, columns)            float64, if the first line names them
head        (n (n + 3) / 2,)           float64, if the first line names a head
parameters  (3, weights)               float32, if the first line names a learner
"""

import hashlib
import json
from collections.abc import Sequence
from typing import Any, Final
from weakref import WeakKeyDictionary

import numpy as np

from shared.core.arrays import Float32s, Float64s, read_only32, read_only64
from shared.core.dataclass_fields import dataclass_fields
from shared.core.errors import BadInput
from shared.core.features.base import Features
from shared.core.model.head import Head
from shared.core.model.optimiser import Learner
from shared.core.model.scaler import Scaler
from shared.core.online.calibration import Calibration
from shared.core.online.evidence import Evidence
from shared.core.online.interval_codec import interval_fields, interval_state
from shared.core.online.scores import Scores
from shared.core.online.state import PendingPrediction, SymbolState
from shared.core.sequence import SEQUENCE_COLUMNS

STATE_SCHEMA: Final = 4
# Bundles hold states for ever; those of schema 3 lack checkpoints and corrections.
_READ_SCHEMAS: Final = frozenset((3, 4))
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
    if len(state.checkpoints):
        arrays.append(state.checkpoints.astype("<f8", order="C", copy=False))
    if state.features is not None:
        arrays.append(state.features.rows.astype("<f8", order="C", copy=False))
    if state.head is not None:
        arrays.append(state.head.parameters.astype("<f8", order="C", copy=False))
    if state.learner is not None:
        arrays.append(state.learner.parameters.astype("<f4", order="C", copy=False))
    text = json.dumps(_fields(state), sort_keys=True, separators=(",", ":"), allow_nan=False)
    return [text.encode(), b"\n", *(array.data for array in arrays)]


def _fields(state: SymbolState) -> dict[str, Any]:
    learner, features, head = state.learner, state.features, state.head
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
        "evidence": dataclass_fields(state.evidence),
        "intervals": state.intervals and interval_fields(state.intervals),
        "corrections": state.corrections,
        "checkpoints": state.checkpoints.shape,
        "begins_ms": state.begins_ms,
        "features": features and {"carry": features.carry, "shape": features.rows.shape},
        "steps": state.steps,
        "head": head and {"inputs": head.inputs, "steps": head.steps},
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
    fields: dict[str, Any] = json.loads(first_line)
    if fields["schema"] not in _READ_SCHEMAS:
        raise ValueError(f"state schema {fields['schema']}, this version reads {STATE_SCHEMA}")
    size = fields["candles"] * SEQUENCE_COLUMNS * 8
    sequence = np.frombuffer(rest[:size], dtype="<f8").reshape(-1, SEQUENCE_COLUMNS)
    checkpoints, rest = _decode_rows(fields.get("checkpoints", (0, 0)), rest[size:])
    features, rest = _decode_features(fields["features"], rest)
    head, rest = _decode_head(fields["head"], rest)
    scaler, intervals = fields["scaler"], fields["intervals"]
    return SymbolState(
        symbol=fields["symbol"],
        sequence=read_only64(sequence.astype(np.float64)),
        model_version=fields["model_version"],
        promotion_offset=fields["promotion_offset"],
        learner=_decode_learner(fields["learner"], rest),
        head=head,
        steps=fields["steps"],
        features=features,
        scaler=None if scaler is None else Scaler(tuple(scaler["scale"]), tuple(scaler["offset"])),
        pending=_decode_pending(fields["pending"]),
        scores=Scores(**fields["scores"]),
        calibration=Calibration(**fields["calibration"]),
        evidence=Evidence(**fields["evidence"]),
        intervals=None if intervals is None else interval_state(intervals),
        corrections=fields.get("corrections", 0),
        checkpoints=checkpoints,
        begins_ms=fields.get("begins_ms", 0),
    )


def _decode_pending(fields: dict[str, Any] | None) -> PendingPrediction | None:
    if fields is None:
        return None
    fields.pop("is_published", None)  # of schema 3: a start's is not published
    return PendingPrediction(**fields)


def _decode_rows(shape: Sequence[int], data: bytes) -> tuple[Float64s, bytes]:
    """Return an array of float64 (rows, columns), and the bytes after it."""
    rows, columns = shape
    size = rows * columns * 8
    array = np.frombuffer(data[:size], dtype="<f8").reshape(rows, columns)
    return read_only64(array.astype(np.float64)), data[size:]


def _decode_features(fields: dict[str, Any] | None, data: bytes) -> tuple[Features | None, bytes]:
    """Return the features, and the bytes after them."""
    if fields is None:
        return None, data
    rows, rest = _decode_rows(fields["shape"], data)
    return Features(tuple(fields["carry"]), rows), rest


def _decode_head(fields: dict[str, Any] | None, data: bytes) -> tuple[Head | None, bytes]:
    """Return the head, and the bytes after it."""
    if fields is None:
        return None, data
    inputs = fields["inputs"]
    size = inputs * (inputs + 3) // 2 * 8
    parameters = np.frombuffer(data[:size], dtype="<f8").astype(np.float64)
    if len(parameters) * 8 != size:
        raise ValueError(f"a head of {inputs} inputs has {len(parameters)} parameters")
    return Head(read_only64(parameters), inputs, fields["steps"]), data[size:]


def _decode_learner(fields: dict[str, Any] | None, data: bytes) -> Learner | None:
    if fields is None:
        return None
    parameters = np.frombuffer(data, dtype="<f4").reshape(3, fields["weights"])
    return Learner(
        read_only32(parameters.astype(np.float32)),
        fields["steps"],
        fields["beta_1_power"],
        fields["beta_2_power"],
    )
