"""Windows and labels of candle sequences, split by time and cut when they are needed."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from shared.core.arrays import Float32s, Float64s
from shared.core.evaluation.errors import bounded
from shared.core.evaluation.forecasts import next_changes
from shared.core.features.base import FoldedFeatures
from shared.core.features.registry import feature_set
from shared.core.model.scaler import Scaler
from shared.core.sequence import OPEN_TIME, count_before
from shared.core.sequence_mapping import own_columns
from shared.reporting.progress import track_count


@dataclass(frozen=True, slots=True)
class Split:
    """Training, validation and held-out spans of open times, one after the other."""

    training_until_ms: int  # the first open time after the training span
    validation_until_ms: int  # the first held-out open time


def split_by_time(
    sequences: Mapping[str, Float64s],
    step_ms: int,
    validation_share: float,
    held_out_share: float,
    max_held_out: int,
) -> Split:
    """Split the time that the sequences cover; the newest part is held out.

    Args:
        sequences: candles (n, columns) by symbol.
        step_ms: the interval.
        validation_share: part of the time span that validates epochs.
        held_out_share: part of the time span that is held out.
        max_held_out: candles of a symbol that are held out, at most.
    """
    own = own_columns(sequences)
    first = min(int(s[0, OPEN_TIME]) for s in own.values())
    until = max(int(s[-1, OPEN_TIME]) for s in own.values()) + step_ms
    candles = (until - first) // step_ms
    held_out = min(int(candles * held_out_share), max_held_out)
    validation_until = until - held_out * step_ms
    return Split(validation_until - int(candles * validation_share) * step_ms, validation_until)


def training_candles(sequence: Float64s, split: Split) -> Float64s:
    """Return the candles (n, columns) of the training span: those that a scaler may see."""
    return sequence[: count_before(sequence, split.training_until_ms)]


Int64s: TypeAlias = NDArray[np.int64]

_MIN_LABEL_SCALE: Final = 1e-6  # where no price moves


@dataclass(frozen=True, slots=True)
class DatasetOptions:
    """The settings of windows and labels."""

    feature_set: str
    window_length: int
    # Two thirds of the variance of a 5-minute change is common to all symbols at that moment. The
    # windows of one moment are then one sample, not many, and a network learns the season's drift
    # from them. Without the common move it learns what is a symbol's own. The common move is what
    # the market explains of the change, or the median label for a feature set without market.
    is_common_move_removed: bool
    baskets: str | None = None  # version that the feature set looks at
    is_standardised: bool = True  # labels are divided by their standard deviation
    is_mirrored: bool = False  # each training window upside down too, so that no drift is learnt


FeatureFunction: TypeAlias = Callable[[DatasetOptions, str, Float64s], FoldedFeatures]
"""Takes the options, a symbol and its sequence (n, columns); returns its features, unscaled."""


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """Rows of all symbols as the network takes them, and the rows where windows end.

    With a `mirror`, the rows upside down follow the others. They are most of a training's memory,
    so they are not kept: `windows` makes them.
    """

    rows: Float32s  # (candles, features), one symbol after the other
    labels: Float32s  # of the window that ends there, on the network's scale; or NaN
    training_ends: Int64s  # (windows,), rows where a training window ends
    validation_ends: Int64s  # (windows,), likewise
    window_length: int
    label_scale: float
    mirror: Float32s | None = None  # (features,), factor of each column

    def windows(self, ends: Int64s) -> Float32s:
        """Cut the windows (n, window_length, features) that end at these rows, oldest row first."""
        places = ends[:, None] + np.arange(1 - self.window_length, 1)
        if self.mirror is None:
            windows: Float32s = self.rows[places]
            return windows
        is_mirrored = ends >= len(self.rows)
        windows = self.rows[places - (is_mirrored * len(self.rows))[:, None]]
        windows *= np.where(is_mirrored[:, None], self.mirror, np.float32(1.0))[:, None]
        return windows


def feature_function(step_ms: int) -> FeatureFunction:
    """Return the function that folds features from each sequence's oldest candle."""
    return lambda options, _, sequence: feature_set(options.feature_set, options.baskets).compute(
        sequence, step_ms
    )


def build_dataset(
    sequences: Mapping[str, Float64s],
    scalers: Mapping[str, Scaler],
    options: DatasetOptions,
    split: Split,
    step_ms: int,
    compute: FeatureFunction | None = None,
) -> Dataset:
    """Build the dataset of sequences by symbol.

    A training window's label, and so all its candles, lie in the training span. A validation
    window's label lies in the validation span, while its candles may reach back, as they do live.
    Held-out candles are in neither.

    Args:
        sequences: candles (n, columns) by symbol, oldest first.
        scalers: by symbol, for a feature set that needs them.
        options: what windows and labels are made of.
        split: the spans.
        step_ms: the interval.
        compute: returns a symbol's features; None folds them here.
    """
    compute = compute or feature_function(step_ms)
    columns = _Columns.empty(sequences, options, split)
    with track_count("features", sum(map(len, own_columns(sequences).values()))) as progress:
        for symbol, sequence in sequences.items():
            seen = sequence[: count_before(sequence, split.validation_until_ms)]
            columns.append(compute(options, symbol, seen), seen, scalers.get(symbol), step_ms)
            progress(len(sequence))
    return _to_dataset(columns, options, split, step_ms)


def common_moves(times_ms: Float64s, labels: Float64s) -> Float64s:
    """Return for each label (n,) the median label of its moment; NaN where the label is NaN."""
    order = np.lexsort((labels, times_ms))
    order = order[np.isfinite(labels[order])]  # by moment, and by label within it
    _, starts, counts = np.unique(times_ms[order], return_index=True, return_counts=True)
    sorted_labels = labels[order]
    lower, upper = starts + (counts - 1) // 2, starts + counts // 2
    medians = (sorted_labels[lower] + sorted_labels[upper]) / 2.0
    moves = np.full(len(labels), np.nan)
    moves[order] = np.repeat(medians, counts)
    return moves


def draw_epoch(ends: Int64s, most: int, seed: int, epoch: int) -> Int64s:
    """Draw an epoch's windows in random order: at most so many, without repetition."""
    return np.random.default_rng([seed, epoch]).permutation(ends)[:most]


def spread_evenly(ends: Int64s, most: int) -> Int64s:
    """Choose at most so many windows, evenly spread: the same ones for every epoch."""
    if len(ends) <= most:
        return ends
    return ends[np.linspace(0, len(ends) - 1, most).astype(np.int64)]


@dataclass(slots=True, eq=False)
class _Columns:
    """What is known of the candles of all symbols, one symbol after the other."""

    times_ms: Float64s  # (candles,)
    rows: Float32s  # (candles, features), as the network takes them
    # The next change in its unit, at most 8 of them: no candle decides about all symbols. NaN if
    # the next candle is missing.
    changes: Float64s  # (candles,)
    explained: Float64s  # (candles,), how much of it the market explains
    starts: list[int]  # the first row of each symbol, and the end

    @classmethod
    def empty(
        cls, sequences: Mapping[str, Float64s], options: DatasetOptions, split: Split
    ) -> "_Columns":
        """Return columns with room for all candles before the held-out ones.

        They are filled a symbol at a time: to join the symbols' own would take twice the memory.
        """
        own = own_columns(sequences).values()
        candles = sum(count_before(sequence, split.validation_until_ms) for sequence in own)
        features = feature_set(options.feature_set).columns
        rows = np.empty((candles, features), dtype=np.float32)
        return cls(np.empty(candles), rows, np.empty(candles), np.empty(candles), [0])

    def append(
        self, folded: FoldedFeatures, sequence: Float64s, scaler: Scaler | None, step_ms: int
    ) -> None:
        start, end = self.starts[-1], self.starts[-1] + len(sequence)
        part = slice(start, end)
        self.times_ms[part] = sequence[:, OPEN_TIME]
        self.rows[part] = folded.rows if scaler is None else scaler.apply(folded.rows)
        self.changes[part] = bounded(next_changes(sequence, step_ms) / folded.units)
        self.explained[part] = np.roll(folded.explained, -1) / folded.units  # of the next candle
        self.starts.append(end)


def _to_dataset(columns: _Columns, options: DatasetOptions, split: Split, step_ms: int) -> Dataset:
    training_ends, validation_ends = _window_ends(columns, options.window_length, split, step_ms)
    changes, chosen = columns.changes, feature_set(options.feature_set)
    if options.is_common_move_removed:
        changes -= (
            columns.explained if chosen.needs_market else common_moves(columns.times_ms, changes)
        )
    label_scale = _label_deviation(changes[training_ends]) if options.is_standardised else 1.0
    changes /= label_scale
    labels = changes.astype(np.float32)
    dataset = Dataset(
        columns.rows, labels, training_ends, validation_ends, options.window_length, label_scale
    )
    if not options.is_mirrored or chosen.mirror is None:
        return dataset
    return _with_mirrored_training(dataset, chosen.mirror)


def _window_ends(
    columns: _Columns, window_length: int, split: Split, step_ms: int
) -> tuple[Int64s, Int64s]:
    """Return the rows where training and validation windows end, with a label and full."""
    full = [np.arange(start + window_length - 1, end) for start, end in pairwise(columns.starts)]
    ends = np.concatenate(full)
    ends = ends[np.isfinite(columns.changes[ends])]
    in_training = columns.times_ms[ends] + step_ms < split.training_until_ms
    return ends[in_training], ends[~in_training]


def _with_mirrored_training(dataset: Dataset, mirror: Float64s) -> Dataset:
    """Append each training window upside down, with the opposite label."""
    mirrored_ends = dataset.training_ends + len(dataset.rows)
    return replace(
        dataset,
        labels=np.concatenate([dataset.labels, -dataset.labels]),
        training_ends=np.concatenate([dataset.training_ends, mirrored_ends]),
        mirror=mirror.astype(np.float32),
    )


def _label_deviation(labels: Float64s) -> float:
    return max(float(labels.std()), _MIN_LABEL_SCALE) if len(labels) else 1.0
