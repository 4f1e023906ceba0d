"""The trainer compared with stock Keras: windows a second, validation loss, memory."""

import os
import resource
import threading
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any, Final, NamedTuple

from benchmarks.deployment import BenchmarkOptions
from benchmarks.market import STEP_MS, a_sequence, describe_source, recorded_sequences
from benchmarks.models import ORIGINAL
from benchmarks.result import Peer, Result
from benchmarks.worker import BackgroundWorker, Calls
from services.trainer.data.dataset import (
    Dataset,
    DatasetOptions,
    build_dataset,
    draw_epoch,
    split_by_time,
    spread_evenly,
    training_candles,
)
from services.trainer.data.preparation import fit_scaler
from shared.core.arrays import Float64s
from shared.core.features.levels import Levels
from shared.core.model.architecture import Architecture

CANDLES: Final = 1_000_000
WINDOWS: Final = 20_000
VALIDATION: Final = 4_000
BATCH: Final = 128
EPOCHS: Final = 2


class TrainingCost(NamedTuple):
    """The cost of a training, everything in its process included."""

    seconds: float
    validation_loss: float
    peak_mb: float


def training_rows(options: BenchmarkOptions) -> Iterator[Result]:
    """Yield the rows of the trainer."""
    recorded, fits = options.recorded, dict[str, TrainingCost]()
    for name in ("ours", "stock"):
        options.report_progress(f"training: {name}, {EPOCHS} epochs of {WINDOWS:,} windows")
        with BackgroundWorker(training_calls, recorded) as worker:
            fits[name] = worker.ask(name)
    ours, stock = fits["ours"], fits["stock"]
    note = (
        f"batches of {BATCH}, validation included; validation loss {ours.validation_loss:.5f},"
        f" stock {stock.validation_loss:.5f}; {CANDLES:,} candles; {describe_source(recorded)}"
    )
    per_thousand = 1000 / (WINDOWS * EPOCHS)
    peer = Peer("stock Keras fit on materialised windows", stock.seconds * per_thousand)
    what, figure = "trainer, 1,000 windows", ours.seconds * per_thousand
    yield Result(what, figure, "s", least_ratio=2.0, peer=peer, note=note)
    what, figure = "trainer, 1 M candles, resident", ours.peak_mb / 1024
    peer, note = Peer("stock Keras fit", stock.peak_mb / 1024), "at its peak, TensorFlow included"
    yield Result(what, figure, "GB", at_most=1.5, peer=peer, note=note)


def training_calls(recorded: Path | None) -> Calls:
    """Return calls of the same training in our trainer and in stock Keras.

    Both start from the same weights and see the same batches.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # The memory of both includes TensorFlow, as the trainer's does: it comes with the backend.
    from services.trainer.fitting import fit, keras_backend
    from services.trainer.fitting.options import FitOptions

    data = _build_dataset(recorded)
    options = FitOptions(EPOCHS, EPOCHS, WINDOWS, VALIDATION, BATCH, 1e-3, 0.0, 0)

    def ours() -> TrainingCost:
        started = monotonic()
        losses = fit.fit(ORIGINAL.architecture, data, options, threading.Event()).validation_losses
        return _training_cost(started, losses)

    stock = partial(_fit_with_stock_keras, keras_backend.build_network, data)
    return {"ours": ours, "stock": stock}


def _build_dataset(recorded: Path | None) -> Dataset:
    sequences = _sequences(recorded)
    split = split_by_time(sequences, STEP_MS, 0.1, 0.15, 2016)
    scalers = {
        symbol: fit_scaler(Levels().compute(training_candles(sequence, split), STEP_MS).rows)
        for symbol, sequence in sequences.items()
    }
    options = DatasetOptions(
        "levels", ORIGINAL.architecture.window_length, is_common_move_removed=False
    )
    return build_dataset(sequences, scalers, options, split, STEP_MS)


def _fit_with_stock_keras(
    build_network: Callable[[Architecture], Any], data: Dataset
) -> TrainingCost:
    import keras

    keras.utils.set_random_seed(0)
    network = build_network(ORIGINAL.architecture)
    network.compile(keras.optimizers.Adam(1e-3), loss="mean_squared_error")
    chosen = spread_evenly(data.validation_ends, VALIDATION)
    validation = data.windows(chosen), data.labels[chosen, None]
    # Cut before the clock starts: stock Keras gets its windows for nothing.
    ends = [draw_epoch(data.training_ends, WINDOWS, 0, epoch) for epoch in range(EPOCHS)]
    windows = [(data.windows(e), data.labels[e, None]) for e in ends]
    started = monotonic()
    losses = [
        network.fit(
            *one, batch_size=BATCH, shuffle=False, validation_data=validation, verbose=0
        ).history["val_loss"][0]
        for one in windows
    ]
    return _training_cost(started, losses)


def _training_cost(started: float, losses: Any) -> TrainingCost:
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return TrainingCost(monotonic() - started, float(min(losses)), peak_mb)


def _sequences(recorded: Path | None) -> Mapping[str, Float64s]:
    """Return a million candles (n, columns) by symbol."""
    if recorded is None:
        return {f"SYN{seed:04d}USDT": a_sequence(CANDLES // 40, seed) for seed in range(40)}
    return recorded_sequences(recorded, CANDLES)
