"""The LSTM network: its output and its gradients. The arithmetic is kernel/kernel.c."""

from math import inf

import numpy as np

from shared.core.arrays import Float32s, read_only32
from shared.core.model.architecture import Architecture
from shared.core.model.kernel.library import (
    Kernel,
    check_floats,
    load_kernel,
    pointer,
    structure,
)
from shared.core.model.optimiser import Learner, Optimiser, apply_gradient


class Network:
    """LSTM layers and Dense(1) of one architecture.

    Threads may share it: each call has scratch memory of its own, and the kernel runs without the
    interpreter's lock.
    """

    def __init__(self, architecture: Architecture, library: Kernel | None = None) -> None:
        """Take the architecture's sizes; `library` is another build of the kernel, for tests."""
        self.architecture = architecture
        self._library = library or load_kernel()
        self._shape = structure(
            "kernel_shape",
            window=architecture.window_length,
            features=architecture.features,
            layers=len(architecture.widths),
            width=architecture.widths,
        )
        self._scratch_size = self._library.kernel_scratch_floats(self._shape)
        self._free_scratch: list[Float32s] = []  # as many as there were calls at the same time
        self._weights_shape = (architecture.weight_count(),)
        self._window_shape = (architecture.window_length, architecture.features)

    def predict(self, weights: Float32s, window: Float32s) -> np.float32:
        """Return the output for one window.

        Args:
            weights: (weights,), float32, flat in Keras' order.
            window: (window_length, features), float32, scaled, oldest row first.

        Raises:
            ValueError: an array is not contiguous float32, or has another shape.
        """
        self._check(weights, window, window.shape)
        scratch = self._take_scratch()
        output = self._library.kernel_forward(
            self._shape, pointer(weights), pointer(window), pointer(scratch)
        )
        self._free_scratch.append(scratch)
        return np.float32(output)

    def jacobian(self, weights: Float32s, window: Float32s) -> tuple[np.float32, Float32s]:
        """Return the output and its gradient by the weights, (weights,). No label is needed.

        The output equals that of `predict` to the bit: both use the same forward pass.

        Raises:
            ValueError: as `predict`.
        """
        self._check(weights, window, window.shape)
        jacobian = np.empty(weights.size, dtype=np.float32)
        scratch = self._take_scratch()
        given = (self._shape, pointer(weights), pointer(window), pointer(scratch))
        output = self._library.kernel_forward(*given)
        # The backward pass reads the activations that the forward pass left in the scratch memory.
        self._library.kernel_jacobian(*given, pointer(jacobian))
        self._free_scratch.append(scratch)
        return np.float32(output), read_only32(jacobian)

    def hidden(self, weights: Float32s, window: Float32s) -> tuple[np.float32, Float32s]:
        """Return the output for one window, and the hidden vector (width,) it is computed from.

        The hidden vector is the last output of the top LSTM layer. The output equals that of
        `predict` to the bit.

        Raises:
            ValueError: as `predict`.
        """
        self._check(weights, window, window.shape)
        hidden = np.empty(self.architecture.widths[-1], dtype=np.float32)
        scratch = self._take_scratch()
        output = self._library.kernel_hidden(
            self._shape, pointer(weights), pointer(window), pointer(scratch), pointer(hidden)
        )
        self._free_scratch.append(scratch)
        return np.float32(output), read_only32(hidden)

    def jacobian_hidden(self, jacobian: Float32s) -> Float32s:
        """Return the hidden vector (width,) that a Jacobian holds.

        It is the gradient by the dense layer's kernel, as output = hidden . kernel + bias.
        """
        return jacobian[-1 - self.architecture.widths[-1] : -1]

    def step(
        self, learner: Learner, optimiser: Optimiser, error: np.float32, jacobian: Float32s
    ) -> Learner:
        """Make one optimiser step on the squared error of one window, error = output - label.

        By the chain rule d(error**2)/d(weights) = 2 error jacobian.
        """
        factor = np.float32(2.0) * error
        return apply_gradient(learner, optimiser, factor, jacobian, self._library)

    def predict_many(self, weights: Float32s, windows: Float32s) -> Float32s:
        """Return the outputs (n,) of windows (n, window_length, features).

        Each equals that of `predict` to the bit.

        Raises:
            ValueError: as `predict`.
        """
        self._check(weights, windows, windows.shape[1:])
        outputs = np.empty(len(windows), dtype=np.float32)
        batch = structure("kernel_batch", n=len(windows), huber_delta=inf, windows=pointer(windows))
        scratch = self._take_scratch()
        self._library.kernel_batch_forward(
            self._shape, pointer(weights), batch, pointer(scratch), pointer(outputs)
        )
        self._free_scratch.append(scratch)
        return outputs

    def hidden_many(self, weights: Float32s, windows: Float32s) -> tuple[Float32s, Float32s]:
        """Return outputs (n,) and hidden vectors (n, width) of windows, each as `hidden` does.

        Raises:
            ValueError: as `predict`.
        """
        self._check(weights, windows, windows.shape[1:])
        outputs = np.empty(len(windows), dtype=np.float32)
        hidden = np.empty((len(windows), self.architecture.widths[-1]), dtype=np.float32)
        batch = structure("kernel_batch", n=len(windows), huber_delta=inf, windows=pointer(windows))
        scratch = self._take_scratch()
        self._library.kernel_batch_hidden(
            self._shape,
            pointer(weights),
            batch,
            pointer(scratch),
            pointer(outputs),
            pointer(hidden),
        )
        self._free_scratch.append(scratch)
        return outputs, hidden

    def batch_gradient(
        self, weights: Float32s, windows: Float32s, labels: Float32s, huber_delta: float = inf
    ) -> tuple[Float32s, Float32s]:
        """Return the outputs of a batch, and the gradient of the sum of its losses.

        A window's loss is error**2 up to |error| = huber_delta, and a straight line of the same
        slope beyond: twice Huber's loss (1964). So the gradient is the sum, window after window,
        of 2 error jacobian with the error clipped to +-huber_delta. Outputs and Jacobians equal
        those of `jacobian` to the bit.

        Args:
            weights: (weights,), float32.
            windows: (n, window_length, features), float32.
            labels: (n,), float32.
            huber_delta: above 0; infinity for the squared error.

        Returns:
            Outputs (n,) and gradient (weights,).

        Raises:
            ValueError: as `predict`, or huber_delta is not above 0.
        """
        self._check(weights, windows, windows.shape[1:])
        self._check_loss(windows, labels, huber_delta)
        outputs = np.empty(len(windows), dtype=np.float32)
        gradient = np.empty(weights.size, dtype=np.float32)
        batch = structure(
            "kernel_batch",
            n=len(windows),
            huber_delta=huber_delta,
            windows=pointer(windows),
            labels=pointer(labels),
        )
        scratch = self._take_scratch()
        self._library.kernel_batch_gradient(
            self._shape,
            pointer(weights),
            batch,
            pointer(scratch),
            pointer(outputs),
            pointer(gradient),
        )
        self._free_scratch.append(scratch)
        return outputs, gradient

    def _take_scratch(self) -> Float32s:
        """Take scratch memory for one call; append it to `_free_scratch` for the next."""
        try:
            return self._free_scratch.pop()
        except IndexError:
            return np.zeros(self._scratch_size, dtype=np.float32)

    def _check(self, weights: Float32s, windows: Float32s, window_shape: tuple[int, ...]) -> None:
        """Check that the arrays are what C takes them for."""
        if window_shape != self._window_shape or weights.shape != self._weights_shape:
            raise ValueError(
                f"windows {windows.shape} and weights {weights.shape} do not fit"
                f" {self.architecture}"
            )
        check_floats(weights, windows)

    @staticmethod
    def _check_loss(windows: Float32s, labels: Float32s, huber_delta: float) -> None:
        check_floats(labels)
        if labels.shape != windows.shape[:1]:
            raise ValueError(
                f"labels {labels.shape} do not fit windows {windows.shape}: one label a window"
            )
        if not huber_delta > 0.0:
            raise ValueError(
                f"the Huber delta is {huber_delta}; allowed: above 0, infinity for the squared"
                " error"
            )
