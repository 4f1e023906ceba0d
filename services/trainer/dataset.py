"""From sequences to windows and labels: split by time, cut lazily. Values only."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from shared.core.arrays import Float32s, Float64s
from shared.core.features import CLOSE, OPEN_TIME, feature_rows
from shared.core.scaler import Scaler

Int64s: TypeAlias = NDArray[np.int64]

_LEAST_LABEL_SCALE = 1e-6  # of a market that does not move


@dataclass(frozen=True, slots=True)
class Split:
    """Three spans of open times, one after the other; the ends of the first two are not part of them."""

    training_until_ms: int
    validation_until_ms: int


@dataclass(frozen=True, slots=True)
class Shares:
    """How a span of time is split: validation and held-out shares, the latter at most so many candles."""

    validation: float
    held_out: float
    held_out_candles: int


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """Scaled rows of all symbols, one after the other, and where windows end in them."""

    rows: Float32s  # (candles, features)
    labels: Float32s  # (candles,): of the window that ends at this row, on the network's scale; NaN for none
    training_ends: Int64s  # (windows,): rows where a training window ends
    validation_ends: Int64s
    window_length: int
    label_scale: float

    def windows(self, ends: Int64s) -> Float32s:
        """Return the windows (n, window_length, features) that end at these rows, oldest row first."""
        windows: Float32s = self.rows[ends[:, None] + np.arange(1 - self.window_length, 1)]
        return windows


def split_by_time(sequences: Mapping[str, Float64s], shares: Shares, step_ms: int) -> Split:
    """Split the time that the sequences cover; the newest part is held out."""
    first = min(int(s[0, OPEN_TIME]) for s in sequences.values())
    until = max(int(s[-1, OPEN_TIME]) for s in sequences.values()) + step_ms
    candles = (until - first) // step_ms
    held_out = min(int(candles * shares.held_out), shares.held_out_candles)
    validation = int(candles * shares.validation)
    validation_until = until - held_out * step_ms
    return Split(validation_until - validation * step_ms, validation_until)


def training_part(sequence: Float64s, split: Split) -> Float64s:
    """Return the candles (n, columns) that the scaler may see."""
    return sequence[: count_before(sequence, split.training_until_ms)]


def count_before(sequence: Float64s, time_ms: int) -> int:
    """Return how many candles open before a time."""
    return int(np.searchsorted(sequence[:, OPEN_TIME], time_ms))


def changes_after(sequence: Float64s, step_ms: int) -> Float64s:
    """Return the label of the window that ends at each candle (n,): next close / close - 1.

    NaN where the next candle is not the next open time: a gap gives no label.
    """
    labels = np.full(len(sequence), np.nan)
    follows = np.diff(sequence[:, OPEN_TIME]) == step_ms
    closes = sequence[:, CLOSE]
    labels[:-1][follows] = (closes[1:] / closes[:-1] - 1.0)[follows]
    return labels


def build(
    sequences: Mapping[str, Float64s],
    scalers: Mapping[str, Scaler],
    feature_set: str,
    window_length: int,
    split: Split,
    step_ms: int,
) -> Dataset:
    """Return the dataset of the symbols that have a scaler.

    A training window's label, and so all its candles, lie in the training span; a validation window's label lies in
    the validation span, while its candles may reach back, as they do live. Held-out candles are in neither.
    """
    rows, labels, training, validation = [], [], [], []
    start = 0
    for symbol, scaler in scalers.items():
        sequence = sequences[symbol][: count_before(sequences[symbol], split.validation_until_ms)]
        rows.append(scaler.apply(feature_rows(feature_set, sequence)))
        labels.append(changes_after(sequence, step_ms))
        ends = _ends(labels[-1], window_length)
        label_times = sequence[ends, OPEN_TIME] + step_ms
        in_training = label_times < split.training_until_ms
        training.append(start + ends[in_training])
        validation.append(start + ends[~in_training])
        start += len(sequence)
    changes, training_ends = np.concatenate(labels), np.concatenate(training)
    label_scale = _label_scale(changes[training_ends])
    return Dataset(
        rows=np.concatenate(rows),
        labels=(changes / label_scale).astype(np.float32),
        training_ends=training_ends,
        validation_ends=np.concatenate(validation),
        window_length=window_length,
        label_scale=label_scale,
    )


def drawn_for_epoch(ends: Int64s, most: int, seed: int, epoch: int) -> Int64s:
    """Return the windows of an epoch in random order: all of them, or so many drawn without repetition."""
    return np.random.default_rng([seed, epoch]).permutation(ends)[:most]


def spread(ends: Int64s, most: int) -> Int64s:
    """Return at most so many windows, evenly spread: the same at every epoch."""
    if len(ends) <= most:
        return ends
    return ends[np.linspace(0, len(ends) - 1, most).astype(np.int64)]


def _ends(labels: Float64s, window_length: int) -> Int64s:
    """Return the rows with a label and a full window before them."""
    ends = np.flatnonzero(np.isfinite(labels))
    return ends[ends >= window_length - 1]


def _label_scale(labels: Float64s) -> float:
    return max(float(labels.std()), _LEAST_LABEL_SCALE) if len(labels) else 1.0
