"""Fits with Keras, and builds its networks and files: the only file that imports it."""

import threading
from collections.abc import Callable, Sequence
from math import isinf
from pathlib import Path
from typing import Any

import numpy as np

from services.trainer.data.dataset import Dataset, Int64s, draw_epoch, spread_evenly
from services.trainer.fitting.checkpoints import Arrays
from services.trainer.fitting.native_output import discard_native_stderr
from services.trainer.fitting.options import FitOptions, FitResult
from services.trainer.fitting.training_loop import NO_CALLBACKS, FitCallbacks, fit_by_epochs
from shared.core.arrays import Float32s
from shared.core.model.architecture import Architecture
from shared.core.model.card import Bundle
from shared.reporting.progress import EpochProgress

with discard_native_stderr():
    import keras

    keras.distribution.list_devices()  # starts TensorFlow, which reports what it finds only once


def build_network(architecture: Architecture, dropout: float = 0.0) -> Any:
    """Build the Keras model of an architecture, with initial weights."""
    last = len(architecture.widths) - 1
    layers = [
        keras.layers.LSTM(width, return_sequences=at < last, dropout=dropout)
        for at, width in enumerate(architecture.widths)
    ]
    shape = (architecture.window_length, architecture.features)
    return keras.Sequential([keras.Input(shape), *layers, keras.layers.Dense(1)])


def initial_weights(architecture: Architecture, seed: int) -> Float32s:
    """Draw the weights (weights,) that Keras begins with, flat in its order."""
    keras.utils.set_random_seed(seed)
    return flatten(build_network(architecture).get_weights())


def flatten(arrays: Sequence[Any]) -> Float32s:
    """Concatenate weight arrays to one (weights,), in their order."""
    return np.concatenate([np.asarray(a, dtype=np.float32).ravel() for a in arrays])


def _build_network_with_head(architecture: Architecture) -> Any:
    """Build the Keras model whose last layer takes the window's newest row too, as a head does."""
    window = keras.Input((architecture.window_length, architecture.features))
    hidden, last = window, len(architecture.widths) - 1
    for at, width in enumerate(architecture.widths):
        hidden = keras.layers.LSTM(width, return_sequences=at < last)(hidden)
    newest = keras.layers.Cropping1D((architecture.window_length - 1, 0))(window)
    joined = keras.layers.Concatenate()([hidden, keras.layers.Flatten()(newest)])
    return keras.Model(window, keras.layers.Dense(1)(joined))


def save_keras_file(bundle: Bundle, path: Path) -> None:
    """Write a `.keras` file that stock Keras loads; its model takes scaled windows.

    With a head, the head takes the place of the last layer.
    """
    architecture, arrays = bundle.card.architecture, bundle.arrays()
    if bundle.head is None:
        network = build_network(architecture)
    else:
        network = _build_network_with_head(architecture)
        means = bundle.head.weights.astype(np.float32)
        arrays[-2:] = means[:-1, None], means[-1:]
    network.set_weights(arrays)
    network.save(path)


def fit_with_keras(
    architecture: Architecture,
    dataset: Dataset,
    options: FitOptions,
    stop: threading.Event,
    callbacks: FitCallbacks = NO_CALLBACKS,
) -> FitResult:
    """Train a network from Keras' initial weights; return the weights of the best epoch.

    Once `stop` is set the fit ends without the epoch it is in.
    """
    keras.utils.set_random_seed(options.seed)
    network = build_network(architecture, options.dropout)
    network.compile(keras.optimizers.Adam(options.learning_rate), loss=_loss(options.huber_delta))
    network.optimizer.build(network.trainable_variables)
    return fit_by_epochs(_KerasBackend(network, dataset, options, stop), options, callbacks)


class _KerasBackend:
    """A compiled network that is trained by epochs."""

    def __init__(
        self, network: Any, dataset: Dataset, options: FitOptions, stop: threading.Event
    ) -> None:
        self._network, self._dataset, self._options, self._stop = network, dataset, options, stop
        self._validation = spread_evenly(dataset.validation_ends, options.validation_windows)
        self._steps = _StepCallback(options, len(dataset.training_ends), network)

    @property
    def weights(self) -> Float32s:
        return flatten(self._steps.mean)

    @property
    def arrays(self) -> Arrays:
        variables = {f"variable-{at}": np.asarray(v) for at, v in enumerate(self._variables())}
        return {**variables, **{f"mean-{at}": array for at, array in enumerate(self._steps.mean)}}

    def restore(self, arrays: Arrays) -> None:
        self._steps.mean = [arrays[f"mean-{at}"] for at in range(len(self._steps.mean))]
        for at, variable in enumerate(self._variables()):
            variable.assign(arrays[f"variable-{at}"])

    def run_epoch(self, number: int, progress: EpochProgress) -> tuple[float, float] | None:
        options = self._options
        ends = draw_epoch(
            self._dataset.training_ends, options.windows_per_epoch, options.seed, number
        )
        history = self._network.fit(
            _Batches(self._dataset, ends, options.batch_size),
            epochs=number + 1,
            initial_epoch=number,
            shuffle=False,  # the draw is in random order already
            verbose=0,
            callbacks=[self._steps, _ProgressCallback(progress, self._stop)],
        ).history
        if self._stop.is_set():
            return None
        return float(history["loss"][0]), self._validation_loss()

    def _validation_loss(self) -> float:
        """Return the loss of the mean of the weights."""
        newest = self._network.get_weights()
        self._network.set_weights(self._steps.mean)
        batches = _Batches(self._dataset, self._validation, self._options.batch_size)
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
    """Batches of windows and labels, cut when they are needed."""

    def __init__(self, dataset: Dataset, ends: Int64s, size: int) -> None:
        super().__init__()
        self.dataset, self.ends, self.size = dataset, ends, size

    def __len__(self) -> int:
        return -(-len(self.ends) // self.size)

    def __getitem__(self, index: int) -> tuple[Float32s, Float32s]:
        ends = self.ends[index * self.size : (index + 1) * self.size]
        return self.dataset.windows(ends), self.dataset.labels[ends, None]


class _StepCallback(keras.callbacks.Callback):  # type: ignore[misc]
    """Sets the learning rate before each step, and averages the weights after it."""

    def __init__(self, options: FitOptions, windows: int, network: Any) -> None:
        super().__init__()
        self._options, self._windows = options, windows
        self.mean: list[Float32s] = network.get_weights()

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        optimizer = self.model.optimizer
        step = int(optimizer.iterations)
        optimizer.learning_rate = self._options.learning_rate_at(step, self._windows)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        step = int(self.model.optimizer.iterations) - 1
        pairs = zip(self.mean, self.model.get_weights(), strict=True)
        self.mean = [self._options.average_weights(step, mean, newest) for mean, newest in pairs]


class _ProgressCallback(keras.callbacks.Callback):  # type: ignore[misc]
    """Reports an epoch's progress, and ends it at the stop signal."""

    def __init__(self, progress: EpochProgress, stop: threading.Event) -> None:
        super().__init__()
        self.progress, self.stop = progress, stop

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.progress.begin(epoch, self.params["steps"])

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.progress.advance(logs["loss"])
        if self.stop.is_set():
            self.model.stop_training = True
