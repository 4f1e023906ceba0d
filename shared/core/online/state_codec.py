"""The canonical bytes of a symbol's state.

JSON line, sorted keys, no spaces      settings, counters, shapes of the arrays
line feed
sequence    (candles, columns)         float64, little-endian
checkpoints (checkpoints, numbers)     float64
features    (rows, columns)            float64, if the first line names them
head        (n (n + 3) / 2,)           float64, if the first line names a head
parameters  (3, weights)               float32, if the first line names a learner
"""

import json
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from shared.core.arrays import Float32s, Float64s, read_only32, read_only64
from shared.core.dataclass_fields import check_field, dataclass_fields, from_fields
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
from shared.core.sequence import OPEN_TIME, SEQUENCE_COLUMNS

STATE_SCHEMA: Final = 4
MAX_STATE_BYTES: Final = 16 * 1024 * 1024  # a large network with its optimiser has 6
MAX_LINE_BYTES: Final = 64 * 1024  # of the first line, which has about 3,000
# Bundles hold states for ever; those of schema 3 lack checkpoints and corrections.
_READ_SCHEMAS: Final = frozenset((3, 4))
_PLAIN: Final = {
    "symbol": str,
    "model_version": str | None,
    "promotion_offset": int | None,
    "steps": int,
}


def encode_state(state: SymbolState) -> bytes:
    """Return the canonical bytes of a state."""
    return b"".join(_parts(state))


def decode_state(data: bytes) -> SymbolState:
    """Return the state of canonical bytes.

    Raises:
        BadInput: the bytes are damaged, too many, or of another schema.
    """
    try:
        _check_size("the state", len(data), MAX_STATE_BYTES)
        return _decode(data)
    # RecursionError: JSON nested too deep. The first line's fields may be of any type.
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        text = f"state of {len(data)} bytes does not decode ({error!r:.200})"
        message = f"{text}; it is rebuilt from the log"
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
    first_line, line_feed, arrays = data.partition(b"\n")
    if not line_feed:
        raise ValueError("there is no line feed")
    rest = memoryview(arrays)  # its parts are not copied
    _check_size("the first line", len(first_line), MAX_LINE_BYTES)
    fields: dict[str, Any] = json.loads(first_line)
    if fields["schema"] not in _READ_SCHEMAS:
        raise ValueError(f"state schema {fields['schema']}, this version reads {STATE_SCHEMA}")
    sequence, rest = _decode_rows((fields["candles"], SEQUENCE_COLUMNS), rest)
    checkpoints, rest = _decode_rows(fields.get("checkpoints", (0, 0)), rest)
    features, rest = _decode_features(fields["features"], rest)
    head, rest = _decode_head(fields["head"], rest)
    learner, rest = _decode_learner(fields["learner"], rest)
    if rest:
        raise ValueError(f"{len(rest)} bytes after the last array")
    _check_times(sequence)
    return SymbolState(
        **_decode_fields(fields),
        sequence=sequence,
        learner=learner,
        head=head,
        features=features,
        checkpoints=checkpoints,
    )


def _decode_fields(fields: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a state's first line."""
    scaler, intervals = fields["scaler"], fields["intervals"]
    return {
        **{name: check_field(name, fields[name], hint) for name, hint in _PLAIN.items()},
        "scaler": None if scaler is None else from_fields(Scaler, scaler),
        "pending": _decode_pending(fields["pending"]),
        "scores": from_fields(Scores, fields["scores"]),
        "calibration": from_fields(Calibration, fields["calibration"]),
        "evidence": from_fields(Evidence, fields["evidence"]),
        "intervals": None if intervals is None else interval_state(intervals),
        "corrections": check_field("corrections", fields.get("corrections", 0), int),
        "begins_ms": check_field("begins_ms", fields.get("begins_ms", 0), int),
    }


def _check_size(name: str, size: int, allowed: int) -> None:
    if size > allowed:
        raise ValueError(f"{name} has {size} bytes; allowed: {allowed}")


def _check_times(sequence: Float64s) -> None:
    """Check that the candles are in the order of their times, as every search among them needs."""
    times = sequence[:, OPEN_TIME]
    if not (np.isfinite(times).all() and (np.diff(times, prepend=0.0) >= 0).all()):
        raise ValueError("candles that are not in the order of their times")


def _decode_pending(fields: dict[str, Any] | None) -> PendingPrediction | None:
    if fields is None:
        return None
    # is_published: of schema 3, where a start's is not published.
    kept = {name: value for name, value in fields.items() if name != "is_published"}
    return from_fields(PendingPrediction, kept)


def _decode_rows(shape: Sequence[int], data: memoryview) -> tuple[Float64s, memoryview]:
    """Return an array of float64 (rows, columns), and the bytes after it."""
    rows, columns = (check_field("a shape", length, int) for length in shape)
    array, rest = _take(data, rows * columns, "<f8")
    return read_only64(array.reshape(rows, columns).astype(np.float64)), rest


def _take(data: memoryview, count: int, kind: str) -> tuple[np.ndarray[Any, Any], memoryview]:
    """Return an array (count,) of a kind, and the bytes after it."""
    size = count * np.dtype(kind).itemsize
    if size > len(data):
        raise ValueError(f"an array of {size} bytes where {len(data)} are left")
    return np.frombuffer(data[:size], dtype=kind), data[size:]


def _decode_features(
    fields: dict[str, Any] | None, data: memoryview
) -> tuple[Features | None, memoryview]:
    """Return the features, and the bytes after them."""
    if fields is None:
        return None, data
    rows, rest = _decode_rows(fields["shape"], data)
    return Features(check_field("carry", fields["carry"], tuple[float, ...]), rows), rest


def _decode_head(fields: dict[str, Any] | None, data: memoryview) -> tuple[Head | None, memoryview]:
    """Return the head, and the bytes after it."""
    if fields is None:
        return None, data
    inputs, steps = (check_field(name, fields[name], int) for name in ("inputs", "steps"))
    parameters, rest = _take(data, inputs * (inputs + 3) // 2, "<f8")
    return Head(read_only64(parameters.astype(np.float64)), inputs, steps), rest


def _decode_learner(
    fields: dict[str, Any] | None, data: memoryview
) -> tuple[Learner | None, memoryview]:
    """Return the learner, and the bytes after it."""
    if fields is None:
        return None, data
    weights, steps = (check_field(name, fields[name], int) for name in ("weights", "steps"))
    powers = [check_field(name, fields[name], float) for name in ("beta_1_power", "beta_2_power")]
    parameters, rest = _take(data, 3 * weights, "<f4")
    array = read_only32(parameters.reshape(3, weights).astype(np.float32))
    return Learner(array, steps, *powers), rest
