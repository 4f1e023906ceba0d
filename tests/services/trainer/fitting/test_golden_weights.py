"""A fit gives the bits that it has always given."""

import hashlib
import threading

import numpy as np

from services.trainer.data.dataset import Dataset
from services.trainer.fitting.kernel_backend import InitialWeights, fit_with_kernel
from services.trainer.fitting.options import FitOptions
from shared.core.model.architecture import Architecture

ARCHITECTURE = Architecture((8, 16), 16, 3)
OPTIONS = FitOptions(
    epochs=3,
    patience=3,
    windows_per_epoch=300,
    validation_windows=100,
    batch_size=70,
    learning_rate=0.01,
    dropout=0.0,
    seed=5,
    huber_delta=0.3,
    learning_rate_falls=True,
    averaging=0.9,
)


def test_weights_and_losses_of_a_fit_are_the_golden_ones() -> None:
    draw = np.random.default_rng(1)
    rows = draw.uniform(-1.0, 1.0, (600, ARCHITECTURE.features)).astype(np.float32)
    weights = draw.uniform(-0.3, 0.3, ARCHITECTURE.weight_count()).astype(np.float32)
    ends = np.arange(ARCHITECTURE.window_length - 1, len(rows))
    dataset = Dataset(
        rows, rows[:, 0] - rows[:, 1], ends[:400], ends[400:], ARCHITECTURE.window_length, 1.0
    )

    start = InitialWeights(ARCHITECTURE, weights)
    fitted = fit_with_kernel(start, dataset, OPTIONS, threading.Event(), threads=2)

    digest = hashlib.sha256(fitted.weights.tobytes()).hexdigest()
    assert digest == "a76bcaae79bc8b293af1f11409347b1ce4c47e64f3e11c7b8a7190d3eb0cb8e5"
    assert fitted.training_losses[-1].hex() == "0x1.27dbe1e96a003p-2"
