"""The optimisers, Adam and plain gradient descent, and the numbers that one of them moves."""

from dataclasses import dataclass
from math import sqrt
from typing import Literal

import numpy as np

from shared.core.arrays import Float32s, read_only32
from shared.core.model.kernel.library import (
    Kernel,
    check_floats,
    load_kernel,
    pointer,
    structure,
)
from shared.core.model.limits import check_range, reject_bundle


@dataclass(frozen=True, slots=True)
class Optimiser:
    """The settings of Keras' Adam, or of plain gradient descent, which uses `rate` alone."""

    name: Literal["adam", "sgd"] = "adam"
    rate: float = 1e-5
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-7

    def __post_init__(self) -> None:
        """Reject settings that cannot converge."""
        check_range("optimiser rate", self.rate, 0, 1)
        for beta in (self.beta_1, self.beta_2):
            if not 0 <= beta < 1:
                reject_bundle("optimiser beta", beta, "0 to below 1")
        check_range("optimiser epsilon", self.epsilon, 1e-12, 1)


@dataclass(frozen=True, slots=True, eq=False)
class Learner:
    """The weights and the optimiser's state of one symbol.

    `parameters` is (3, weights) float32: weights, then the first and second moments of Adam. The
    beta powers are carried as running products of the steps so far, because the last bit of a
    library's pow depends on the processor.
    """

    parameters: Float32s
    steps: int = 0
    beta_1_power: float = 1.0
    beta_2_power: float = 1.0
    is_finite: bool = True  # every weight and moment is a finite number

    @property
    def weights(self) -> Float32s:
        """The weights (weights,), flat in Keras' order."""
        weights: Float32s = self.parameters[0]
        return weights


def new_learner(weights: Float32s) -> Learner:
    """Return a learner that starts from these weights (weights,) with a fresh optimiser."""
    parameters = np.zeros((3, weights.size), dtype=np.float32)
    parameters[0] = weights
    return Learner(read_only32(parameters))


def apply_gradient(
    learner: Learner,
    optimiser: Optimiser,
    factor: np.float32,
    gradient: Float32s,
    library: Kernel | None = None,
) -> Learner:
    """Make one step of the optimiser for the gradient `factor * gradient`.

    Args:
        learner: the learner before the step; it stays as it is.
        optimiser: the optimiser's settings.
        factor: 2 error for the squared error of one window; one over the batch's size for the mean
            of a batch whose gradients are summed.
        gradient: (weights,), float32.
        library: another build of the kernel, for tests.

    Raises:
        ValueError: the gradient is not contiguous float32, or not of the weights' shape.
    """
    check_floats(gradient)
    if gradient.shape != learner.weights.shape:
        message = f"gradient {gradient.shape} and weights {learner.weights.shape} do not fit"
        raise ValueError(message)
    if optimiser.name == "sgd":
        return _sgd_step(learner, np.float32(optimiser.rate) * factor, gradient)
    return _adam_step(learner, optimiser, float(factor), gradient, library or load_kernel())


def _adam_step(
    learner: Learner, optimiser: Optimiser, factor: float, gradient: Float32s, library: Kernel
) -> Learner:
    """Make a step of Adam (Kingma and Ba 2015, end of section 2).

    That form corrects the bias of both moments in the rate,
    alpha = rate * sqrt(1 - beta_2**t) / (1 - beta_1**t), and adds epsilon to the root of the
    second moment as it is ("epsilon hat" in the paper): so does Keras.
    """
    power_1 = learner.beta_1_power * optimiser.beta_1
    power_2 = learner.beta_2_power * optimiser.beta_2
    rates = structure(
        "kernel_adam_rates",
        factor=factor,
        alpha=optimiser.rate * sqrt(1.0 - power_2) / (1.0 - power_1),
        one_minus_beta_1=1.0 - optimiser.beta_1,
        one_minus_beta_2=1.0 - optimiser.beta_2,
        epsilon=optimiser.epsilon,
    )
    parameters = np.empty_like(learner.parameters)
    is_finite = library.kernel_adam(
        parameters.shape[1],
        rates,
        pointer(gradient),
        pointer(learner.parameters),
        pointer(parameters),
    )
    return Learner(read_only32(parameters), learner.steps + 1, power_1, power_2, bool(is_finite))


def _sgd_step(learner: Learner, factor: np.float32, gradient: Float32s) -> Learner:
    """Subtract `factor * gradient`: two roundings, the same on every processor."""
    parameters = learner.parameters.copy()
    with np.errstate(over="ignore", invalid="ignore"):  # reported by is_finite
        parameters[0] -= factor * gradient
    is_finite = bool(np.isfinite(parameters[0]).all())
    return Learner(read_only32(parameters), learner.steps + 1, is_finite=is_finite)
