"""The online step in words: predict, Jacobian, step. Its arithmetic is kernel/kernel.c."""

import ctypes
from dataclasses import dataclass
from functools import lru_cache
from math import inf, sqrt
from pathlib import Path

import numpy as np

from shared.core.arrays import Float32s, read_only32
from shared.core.errors import Incompatible
from shared.core.model.architecture import Architecture
from shared.core.model.optimiser import Optimiser

_LIBRARY = Path(__file__).parent / "kernel" / "_kernel.so"


class _Shape(ctypes.Structure):
    _fields_ = (
        ("window", ctypes.c_int),
        ("features", ctypes.c_int),
        ("layers", ctypes.c_int),
        ("width", ctypes.c_int * 3),
    )


class _AdamRates(ctypes.Structure):
    _fields_ = tuple(
        (name, ctypes.c_float)
        for name in ("factor", "alpha", "one_minus_beta_1", "one_minus_beta_2", "epsilon")
    )


class _Batch(ctypes.Structure):
    _fields_ = (
        ("n", ctypes.c_long),
        ("huber_delta", ctypes.c_float),
        ("windows", ctypes.c_void_p),
        ("labels", ctypes.c_void_p),
    )


@lru_cache(maxsize=8)
def kernel(path: Path = _LIBRARY) -> ctypes.CDLL:
    """Load the compiled kernel.

    Raises:
        Incompatible: it is not there, does not load, or lacks a function.
    """
    try:
        return _declared(ctypes.CDLL(str(path)))
    except (OSError, AttributeError) as error:
        message = (
            f"the kernel {path} does not load ({error}); run `make install`, which compiles it"
        )
        raise Incompatible(message) from error


def _declared(library: ctypes.CDLL) -> ctypes.CDLL:
    """Say what the kernel's functions take and give; kernel.h says it for C."""
    pointer, shape, batch = ctypes.c_void_p, ctypes.POINTER(_Shape), ctypes.POINTER(_Batch)
    library.kernel_variant_name.restype = ctypes.c_char_p
    library.kernel_scratch_floats.restype = ctypes.c_long
    library.kernel_scratch_floats.argtypes = [shape]
    library.kernel_forward.restype = ctypes.c_float
    library.kernel_forward.argtypes = [shape, pointer, pointer, pointer]
    library.kernel_jacobian.restype = None
    library.kernel_jacobian.argtypes = [shape, pointer, pointer, pointer, pointer]
    library.kernel_batch_forward.restype = None
    library.kernel_batch_forward.argtypes = [shape, pointer, batch, pointer, pointer]
    library.kernel_batch_gradient.restype = None
    library.kernel_batch_gradient.argtypes = [shape, pointer, batch, pointer, pointer, pointer]
    library.kernel_adam.restype = ctypes.c_int
    library.kernel_adam.argtypes = [
        ctypes.c_long,
        ctypes.POINTER(_AdamRates),
        pointer,
        pointer,
        pointer,
    ]
    return library


@dataclass(frozen=True, slots=True, eq=False)
class Learner:
    """What one symbol has learnt since the promotion.

    `parameters` is (3, weights) float32: weights, first and second moments of Adam. The beta powers are those of the
    steps made so far, carried as running products because a library's pow changes its bits with the processor.
    """

    parameters: Float32s
    steps: int = 0
    beta_1_power: float = 1.0
    beta_2_power: float = 1.0
    is_finite: bool = True  # every weight and moment is a finite number

    @property
    def weights(self) -> Float32s:
        """The weights, flat in Keras' order."""
        weights: Float32s = self.parameters[0]
        return weights


def new_learner(weights: Float32s) -> Learner:
    """Return a learner that starts from base weights, with a fresh optimiser."""
    parameters = np.zeros((3, weights.size), dtype=np.float32)
    parameters[0] = weights
    return Learner(read_only32(parameters))


class _Scratch:
    """Memory of one call at a time, and where it lies."""

    def __init__(self, size: int) -> None:
        self._floats = np.zeros(size, dtype=np.float32)
        self.at = _address(self._floats)


class Network:
    """LSTM layers and Dense(1) of one architecture, for one symbol or a batch of windows a call.

    Threads may share it: each call has scratch memory of its own, and the kernel runs without the interpreter's lock.
    """

    def __init__(self, architecture: Architecture, library: ctypes.CDLL | None = None) -> None:
        """Take the architecture's sizes; `library` is another build of the kernel, for tests."""
        self.architecture = architecture
        self._library = library or kernel()
        widths = (ctypes.c_int * 3)(*architecture.widths)
        self._shape = _Shape(
            architecture.window_length, architecture.features, len(architecture.widths), widths
        )
        self._scratch_size = self._library.kernel_scratch_floats(self._shape)
        self._free: list[_Scratch] = []  # as many as there were calls at once
        self._weights_shape = (architecture.weight_count(),)
        self._window_shape = (architecture.window_length, architecture.features)

    def predict(self, weights: Float32s, window: Float32s) -> np.float32:
        """Return the output for a scaled window (window_length, features), oldest row first."""
        self._check(weights, window)
        scratch = self._scratch()
        output = self._library.kernel_forward(
            self._shape, _address(weights), _address(window), scratch.at
        )
        self._free.append(scratch)
        return np.float32(output)

    def jacobian(self, weights: Float32s, window: Float32s) -> tuple[np.float32, Float32s]:
        """Return the output and its gradient by the weights, (weights,): the label is not needed.

        The output is that of `predict`, to the bit: the gradient uses the same forward pass.
        """
        self._check(weights, window)
        scratch, given = self._scratch(), (_address(weights), _address(window))
        output = self._library.kernel_forward(self._shape, *given, scratch.at)
        jacobian = np.empty(weights.size, dtype=np.float32)
        self._library.kernel_jacobian(self._shape, *given, scratch.at, _address(jacobian))
        self._free.append(scratch)
        return np.float32(output), read_only32(jacobian)

    def step(
        self, learner: Learner, optimiser: Optimiser, error: np.float32, jacobian: Float32s
    ) -> Learner:
        """Make one step on the squared error, error = output - label; d(loss) = 2 error jacobian."""
        return self._moved(learner, optimiser, np.float32(2.0) * error, jacobian)

    def predict_many(self, weights: Float32s, windows: Float32s) -> Float32s:
        """Return the outputs (n,) for windows (n, window_length, features): each is that of `predict`, to the bit.

        Raises:
            ValueError: an array is not float32, not contiguous, or has another shape.
        """
        self._check_many(weights, windows)
        outputs = np.empty(len(windows), dtype=np.float32)
        scratch = self._scratch()
        batch = _Batch(len(windows), inf, _address(windows), None)
        self._library.kernel_batch_forward(
            self._shape, _address(weights), batch, scratch.at, _address(outputs)
        )
        self._free.append(scratch)
        return outputs

    def batch_gradient(
        self, weights: Float32s, windows: Float32s, labels: Float32s, huber_delta: float = inf
    ) -> tuple[Float32s, Float32s]:
        """Return the outputs (n,), and the gradient by the weights (weights,) of the sum of the windows' losses.

        windows: (n, window_length, features); labels: (n,). A window's loss is error**2, error = output - label; from
        |error| = huber_delta on a straight line of the same slope (twice what the textbook calls Huber's loss).
        The gradient is the sum, window after window, of 2 error jacobian with the error kept within huber_delta, and
        each output and Jacobian is that of `jacobian`, to the bit.

        Raises:
            ValueError: an array is not float32, not contiguous, or has another shape; huber_delta is not above 0.
        """
        self._check_many(weights, windows)
        _check_floats(labels)
        if labels.shape != windows.shape[:1]:
            message = (
                f"labels {labels.shape} do not fit windows {windows.shape}: one label a window"
            )
            raise ValueError(message)
        if not huber_delta > 0.0:
            message = f"the Huber delta is {huber_delta}; allowed: above 0, infinity for the squared error"
            raise ValueError(message)
        outputs, gradient = (
            np.empty(len(windows), dtype=np.float32),
            np.empty(weights.size, dtype=np.float32),
        )
        scratch = self._scratch()
        batch = _Batch(len(windows), huber_delta, _address(windows), _address(labels))
        self._library.kernel_batch_gradient(
            self._shape, _address(weights), batch, scratch.at, _address(outputs), _address(gradient)
        )
        self._free.append(scratch)
        return outputs, gradient

    def descend(
        self, learner: Learner, optimiser: Optimiser, factor: np.float32, gradient: Float32s
    ) -> Learner:
        """Make one step for the gradient factor * gradient, (weights,): one over the batch's size for its mean.

        Raises:
            ValueError: the gradient is not contiguous float32, or has another shape than the weights.
        """
        _check_floats(gradient)
        if gradient.shape != self._weights_shape or learner.weights.shape != self._weights_shape:
            message = f"gradient {gradient.shape} and weights {learner.weights.shape} do not fit {self.architecture}"
            raise ValueError(message)
        return self._moved(learner, optimiser, factor, gradient)

    def _moved(
        self, learner: Learner, optimiser: Optimiser, factor: np.float32, direction: Float32s
    ) -> Learner:
        if optimiser.name == "sgd":
            return _descended(learner, np.float32(optimiser.rate) * factor, direction)
        return self._adam(learner, optimiser, float(factor), direction)

    def _adam(
        self, learner: Learner, optimiser: Optimiser, factor: float, direction: Float32s
    ) -> Learner:
        """Adam as in Kingma and Ba, with Keras' form of the bias correction and epsilon."""
        power_1 = learner.beta_1_power * optimiser.beta_1
        power_2 = learner.beta_2_power * optimiser.beta_2
        rates = _AdamRates(
            factor,
            optimiser.rate * sqrt(1.0 - power_2) / (1.0 - power_1),
            1.0 - optimiser.beta_1,
            1.0 - optimiser.beta_2,
            optimiser.epsilon,
        )
        parameters = np.empty_like(learner.parameters)
        is_finite = self._library.kernel_adam(
            parameters.shape[1],
            rates,
            _address(direction),
            _address(learner.parameters),
            _address(parameters),
        )
        return Learner(
            read_only32(parameters), learner.steps + 1, power_1, power_2, bool(is_finite)
        )

    def _scratch(self) -> _Scratch:
        try:
            return self._free.pop()
        except IndexError:
            return _Scratch(self._scratch_size)

    def _check(self, weights: Float32s, window: Float32s) -> None:
        """Memory handed to C must be what C takes it for."""
        if window.shape != self._window_shape or weights.shape != self._weights_shape:
            message = (
                f"window {window.shape} and weights {weights.shape} do not fit {self.architecture}"
            )
            raise ValueError(message)
        _check_floats(weights, window)

    def _check_many(self, weights: Float32s, windows: Float32s) -> None:
        if windows.shape[1:] != self._window_shape or weights.shape != self._weights_shape:
            message = f"windows {windows.shape} and weights {weights.shape} do not fit {self.architecture}"
            raise ValueError(message)
        _check_floats(weights, windows)


def _check_floats(*arrays: Float32s) -> None:
    for array in arrays:
        if array.dtype != np.float32 or not array.flags.c_contiguous:
            message = f"the kernel takes contiguous float32, not {array.dtype} {array.strides}"
            raise ValueError(message)


def _descended(learner: Learner, factor: np.float32, direction: Float32s) -> Learner:
    """Plain gradient descent: one rounding for the product and one for the difference, on every processor."""
    parameters = learner.parameters.copy()
    with np.errstate(over="ignore", invalid="ignore"):
        parameters[0] -= factor * direction
    is_finite = bool(np.isfinite(parameters[0]).all())
    return Learner(read_only32(parameters), learner.steps + 1, is_finite=is_finite)


def _address(array: Float32s) -> int:
    """Return where an array's numbers lie."""
    return array.ctypes.data
