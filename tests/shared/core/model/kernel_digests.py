"""Print digests of what a build of the kernel computes.

A program of its own, because a build for wider vectors than the processor has ends the process.
"""

import hashlib
import sys
from collections.abc import Iterator
from math import inf
from pathlib import Path

import numpy as np

from shared.core.arrays import Float32s, Float64s
from shared.core.model.architecture import Architecture
from shared.core.model.head import HeadPrior, HeadSettings, diagonal_head
from shared.core.model.kernel.library import Kernel, load_kernel
from shared.core.model.network import Network
from shared.core.model.numeric_profile import fixed_numbers, golden_digest
from shared.core.model.optimiser import Optimiser, new_learner

# Sizes that take every path through the kernel.
ARCHITECTURES = (
    Architecture((128, 64, 8), 16, 32),
    Architecture((16, 40), 17, 1),
    Architecture((56, 72), 19, 3),
    Architecture((104,), 18, 7),
    Architecture((32,), 512, 6),
)
BATCH_ARCHITECTURES = (Architecture((32, 32), 60, 6), Architecture((8, 24), 17, 5))
HEAD_SIZES = (1, 7, 8, 57, 161, 256)


def steps(network: Network) -> Iterator[Float32s]:
    architecture = network.architecture
    window = fixed_numbers(architecture.window_length * architecture.features, 2.0)
    window = window.reshape(architecture.window_length, architecture.features)
    learner = new_learner(fixed_numbers(architecture.weight_count(), 0.8))
    for error in (0.5, -1.0):
        output, jacobian = network.jacobian(learner.weights, window)
        learner = network.step(learner, Optimiser(rate=1e-3), np.float32(error), jacobian)
        yield from (np.array([output]), jacobian, learner.parameters)


def batches(network: Network) -> Iterator[Float32s]:
    architecture = network.architecture
    windows = fixed_numbers(7 * architecture.window_length * architecture.features, 2.0)
    windows = windows.reshape(7, architecture.window_length, architecture.features)
    weights = fixed_numbers(architecture.weight_count(), 0.8)
    for huber_delta in (inf, 0.25):
        yield from network.batch_gradient(weights, windows, fixed_numbers(7, 1.0), huber_delta)


def hidden_vectors(network: Network) -> Iterator[Float32s]:
    architecture = network.architecture
    windows = fixed_numbers(3 * architecture.window_length * architecture.features, 2.0)
    windows = windows.reshape(3, architecture.window_length, architecture.features)
    weights = fixed_numbers(architecture.weight_count(), 0.8)
    yield from network.hidden_many(weights, windows)
    yield network.hidden(weights, windows[0])[1]


def heads(size: int, library: Kernel) -> Iterator[Float64s]:
    base = diagonal_head(np.zeros(size), np.ones(size))
    prior = HeadPrior(base, HeadSettings(0.95, 2.0, 1.5), library)
    head, rows = prior.head, fixed_numbers(20 * size, 3.0).astype(np.float64).reshape(20, size)
    for row in rows:
        head = prior.learn(head, row, 1.0)
        yield head.parameters


def digest(arrays: Iterator[Float32s] | Iterator[Float64s]) -> str:
    sha256 = hashlib.sha256()
    for array in arrays:
        sha256.update(array.astype(array.dtype.newbyteorder("<")).tobytes())
    return sha256.hexdigest()


def main() -> None:
    library = load_kernel(Path(sys.argv[1]))
    digests = [
        golden_digest(library),
        digest(a for sizes in ARCHITECTURES for a in steps(Network(sizes, library))),
        digest(a for sizes in BATCH_ARCHITECTURES for a in batches(Network(sizes, library))),
        digest(a for sizes in BATCH_ARCHITECTURES for a in hidden_vectors(Network(sizes, library))),
        digest(a for size in HEAD_SIZES for a in heads(size, library)),
    ]
    sys.stdout.write("\n".join(digests) + "\n")


if __name__ == "__main__":
    main()
