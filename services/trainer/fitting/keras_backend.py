"""Fitting with Keras, its networks and its files: the only file that knows it."""

import threading
from collections.abc import Callable, Sequence
from math import isinf
from pathlib import Path
from typing import Any

import keras
import numpy as np

from services.trainer.data.dataset import Dataset, Int64s, draw_epoch, spread_evenly
from services.trainer.fitting.options import FitOptions, FitResult
from services.trainer.fitting.training_loop import NO_CALLBACKS, Arrays, FitCallbacks, fit_by_epochs
from shared.core.arrays import Float32s
from shared.core.model.architecture import Architecture
from shared.reporting.progress import EpochProgress


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


def initial_weights(architecture: Architecture, seed: int) -> Float32s:
    """Return the weights that Keras begins with, flat in its order."""
    keras.utils.set_random_seed(seed)
    return flatten(build_network(architecture).get_weights())


def flatten(arrays: Sequence[Any]) -> Float32s:
    """Return weight arrays as one, in their order."""
    return np.concatenate([np.asarray(a, dtype=np.float32).ravel() for a in arrays])


def save_keras_file(architecture: Architecture, arrays: Sequence[Float32s], path: Path) -> None:
    """Write a `.keras` file that stock Keras loads; it takes scaled windows."""
    network = build_network(architecture)
    network.set_weights(list(arrays))
    network.save(path)


def fit_with_keras(
    architecture: Architecture,
    dataset: Dataset,
    schedule: FitOptions,
    stop: threading.Event,
    guidance: FitCallbacks = NO_CALLBACKS,
) -> FitResult:
    """Train a network, and return it as it was at its best epoch: on the validation windows, or as `guidance` judges.

    Ends early, without the epoch it is in, once `stop` is set.
    """
    keras.utils.set_random_seed(schedule.seed)
    network = build_network(architecture, schedule.dropout)
    network.compile(keras.optimizers.Adam(schedule.learning_rate), loss=_loss(schedule.huber_delta))
    network.optimizer.build(network.trainable_variables)
    return fit_by_epochs(_KerasLearning(network, dataset, schedule, stop), schedule, guidance)


class _KerasLearning:
    """A compiled network, epoch by epoch."""

    def __init__(
        self, network: Any, dataset: Dataset, schedule: FitOptions, stop: threading.Event
    ) -> None:
        self._network, self._dataset, self._schedule, self._stop = network, dataset, schedule, stop
        self._validation = spread_evenly(dataset.validation_ends, schedule.validation_windows)
        self._mean = _Mean(schedule, len(dataset.training_ends), network)

    @property
    def weights(self) -> Float32s:
        return flatten(self._mean.arrays)

    @property
    def arrays(self) -> Arrays:
        variables = {f"variable-{at}": np.asarray(v) for at, v in enumerate(self._variables())}
        return {**variables, **{f"mean-{at}": array for at, array in enumerate(self._mean.arrays)}}

    def go_on_from(self, arrays: Arrays) -> None:
        self._mean.arrays = [arrays[f"mean-{at}"] for at in range(len(self._mean.arrays))]
        for at, variable in enumerate(self._variables()):
            variable.assign(arrays[f"variable-{at}"])

    def epoch(self, number: int, progress: EpochProgress) -> tuple[float, float] | None:
        s = self._schedule
        ends = draw_epoch(self._dataset.training_ends, s.windows_per_epoch, s.seed, number)
        history = self._network.fit(
            _Batches(self._dataset, ends, s.batch_size),
            epochs=number + 1,
            initial_epoch=number,
            shuffle=False,  # the draw is in random order already
            verbose=0,
            callbacks=[self._mean, _Report(progress, self._stop)],
        ).history
        if self._stop.is_set():
            return None
        return float(history["loss"][0]), self._validation_loss()

    def _validation_loss(self) -> float:
        """Return the loss of the mean of the weights."""
        newest = self._network.get_weights()
        self._network.set_weights(self._mean.arrays)
        batches = _Batches(self._dataset, self._validation, self._schedule.batch_size)
        loss = float(self._network.evaluate(batches, verbose=0))
        self._network.set_weights(newest)
        return loss

    def _variables(self) -> list[Any]:
        """Return weights, dropout's random states and the optimiser's moments."""
        layers = [variable for layer in self._network.layers for variable in layer.variables]
        return [*layers, *self._network.optimizer.variables]


def _loss(huber_delta: float) -> str | Callable[[Any, Any], Any]:
    if isinf(huber_delta):
        return "mean_squared_error"
    # Keras halves the square.
    return lambda labels, outputs: 2.0 * keras.losses.huber(labels, outputs, huber_delta)


class _Batches(keras.utils.PyDataset):  # type: ignore[misc]
    """Batches of windows and labels, cut when they are asked for."""

    def __init__(self, dataset: Dataset, ends: Int64s, size: int) -> None:
        super().__init__()
        self.dataset, self.ends, self.size = dataset, ends, size

    def __len__(self) -> int:
        return -(-len(self.ends) // self.size)

    def __getitem__(self, index: int) -> tuple[Float32s, Float32s]:
        ends = self.ends[index * self.size : (index + 1) * self.size]
        return self.dataset.windows(ends), self.dataset.labels[ends, None]


class _Mean(keras.callbacks.Callback):  # type: ignore[misc]
    """Sets each step's learning rate before it, and keeps the mean of the weights after it."""

    def __init__(self, schedule: FitOptions, windows: int, network: Any) -> None:
        super().__init__()
        self._schedule, self._windows = schedule, windows
        self.arrays: list[Float32s] = network.get_weights()

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        optimizer = self.model.optimizer
        optimizer.learning_rate = self._schedule.rate(int(optimizer.iterations), self._windows)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        step = int(self.model.optimizer.iterations) - 1
        pairs = zip(self.arrays, self.model.get_weights(), strict=True)
        self.arrays = [self._schedule.mean_after(step, mean, newest) for mean, newest in pairs]


class _Report(keras.callbacks.Callback):  # type: ignore[misc]
    """Shows an epoch's progress, and listens for the stop signal."""

    def __init__(self, progress: EpochProgress, stop: threading.Event) -> None:
        super().__init__()
        self.progress, self.stop = progress, stop

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.progress.begin(epoch, self.params["steps"])

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.progress.advance(logs["loss"])
        if self.stop.is_set():
            self.model.stop_training = True
