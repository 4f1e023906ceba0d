"""The numeric profile: the bits that this version computes, and the self-test of this machine."""

import ctypes
import hashlib
from typing import Final

import numpy as np

from shared.core.arrays import Float32s
from shared.core.errors import Incompatible
from shared.core.model.architecture import Architecture
from shared.core.model.kernel.library import variant_name
from shared.core.model.network import Network
from shared.core.model.optimiser import Optimiser, new_learner

# Raise it whenever the same log would give other bytes: by the kernel, the fold or a format.
PROFILE_VERSION: Final = 2
# The digest that golden_digest() gives on every processor.
GOLDEN: Final = "fb10993c9bbb10a69e383a73e7a09d6966748a3aabe9f167e2a18c2014746b3f"


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


def golden_digest(library: ctypes.CDLL | None = None) -> str:
    """Return the SHA-256 of a fixed computation: outputs, Jacobians and steps of two networks."""
    bits = hashlib.sha256()
    for architecture in (Architecture((32, 32), 288, 6), Architecture((8, 24, 16), 33, 5)):
        network = Network(architecture, library)
        window = fixed_numbers(architecture.window_length * architecture.features, 1.0)
        window = window.reshape(architecture.window_length, architecture.features)
        learner = new_learner(fixed_numbers(architecture.weight_count(), 0.4))
        for label in (0.5, -1.0, 2.0):
            output, jacobian = network.jacobian(learner.weights, window)
            learner = network.step(
                learner, Optimiser(rate=1e-3), output - np.float32(label), jacobian
            )
            for array in (output, jacobian, learner.parameters):
                bits.update(array.astype("<f4").tobytes())
    return bits.hexdigest()


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
