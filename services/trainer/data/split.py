"""Splits candles by time into a training, a validation and a held-out span."""

from collections.abc import Mapping
from dataclasses import dataclass

from shared.core.arrays import Float64s
from shared.core.sequence import OPEN_TIME, count_before


@dataclass(frozen=True, slots=True)
class Split:
    """Training, validation and held-out spans of open times, one after the other."""

    training_until_ms: int  # the first open time after the training span
    validation_until_ms: int  # the first held-out open time


@dataclass(frozen=True, slots=True)
class SplitShares:
    """Parts of a time span that are for validation and held out."""

    validation: float
    held_out: float
    held_out_candles: int  # of a symbol, at most


def split_by_time(sequences: Mapping[str, Float64s], shares: SplitShares, step_ms: int) -> Split:
    """Split the time that the sequences cover; the newest part is held out."""
    first = min(int(s[0, OPEN_TIME]) for s in sequences.values())
    until = max(int(s[-1, OPEN_TIME]) for s in sequences.values()) + step_ms
    candles = (until - first) // step_ms
    held_out = min(int(candles * shares.held_out), shares.held_out_candles)
    validation = int(candles * shares.validation)
    validation_until = until - held_out * step_ms
    return Split(validation_until - validation * step_ms, validation_until)


def training_candles(sequence: Float64s, split: Split) -> Float64s:
    """Return the candles (n, columns) of the training span: those that a scaler may see."""
    return sequence[: count_before(sequence, split.training_until_ms)]
