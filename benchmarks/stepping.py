"""Online steps to measure in a separate process: ours, stock Keras, TensorFlow's XLA."""

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from time import perf_counter, process_time
from typing import Any, Final, NamedTuple

import numpy as np

from benchmarks.market import a_sequence, next_candle
from benchmarks.models import DEFAULT, ORIGINAL, BenchmarkModel
from benchmarks.worker import Calls
from shared.core.evaluation.backtest import SCORING
from shared.core.model.architecture import Architecture
from shared.core.model.network import Network
from shared.core.online.context import LIVE, REPLAY, FoldContext, FoldOptions
from shared.core.online.model import Model
from shared.core.online.partition import PartitionState, fold
from shared.core.online.state import SymbolState
from shared.core.online.symbol_step import precompute, step_symbol
from shared.core.records import Candle, Promotion
from shared.core.sequence import SEQUENCE_LENGTH

BLOCK: Final = 16  # symbols timed at once


class StepTimes(NamedTuple):
    """Milliseconds a symbol: of the best block, and the mean processor time.

    Other work on the machine lengthens the processor time less than the wall time.
    """

    best: float
    processor: float


def measure_steps(work: Iterable[object], block: int = BLOCK) -> StepTimes:
    """Time work of one symbol each; an incomplete last block counts for the mean alone."""
    pending, best, count, begun = iter(work), float("inf"), 0, process_time()
    while True:
        started, done = perf_counter(), 0
        for _ in pending:
            done += 1
            if done == block:
                best = min(best, (perf_counter() - started) / block)
                break
        count += done
        if done < block:
            return StepTimes(best * 1e3, (process_time() - begun) / count * 1e3)


def best_of(several: Sequence[StepTimes]) -> StepTimes:
    """Return the least time of each kind."""
    return StepTimes(min(t.best for t in several), min(t.processor for t in several))


@dataclass
class RandomWalkMarket:
    """Symbols with full sequences, each with a prediction whose outcome is pending."""

    model: Model
    context: FoldContext
    states: list[SymbolState]
    at: int = 0

    def candles(self) -> list[Candle]:
        """Return each symbol's next candle."""
        self.at += 1
        return [next_candle(state.symbol, state.sequence, self.at) for state in self.states]

    def event(self, options: FoldOptions = REPLAY) -> StepTimes:
        """Fold one candle of each symbol, as a catch-up does, missing digests included."""
        candles, model, context = self.candles(), self.model, self.context

        def folded(at: int) -> None:
            self.states[at] = step_symbol(
                self.states[at], candles[at], self.at, model, context, options
            )[0]

        return measure_steps(map(folded, range(len(candles))))

    def close(self) -> StepTimes:
        """Fold one candle of each symbol, from states precomputed beforehand."""
        self.states = [precompute(state, self.model) for state in self.states]
        return self.event(LIVE)


def a_market(symbols: int, chosen: BenchmarkModel = DEFAULT) -> RandomWalkMarket:
    """Return a market that has made its first predictions."""
    model = Model(chosen.bundle())
    names = [f"SYN{at:04d}USDT" for at in range(symbols)]
    unpromoted = {
        name: SymbolState(name, sequence=a_sequence(SEQUENCE_LENGTH, seed))
        for seed, name in enumerate(names)
    }
    context = FoldContext.of_this_machine("5m")
    promotion = Promotion(model.version, model.bundle.sha256, context.numeric_profile)
    promoted = fold(PartitionState(symbols=unpromoted), promotion, 0, model, context)
    market = RandomWalkMarket(model, context, list(promoted.symbols.values()))
    market.event()
    return market


def our_steps(symbols: int, chosen: BenchmarkModel = DEFAULT) -> Calls:
    """Return the calls of our step: at the close, in full, and the kernel alone."""
    market = a_market(symbols, chosen)
    network = Network(chosen.architecture)

    learner, window = market.model.base_learner, _window(chosen.architecture)

    def step(_: int) -> None:
        output, jacobian = network.jacobian(learner.weights, window)
        network.step(learner, market.model.card.optimiser, output, jacobian)

    def event(options: FoldOptions) -> StepTimes:
        if market.model.steps_by_gradient and market.states[0].jacobian is None:
            market.event()  # as the event before does in a catch-up
        return market.event(options)

    return {
        "close": market.close,
        "event": partial(event, SCORING),
        "published": partial(event, REPLAY),
        "kernel": lambda: measure_steps(map(step, range(symbols))),
    }


def keras_steps() -> Calls:
    """Return the call of the same step and prediction in stock Keras, without dropout."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import keras

    from services.trainer.fitting.keras_backend import build_network

    network = build_network(ORIGINAL.architecture)
    network.compile(keras.optimizers.Adam(1e-5), loss="mean_squared_error")
    window, label = _window(ORIGINAL.architecture)[None], np.zeros((1, 1), np.float32)

    def once() -> None:
        network.train_on_batch(window, label)
        network.predict_on_batch(window)

    return {"event": _repeated(once)}


def xla_steps() -> Calls:
    """Return the call of the same step and prediction in TensorFlow, compiled by XLA.

    The gradient is autodiff's, through the scan.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import tensorflow as tf

    weights = [tf.Variable(array) for array in ORIGINAL.bundle().arrays()]
    first = [tf.Variable(tf.zeros_like(w)) for w in weights]
    second = [tf.Variable(tf.zeros_like(w)) for w in weights]

    def forward(window: Any) -> Any:
        """Return the output for a window (time, features)."""
        sequence = window
        for layer, width in enumerate(ORIGINAL.architecture.widths):
            kernel, recurrent, bias = weights[3 * layer : 3 * layer + 3]

            def cell(state: Any, gates: Any, recurrent: Any = recurrent) -> Any:
                hidden, memory = state
                i, f, g, o = tf.split(gates[None] + hidden @ recurrent, 4, axis=1)
                memory = tf.sigmoid(f) * memory + tf.sigmoid(i) * tf.tanh(g)
                return tf.sigmoid(o) * tf.tanh(memory), memory

            zero = tf.zeros((1, width))
            sequence = tf.scan(cell, sequence @ kernel + bias, (zero, zero))[0][:, 0]
        return sequence[-1:] @ weights[-2] + weights[-1]

    @tf.function(jit_compile=True)  # type: ignore[untyped-decorator]
    def step(window: Any, label: Any, following: Any) -> Any:
        with tf.GradientTape() as tape:
            loss = tf.square(forward(window) - label)
        gradients = tape.gradient(loss, weights)
        for w, m, v, gradient in zip(weights, first, second, gradients, strict=True):
            m.assign(0.9 * m + 0.1 * gradient)
            v.assign(0.999 * v + 0.001 * tf.square(gradient))
            w.assign_sub(1e-5 * m / (tf.sqrt(v) + 1e-7))
        return forward(following)

    window, label = tf.constant(_window(ORIGINAL.architecture)), tf.zeros((1, 1))
    return {"event": _repeated(lambda: step(window, label, window).numpy())}


def _repeated(once: Callable[[], object]) -> Callable[[int], StepTimes]:
    once()  # compiled at the first call
    return lambda times: measure_steps((once() for _ in range(times)), block=1)


def _window(architecture: Architecture) -> Any:
    shape = (architecture.window_length, architecture.features)
    return np.random.default_rng(1).random(shape).astype(np.float32)
