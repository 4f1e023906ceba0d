"""From sequences to windows and labels: split by time, cut lazily. Values only."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from shared.core.arrays import Float32s, Float64s
from shared.core.evaluation.backtest import next_changes
from shared.core.features.registry import feature_set
from shared.core.model.card import Target
from shared.core.model.scaler import Scaler
from shared.core.sequence import OPEN_TIME

Int64s: TypeAlias = NDArray[np.int64]

_LEAST_LABEL_SCALE = 1e-6  # of a market that does not move


FeatureFunction: TypeAlias = Callable[[str, str, Float64s], tuple[Float64s, Float64s]]
"""Gives the unscaled rows (n, features) and the units (n,) of a feature set's name, a symbol and its sequence."""


@dataclass(frozen=True, slots=True)
class Split:
    """Three spans of open times, one after the other; the ends of the first two are not part of them."""

    training_until_ms: int
    validation_until_ms: int


@dataclass(frozen=True, slots=True)
class SplitShares:
    """How a span of time is split: validation and held-out shares, the latter at most so many candles."""

    validation: float
    held_out: float
    held_out_candles: int


@dataclass(frozen=True, slots=True)
class DatasetOptions:
    """What windows and labels are made of.

    Two thirds of the variance of a 5-minute change is common to all symbols at that moment. So many windows of one
    moment are one sample, not many, and a network learns the season's drift from them: without the common move it
    learns what is a symbol's own.
    """

    feature_set: str
    window_length: int
    is_common_move_removed: bool
    target: Target = "change"
    is_mirrored: bool = False  # each training window upside down as well, where the features can: no drift is learnt


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """Rows of all symbols as the network takes them, one after the other, and where windows end in them."""

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
    """Return the candles (n, columns) that the scaler may see."""
    return sequence[: count_before(sequence, split.training_until_ms)]


def count_before(sequence: Float64s, time_ms: int) -> int:
    """Return how many candles open before a time."""
    return int(np.searchsorted(sequence[:, OPEN_TIME], time_ms))


def feature_function(step_ms: int) -> FeatureFunction:
    """Return what computes features, folded from each sequence's oldest candle."""
    return lambda name, _, sequence: feature_set(name).compute(sequence, step_ms)[1:]


def build_dataset(
    sequences: Mapping[str, Float64s],
    scalers: Mapping[str, Scaler],
    inputs: DatasetOptions,
    split: Split,
    step_ms: int,
    over: FeatureFunction | None = None,
) -> Dataset:
    """Return the dataset of sequences by symbol; `scalers` has those of a feature set that needs them.

    `over` is asked for each symbol's features: none means that they are feature_function here.

    A training window's label, and so all its candles, lie in the training span; a validation window's label lies in
    the validation span, while its candles may reach back, as they do live. Held-out candles are in neither.
    """
    rows, labels, times, training, validation = [], [], [], [], []
    start = 0
    chosen, over = feature_set(inputs.feature_set), over or feature_function(step_ms)
    for symbol, whole in sequences.items():
        sequence = whole[: count_before(whole, split.validation_until_ms)]
        unscaled, units = over(inputs.feature_set, symbol, sequence)
        rows.append(
            scalers[symbol].apply(unscaled) if chosen.needs_scaler else unscaled.astype(np.float32)
        )
        labels.append(next_changes(sequence, step_ms) / units)
        times.append(sequence[:, OPEN_TIME])
        ends = _ends(labels[-1], inputs.window_length)
        in_training = times[-1][ends] + step_ms < split.training_until_ms
        training.append(start + ends[in_training])
        validation.append(start + ends[~in_training])
        start += len(sequence)
    changes, training_ends = np.concatenate(labels), np.concatenate(training)
    label_scale = _label_scale(changes[training_ends])
    if inputs.is_common_move_removed:
        changes -= common_moves(np.concatenate(times), changes)
    network_rows = np.concatenate(rows)
    labels_of_rows = (
        (changes / label_scale).astype(np.float32)
        if inputs.target == "change"
        else _next_levels(network_rows[:, chosen.close_column], changes)
    )
    if inputs.is_mirrored and chosen.mirror is not None:
        network_rows = np.concatenate(
            [network_rows, network_rows * chosen.mirror.astype(np.float32)]
        )
        labels_of_rows = np.concatenate([labels_of_rows, -labels_of_rows])
        training_ends = np.concatenate([training_ends, training_ends + start])
    return Dataset(
        rows=network_rows,
        labels=labels_of_rows,
        training_ends=training_ends,
        validation_ends=np.concatenate(validation),
        window_length=inputs.window_length,
        label_scale=label_scale,
    )


def common_moves(times_ms: Float64s, labels: Float64s) -> Float64s:
    """Return for each label (n,) the median over all symbols' labels of its moment; NaN where the label is none."""
    order = np.lexsort((labels, times_ms))
    order = order[np.isfinite(labels[order])]  # by moment, and by label within it
    _, starts, counts = np.unique(times_ms[order], return_index=True, return_counts=True)
    sorted_labels = labels[order]
    lower, upper = starts + (counts - 1) // 2, starts + counts // 2
    medians = (sorted_labels[lower] + sorted_labels[upper]) / 2.0
    found = np.full(len(labels), np.nan)
    found[order] = np.repeat(medians, counts)
    return found


def draw_epoch(ends: Int64s, most: int, seed: int, epoch: int) -> Int64s:
    """Return the windows of an epoch in random order: all of them, or so many drawn without repetition."""
    return np.random.default_rng([seed, epoch]).permutation(ends)[:most]


def spread_evenly(ends: Int64s, most: int) -> Int64s:
    """Return at most so many windows, evenly spread: the same at every epoch."""
    if len(ends) <= most:
        return ends
    return ends[np.linspace(0, len(ends) - 1, most).astype(np.int64)]


def _ends(labels: Float64s, window_length: int) -> Int64s:
    """Return the rows with a label and a full window before them."""
    ends = np.flatnonzero(np.isfinite(labels))
    return ends[ends >= window_length - 1]


def _next_levels(levels: Float32s, changes: Float64s) -> Float32s:
    """Return for each row the next one's scaled close (n,); NaN where there is no next."""
    return np.where(np.isfinite(changes), np.roll(levels, -1), np.float32(np.nan))


def _label_scale(labels: Float64s) -> float:
    return max(float(labels.std()), _LEAST_LABEL_SCALE) if len(labels) else 1.0
