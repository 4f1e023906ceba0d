"""The digest of a symbol's state, which its next prediction carries.

It is the SHA-256 of

texts       symbol, versions, and which parts there are and how large, each on a line
numbers     float64, little-endian: settings, counters, sums
lanes       (4,) uint64, little-endian: the arrays, mixed by `kernel_fingerprint` in kernel/

Whoever changes what a state consists of changes this: PROFILE_VERSION tells.
"""

import hashlib
import struct
from collections.abc import Callable
from operator import attrgetter
from typing import Any, Final
from weakref import WeakKeyDictionary

import numpy as np

from shared.core.model.kernel.library import load_kernel, pointer
from shared.core.online.calibration import Calibration
from shared.core.online.evidence import Evidence
from shared.core.online.interval_scores import IntervalScores
from shared.core.online.intervals import IntervalState
from shared.core.online.scores import Scores
from shared.core.online.state import PendingPrediction, SymbolState
from shared.core.online.volatility import Volatility

_DIGESTS: Final[WeakKeyDictionary[SymbolState, str]] = WeakKeyDictionary()


def _getter(kind: type, *left_out: str) -> Callable[[object], tuple[Any, ...]]:
    names: tuple[str, ...] = kind.__slots__  # type: ignore[attr-defined] # of a dataclass
    return attrgetter(*(name for name in names if name not in left_out))


_SCORES: Final = _getter(Scores)
_CALIBRATION: Final = _getter(Calibration)
_EVIDENCE: Final = _getter(Evidence)
_INTERVALS: Final = _getter(IntervalState, "volatility", "scores")
_VOLATILITY: Final = _getter(Volatility)
_INTERVAL_SCORES: Final = _getter(IntervalScores)
_PENDING: Final = _getter(PendingPrediction, "model_version", "source_offset")
_LEARNER: Final = attrgetter("steps", "beta_1_power", "beta_2_power")


def state_digest(state: SymbolState) -> str:
    """Return the SHA-256 of a state, in hexadecimal; each state's is computed once."""
    digest = _DIGESTS.get(state)
    if digest is None:
        digest = _DIGESTS[state] = hashlib.sha256(_content(state)).hexdigest()
    return digest


def _content(state: SymbolState) -> bytes:
    numbers = _numbers(state)
    texts = "\n".join([*_texts(state), str(len(numbers)), ""])
    return texts.encode() + struct.pack(f"<{len(numbers)}d", *numbers) + _lanes(state)


def _texts(state: SymbolState) -> list[str]:
    pending, features, learner = state.pending, state.features, state.learner
    return [
        state.symbol,
        state.model_version or "",
        "" if state.promotion_offset is None else str(state.promotion_offset),
        "" if pending is None else pending.model_version,
        "" if pending is None or pending.source_offset is None else str(pending.source_offset),
        f"{len(state.sequence)} {state.checkpoints.shape}",
        "" if features is None else f"{len(features.carry)} {features.rows.shape}",
        "" if state.head is None else str(state.head.inputs),
        "" if learner is None else str(learner.parameters.size),
        "" if state.scaler is None else str(len(state.scaler.scale)),
        "" if state.intervals is None else "intervals",
    ]


def _numbers(state: SymbolState) -> list[float]:
    numbers: list[float] = [state.corrections, state.begins_ms, state.steps]
    numbers += _SCORES(state.scores)
    numbers += _CALIBRATION(state.calibration)
    numbers += _EVIDENCE(state.evidence)
    if state.pending is not None:
        numbers += _PENDING(state.pending)
    if state.features is not None:
        numbers += state.features.carry
    if state.head is not None:
        numbers.append(state.head.steps)
    if state.learner is not None:
        numbers += _LEARNER(state.learner)
    if state.scaler is not None:
        numbers += (*state.scaler.scale, *state.scaler.offset)
    if state.intervals is not None:
        numbers += _interval_numbers(state.intervals)
    return numbers


def _interval_numbers(intervals: IntervalState) -> list[float]:
    numbers: list[float] = []
    for part in (
        _INTERVALS(intervals),
        _VOLATILITY(intervals.volatility),
        _INTERVAL_SCORES(intervals.scores),
    ):
        for value in part:
            if type(value) is tuple:
                numbers += value
            else:
                numbers.append(value)
    return numbers


def _lanes(state: SymbolState) -> bytes:
    features, head, learner = state.features, state.head, state.learner
    arrays = (
        state.sequence,
        state.checkpoints,
        None if features is None else features.rows,
        None if head is None else head.parameters,
        None if learner is None else learner.parameters,
    )
    lanes = bytearray(32)
    fingerprint, at = load_kernel().kernel_fingerprint, pointer(lanes)
    for array in arrays:
        if array is not None and array.size:
            numbers = np.ascontiguousarray(array)
            fingerprint(pointer(numbers), numbers.nbytes, at)
    return bytes(lanes)
