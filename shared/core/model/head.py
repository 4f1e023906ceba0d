"""The head: a linear layer that learns by recursive least squares.

It is Bayesian linear regression: label = weights . inputs + noise of variance 1, so labels are in
units of the change scale. What is known of the weights is a normal distribution, its mean and its
covariance P = U D U^T (Bierman 1976), U unit upper triangular, D diagonal. The step itself is
`kernel_rls` in kernel/kernel.c.
"""

from dataclasses import dataclass
from math import inf, sqrt
from typing import Final

import numpy as np

from shared.core.arrays import Float32s, Float64s, read_only64
from shared.core.model.kernel.library import Kernel, load_kernel, pointer, structure
from shared.core.model.limits import check_range, reject_bundle

MAX_INPUTS: Final = 256  # of the kernel
_MAX_WEIGHT: Final = 1e6
_FLOAT64: Final = np.dtype(np.float64)
_VARIANCES: Final = (1e-18, 1e9)  # allowed in a bundle


@dataclass(frozen=True, slots=True)
class HeadSettings:
    """How fast a head learns, and how fast it forgets what it has learnt."""

    forgetting: float = 1.0  # factor of an observation's weight at each later one; 1: never
    prior_observations: float = 1.0  # how many observations the prior weighs as much as
    largest_error: float = 8.0  # an error beyond it counts as this much, in units of the label

    def __post_init__(self) -> None:
        """Reject settings that cannot learn."""
        check_range("head forgetting", self.forgetting, 0.9, 1.0)
        check_range("head prior observations", self.prior_observations, 1e-6, 1e9)
        check_range("head largest error", self.largest_error, 1e-3, inf)


@dataclass(frozen=True, slots=True, eq=False)
class Head:
    """The weights of n inputs, and what is known of them.

    `parameters` is (n (n + 3) / 2,) float64: the weights, D, then the columns of U above its
    diagonal, one after the other.
    """

    parameters: Float64s
    inputs: int  # n
    steps: int = 0
    is_finite: bool = True  # every parameter is a finite number

    @property
    def weights(self) -> Float64s:
        """The weights (n,)."""
        return self.parameters[: self.inputs]

    @property
    def variances(self) -> Float64s:
        """The diagonal of D (n,): all above 0."""
        return self.parameters[self.inputs : 2 * self.inputs]

    def predict(self, inputs: Float64s, library: Kernel | None = None) -> float:
        """Return weights . inputs.

        Args:
            inputs: (n,), float64.
            library: another build of the kernel, for tests.

        Raises:
            ValueError: the inputs are not contiguous float64, or not n.
        """
        _check_inputs(self, inputs)
        output: float = (library or load_kernel()).kernel_dot(
            self.inputs, pointer(self.parameters), pointer(inputs)
        )
        return output


class HeadPrior:
    """The head that every symbol starts from, and what forgetting brings it back to.

    With forgetting alone the variance of inputs that do not move would grow without bound. So a
    step forgets towards the prior instead: of the inverse covariance J,

        J = forgetting J + x x^T + (1 - forgetting) J_prior

    (the exponential forgetting of Kulhavy and Zarrop 1993, with the prior as the alternative).
    J_prior is the sum of n products r r^T. Adding one of them a step, n times as large, in turn,
    costs one more observation r with the label r . prior weights.
    """

    def __init__(self, base: Head, settings: HeadSettings, library: Kernel | None = None) -> None:
        """Scale the base's covariance and prepare the observations that stand for the prior.

        Args:
            base: its covariance is that of one observation.
            settings: the card's settings.
            library: another build of the kernel, for tests.
        """
        self.settings = settings
        self._library = library or load_kernel()
        parameters = base.parameters.copy()
        parameters[base.inputs : 2 * base.inputs] /= settings.prior_observations
        self.head = Head(read_only64(parameters), base.inputs)
        self._roots = information_roots(self.head)
        self._roots *= sqrt(base.inputs * (1.0 - settings.forgetting))
        self._observations = [
            structure(
                "kernel_observation",
                n=base.inputs,
                forgetting=1.0,
                label=self.head.predict(root, library),
                largest_error=inf,
                inputs=pointer(root),
            )
            for root in self._roots
        ]

    def learn(self, head: Head, inputs: Float64s, label: float) -> Head:
        """Return a head after one observation more.

        Args:
            head: the head before it; it stays as it is.
            inputs: (n,), float64.
            label: the outcome, in units of its noise.

        Raises:
            ValueError: the inputs are not contiguous float64, or not n.
        """
        _check_inputs(head, inputs)
        kernel, settings = self._library, self.settings
        parameters = head.parameters.copy()
        at = pointer(parameters)
        observation = structure(
            "kernel_observation",
            n=head.inputs,
            forgetting=settings.forgetting,
            label=label,
            largest_error=settings.largest_error,
            inputs=pointer(inputs),
        )
        is_finite = kernel.kernel_rls(observation, at)
        if settings.forgetting < 1.0:
            is_finite &= kernel.kernel_rls(self._observations[head.steps % head.inputs], at)
        return Head(read_only64(parameters), head.inputs, head.steps + 1, bool(is_finite))


def head_inputs(hidden: Float32s, row: Float64s) -> Float64s:
    """Return a head's inputs (width + columns + 1,): hidden vector, row of features, 1."""
    inputs = np.empty(len(hidden) + len(row) + 1)
    inputs[: len(hidden)] = hidden
    inputs[len(hidden) : -1] = row
    inputs[-1] = 1.0
    return inputs


def diagonal_head(weights: Float64s, variances: Float64s) -> Head:
    """Return a head of weights (n,) that are independent, each of its own variance (n,)."""
    factors = np.zeros(len(weights) * (len(weights) - 1) // 2)
    return Head(read_only64(np.concatenate([weights, variances, factors])), len(weights))


def head_of_information(weights: Float64s, information: Float64s) -> Head:
    """Return a head of weights (n,) and the inverse (n, n) of their covariance.

    For training: other processors may give other last bits, so that the bundle carries the result.

    Raises:
        BadInput: the matrix is not positive definite.
    """
    try:
        columns = np.linalg.inv(np.linalg.cholesky(information)).T
    except np.linalg.LinAlgError:
        reject_bundle("information of the head", "not positive definite", "positive definite")
    diagonal = np.diag(columns)
    factors = (columns / diagonal).T[np.tril_indices(len(weights), -1)]
    parameters = np.concatenate([weights, diagonal * diagonal, factors])
    return validate_head(parameters, len(weights))


def validate_head(parameters: Float64s, inputs: int) -> Head:
    """Check a bundle's parameters (n (n + 3) / 2,) of a head; return it.

    Raises:
        BadInput: their number does not fit, or one is not finite, too large, or no variance.
    """
    check_range("inputs of the head", inputs, 1, MAX_INPUTS)
    if parameters.shape != (inputs * (inputs + 3) // 2,):
        allowed = f"{inputs * (inputs + 3) // 2} for {inputs} inputs"
        reject_bundle("number of the head's parameters", parameters.size, allowed)
    head = Head(read_only64(np.array(parameters, dtype=np.float64)), inputs)
    if not np.isfinite(head.parameters).all() or np.abs(head.weights).max() > _MAX_WEIGHT:
        allowed = f"finite numbers, weights up to {_MAX_WEIGHT:g}"
        reject_bundle("a parameter of the head", "not finite or too large", allowed)
    check_range("least variance of the head", float(head.variances.min()), *_VARIANCES)
    check_range("largest variance of the head", float(head.variances.max()), *_VARIANCES)
    return head


def unit_upper(head: Head) -> Float64s:
    """Return U (n, n) of a head's covariance U D U^T."""
    matrix = np.eye(head.inputs)
    matrix.T[np.tril_indices(head.inputs, -1)] = head.parameters[2 * head.inputs :]
    return matrix


def information_roots(head: Head) -> Float64s:
    """Return rows r (n, n) whose products r r^T add up to the inverse of a head's covariance.

    They are the rows of U^-1, each divided by the root of its variance: by back substitution, in
    an order that gives the same bits everywhere.
    """
    unit, roots = unit_upper(head), np.eye(head.inputs)
    for i in reversed(range(head.inputs)):
        for j in range(i + 1, head.inputs):
            roots[i] -= unit[i, j] * roots[j]
    roots /= np.sqrt(head.variances)[:, None]
    return roots


def _check_inputs(head: Head, inputs: Float64s) -> None:
    """Check that C may read the inputs as n `double`."""
    is_contiguous = inputs.dtype == _FLOAT64 and inputs.flags.c_contiguous
    if not is_contiguous or inputs.shape != (head.inputs,):
        raise ValueError(
            f"a head of {head.inputs} inputs takes as many contiguous float64, not {inputs.dtype}"
            f" {inputs.shape}"
        )
