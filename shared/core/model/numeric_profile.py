"""The numeric profile: the bits that this version computes, and the self-test of this machine."""

import hashlib
from collections.abc import Iterator
from typing import Final

import numpy as np

from shared.core.arrays import Float32s
from shared.core.errors import Incompatible
from shared.core.model.architecture import Architecture
from shared.core.model.head import Head, HeadPrior, HeadSettings, diagonal_head
from shared.core.model.kernel.library import Kernel, variant_name
from shared.core.model.network import Network
from shared.core.model.optimiser import Optimiser, new_learner

# Raise it whenever the same log would give other bytes: by the kernel, the fold or a format.
PROFILE_VERSION: Final = 5
# The digest that golden_digest() gives on every processor.
GOLDEN: Final = "50ac22fce68847bb75cf7d7bf7a6f57c0080658cbb40e019e1286211ee13cc80"


def self_test() -> str:
    """Check that this machine computes the golden bits; return the numeric profile.

    Raises:
        Incompatible: it does not, so its predictions would differ from those of other machines.
    """
    if not keeps_denormals():
        raise Incompatible(
            "something in this process makes the processor take numbers below 1e-38 for zero (a"
            " library built with -ffast-math does), so it must not predict; find that library and"
            " leave it out"
        )
    digest = golden_digest()
    if digest != GOLDEN:
        raise Incompatible(
            f"the kernel of numeric profile {PROFILE_VERSION} ({variant_name()}) computes"
            f" {digest[:16]} instead of {GOLDEN[:16]} on this machine, so it must not predict;"
            " rebuild it with `make install`, with another compiler if that does not help"
        )
    return f"{PROFILE_VERSION}-{digest[:16]}"


def golden_digest(library: Kernel | None = None) -> str:
    """Return the SHA-256 of a fixed computation: steps of two networks and of a head."""
    bits = hashlib.sha256()
    for architecture in (Architecture((32, 32), 288, 6), Architecture((8, 24, 16), 33, 5)):
        for array in _network_steps(Network(architecture, library)):
            bits.update(array.astype("<f4").tobytes())
    for head in _head_steps(library):
        bits.update(head.parameters.astype("<f8").tobytes())
    return bits.hexdigest()


def _network_steps(network: Network) -> Iterator[Float32s | np.float32]:
    """Yield outputs, hidden vectors, Jacobians and parameters of three optimiser steps."""
    architecture = network.architecture
    window = fixed_numbers(architecture.window_length * architecture.features, 1.0)
    window = window.reshape(architecture.window_length, architecture.features)
    learner = new_learner(fixed_numbers(architecture.weight_count(), 0.4))
    for label in (0.5, -1.0, 2.0):
        output, jacobian = network.jacobian(learner.weights, window)
        yield network.hidden(learner.weights, window)[1]
        learner = network.step(learner, Optimiser(rate=1e-3), output - np.float32(label), jacobian)
        yield from (output, jacobian, learner.parameters)


def _head_steps(library: Kernel | None) -> Iterator[Head]:
    """Yield a head after each of three observations; it forgets, and its errors are clipped."""
    size = 57
    base = diagonal_head(np.zeros(size), np.ones(size))
    prior = HeadPrior(base, HeadSettings(0.99, 4.0, largest_error=1.0), library)
    head, numbers = prior.head, fixed_numbers(3 * size, 2.0).astype(np.float64)
    for inputs, label in zip(numbers.reshape(3, size), (0.5, -1.0, 2.0), strict=True):
        head = prior.learn(head, inputs, label + head.predict(inputs, library))
        yield head


def keeps_denormals() -> bool:
    """Check that float32 numbers below 1e-38 are kept and not flushed to zero.

    The golden computation does not reach that low, but the second moments of a weight that hardly
    matters do.
    """
    architecture = Architecture((8,), 16, 1)
    jacobian = np.full(architecture.weight_count(), 1e-20, dtype=np.float32)
    learner = Network(architecture).step(
        new_learner(jacobian), Optimiser(rate=1e-3), np.float32(0.5), jacobian
    )
    return bool((learner.parameters[2] > 0.0).all())


def fixed_numbers(size: int, largest: float) -> Float32s:
    """Return numbers (size,) in [-largest, largest) from a linear congruential generator.

    Its whole-number arithmetic gives the same numbers everywhere (constants of Numerical Recipes).
    """
    numbers, seed = [], 12345
    for _ in range(size):
        seed = (seed * 1664525 + 1013904223) % 2**32
        numbers.append((seed >> 8) / 2**23 - 1.0)
    return (np.array(numbers) * largest).astype(np.float32)
