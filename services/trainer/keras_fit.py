"""Fitting with Keras, its networks and its files: the only file that knows it."""

import threading
from collections.abc import Callable, Sequence
from math import isinf
from pathlib import Path
from typing import Any

import keras
import numpy as np

from services.trainer.dataset import Dataset, Int64s, drawn_for_epoch, spread
from services.trainer.report import EpochProgress, counting_epochs
from services.trainer.schedule import Fitted, Schedule
from shared.core.arrays import Float32s
from shared.core.card import Architecture


def find_devices() -> list[str]:
    """Return the devices that Keras computes on; the first call starts TensorFlow, which has much to say then."""
    return list(keras.distribution.list_devices())


def build_network(architecture: Architecture, dropout: float = 0.0) -> Any:
    """Return the Keras model of an architecture, with fresh weights."""
    last = len(architecture.widths) - 1
    layers = [
        keras.layers.LSTM(width, return_sequences=at < last, dropout=dropout)
        for at, width in enumerate(architecture.widths)
    ]
    shape = (architecture.window_length, architecture.features)
    return keras.Sequential([keras.Input(shape), *layers, keras.layers.Dense(1)])


def fresh_weights(architecture: Architecture, seed: int) -> Float32s:
    """Return the weights that Keras begins with, flat in its order."""
    keras.utils.set_random_seed(seed)
    return flat(build_network(architecture).get_weights())


def flat(arrays: Sequence[Any]) -> Float32s:
    """Return weight arrays as one, in their order."""
    return np.concatenate([np.asarray(a, dtype=np.float32).ravel() for a in arrays])


def save(architecture: Architecture, arrays: Sequence[Float32s], path: Path) -> None:
    """Write a `.keras` file that stock Keras loads; it takes scaled windows."""
    network = build_network(architecture)
    network.set_weights(list(arrays))
    network.save(path)


def fit_with_keras(architecture: Architecture, dataset: Dataset, schedule: Schedule, stop: threading.Event) -> Fitted:
    """Train a network, and return it as it was at its best epoch on the validation windows.

    Ends early, with what it has, once `stop` is set.
    """
    keras.utils.set_random_seed(schedule.seed)
    network = build_network(architecture, schedule.dropout)
    network.compile(keras.optimizers.Adam(schedule.learning_rate), loss=_loss(schedule.huber_delta))
    validation = spread(dataset.validation_ends, schedule.validation_windows)
    with counting_epochs(schedule.epochs) as progress:
        history = network.fit(
            _Batches(dataset, schedule),
            validation_data=_FixedBatches(dataset, validation, schedule.batch_size),
            epochs=schedule.epochs,
            verbose=0,
            callbacks=[
                keras.callbacks.EarlyStopping(
                    monitor="val_loss", patience=schedule.patience, restore_best_weights=True
                ),
                _Report(progress, stop),
            ],
        ).history
    return Fitted(
        flat(network.get_weights()),
        tuple(map(float, history["loss"])),
        tuple(map(float, history["val_loss"])),
    )


def _loss(huber_delta: float) -> str | Callable[[Any, Any], Any]:
    if isinf(huber_delta):
        return "mean_squared_error"
    # Keras halves the square.
    return lambda labels, outputs: 2.0 * keras.losses.huber(labels, outputs, huber_delta)


class _FixedBatches(keras.utils.PyDataset):  # type: ignore[misc]
    """Batches of windows and labels, cut when they are asked for."""

    def __init__(self, dataset: Dataset, ends: Int64s, size: int) -> None:
        super().__init__()
        self.dataset, self.ends, self.size = dataset, ends, size

    def __len__(self) -> int:
        return -(-len(self.ends) // self.size)

    def __getitem__(self, index: int) -> tuple[Float32s, Float32s]:
        ends = self.ends[index * self.size : (index + 1) * self.size]
        return self.dataset.windows(ends), self.dataset.labels[ends, None]


class _Batches(_FixedBatches):
    """Another draw of training windows at every epoch."""

    def __init__(self, dataset: Dataset, schedule: Schedule) -> None:
        self.schedule, self.epoch = schedule, 0
        super().__init__(dataset, self._drawn(dataset), schedule.batch_size)

    def on_epoch_end(self) -> None:
        self.epoch += 1
        self.ends = self._drawn(self.dataset)

    def _drawn(self, dataset: Dataset) -> Int64s:
        s = self.schedule
        return drawn_for_epoch(dataset.training_ends, s.windows_per_epoch, s.seed, self.epoch)


class _Report(keras.callbacks.Callback):  # type: ignore[misc]
    """Shows each epoch's progress and losses, and listens for the stop signal."""

    def __init__(self, progress: EpochProgress, stop: threading.Event) -> None:
        super().__init__()
        self.progress, self.stop = progress, stop

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.progress.begin(epoch, self.params["steps"])

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.progress.advance(logs["loss"])
        if self.stop.is_set():
            self.model.stop_training = True

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.progress.end(epoch, logs["loss"], logs["val_loss"])
