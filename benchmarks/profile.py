"""Where the microseconds of an event go: `python -m benchmarks.profile`."""

import argparse
import sys
import tempfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import count
from pathlib import Path
from time import perf_counter, process_time
from typing import Final

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.market import candle_bytes
from benchmarks.models import DEFAULT, ORIGINAL, BenchmarkModel
from benchmarks.stepping import a_market, best_of
from shared.adapters.kafka.admin import ensure_topics
from shared.adapters.kafka.producer import ProducerRecord, TransactionalProducer
from shared.adapters.redis_state_store import RedisStateStore
from shared.adapters.schemas.klines import KlineCodec
from shared.adapters.schemas.predictions import encode_prediction
from shared.core.arrays import Float32s
from shared.core.features.base import append_features
from shared.core.model.optimiser import Learner
from shared.core.online.learning import learn
from shared.core.online.network_io import network_input, pending_head_inputs, symbol_head
from shared.core.online.partition import PartitionState
from shared.core.online.state_codec import encode_state
from shared.core.online.state_digest import state_digest
from shared.core.online.symbol_step import precompute, step_symbol
from shared.core.sequence import append_candle
from shared.core.topics import Topics, partition_for
from shared.local_servers import launcher
from shared.local_servers.data_folder import Servers

SYMBOLS: Final = 64
ROUNDS: Final = 15

Part = tuple[str, str, Callable[[int], object]]
"""(phase, name, function of a symbol's index)."""

Parts = Mapping[str, Callable[[int], object]]
"""Functions of a symbol's index, by name."""


class EventParts:
    """The parts of an event, each with its inputs prepared for SYMBOLS symbols."""

    def __init__(self, chosen: BenchmarkModel) -> None:
        """Prepare a market whose candles are about to close."""
        market = a_market(SYMBOLS, chosen)
        self.model, self.context = market.model, market.context
        self.states = [precompute(state, self.model) for state in market.states]
        self.candles = market.candles()
        pairs = list(zip(self.states, self.candles, strict=True))
        self.changes = [candle.close / state.last_close - 1.0 for state, candle in pairs]
        after = [step_symbol(s, c, 1, self.model, self.context) for s, c in pairs]
        self.states_after = [state for state, _ in after]
        self.predictions = [prediction for _, prediction in after if prediction is not None]
        self.encoded = [encode_state(state) for state in self.states_after]

    def __iter__(self) -> Iterator[Part]:
        """Yield the parts in the order in which they happen."""
        for when, parts in (
            ("at the close", self._at_the_close()),
            ("after the publish", self._after_the_publish()),
            ("in idle time", self._in_idle_time()),
        ):
            for what, work in parts.items():
                yield when, what, work

    def _at_the_close(self) -> Parts:
        model, states = self.model, self.states
        codec = KlineCodec("5m", 300_000, 6)
        raw = [candle_bytes(s.symbol, 2000, 100.0) for s in states]
        partitions = [partition_for(s.symbol, 6) for s in states]
        return {
            "decode and check the record": lambda at: codec.decode(raw[at], partitions[at]),
            "  learn: score and step": lambda at: learn(states[at], self.changes[at], None, model),
            **(self._gradient_step() if model.steps_by_gradient else self._head_step()),
            "  sequence with one more candle": self._append_candle(),
            "  features of one candle more": self._append_features(),
            "  window: features, scaled": lambda at: network_input(self.states_after[at], model),
            "  forward pass (kernel)": self._run_network(),
            "encode the prediction": lambda at: encode_prediction(self.predictions[at]),
        }

    def _gradient_step(self) -> Parts:
        network, optimiser, error = self.model.network, self.model.card.optimiser, np.float32(0.1)
        learners = self._learners()
        jacobians = [state.jacobian for state in self.states if state.jacobian is not None]

        def step(at: int) -> object:
            return network.step(learners[at], optimiser, error, jacobians[at])

        return {"    Adam, and whether all is finite (kernel)": step}

    def _head_step(self) -> Parts:
        heads = [symbol_head(state, self.model) for state in self.states]
        inputs = [pending_head_inputs(state, self.model) for state in self.states]
        prior = self.model.head_prior
        if prior is None:
            return {}
        return {
            "    recursive least squares (kernel)": lambda at: prior.learn(
                heads[at], inputs[at], 0.1
            ),
            "  head's prediction (kernel)": lambda at: heads[at].predict(inputs[at]),
        }

    def _append_candle(self) -> Callable[[int], object]:
        sequences = [state.sequence for state in self.states]

        def append(at: int) -> None:
            sequences[at] = append_candle(sequences[at], self.candles[at])

        return append

    def _append_features(self) -> Callable[[int], object]:
        features = [state.features for state in self.states if state.features is not None]
        model, step_ms = self.model, self.context.interval_ms
        newest = [state.sequence[-1] for state in self.states_after]
        return lambda at: append_features(
            model.feature_set, features[at], newest[at], step_ms, model.window_length
        )

    def _run_network(self) -> Callable[[int], object]:
        network, learners, windows = self.model.network, self._learners(), self._windows()
        if self.model.head_prior is None:
            return lambda at: network.predict(learners[at].weights, windows[at])
        return lambda at: network.hidden(learners[at].weights, windows[at])

    def _after_the_publish(self) -> Parts:
        return {
            "encode the state": lambda at: encode_state(self.states_after[at]),
            "checksum of the state": lambda at: zlib.crc32(self.encoded[at]),
        }

    def _in_idle_time(self) -> Parts:
        model, after = self.model, self.states_after
        return {
            **(self._jacobian() if model.steps_by_gradient else {}),
            "digest of a state": lambda at: state_digest(after[at].replace()),
            "precompute a state, as a whole": lambda at: precompute(after[at].replace(), model),
        }

    def _jacobian(self) -> Parts:
        network, learners, windows = self.model.network, self._learners(), self._windows()
        return {
            "forward pass and Jacobian (kernel)": lambda at: network.jacobian(
                learners[at].weights, windows[at]
            )
        }

    def _learners(self) -> list[Learner]:
        results = [
            learn(state, change, None, self.model)
            for state, change in zip(self.states, self.changes, strict=True)
        ]
        return [after.learner or self.model.base_learner for after, _ in results]

    def _windows(self) -> list[Float32s]:
        return [network_input(state, self.model) for state in self.states_after]


def batches(running: Servers) -> Iterator[tuple[str, str, Callable[[], object]]]:
    """Yield the parts for all symbols of a batch at once: a transaction, states to Redis."""
    market, topics = a_market(SYMBOLS), Topics("5m", 6, "profile.")
    ensure_topics(running.kafka, topics)
    writer = TransactionalProducer(running.kafka, "profile", exclusive_id=True)
    record = ProducerRecord(topics.predictions, 0, b"SYN0000USDT", bytes(800), 0)
    what = f"a transaction of {SYMBOLS} predictions, each"
    yield "the publish", what, lambda: writer.write([record] * SYMBOLS)
    states, offsets = RedisStateStore(running.redis_url, "profile"), count(1)
    symbols = {state.symbol: state for state in market.states}

    def save() -> None:
        state = PartitionState(next(offsets), symbols=symbols)
        states.save(0, "1-profile", state, symbols, None)

    yield "after the publish", "a state to Redis, all of it", save
    writer.close()
    states.close()


def main() -> None:
    """Print each part's wall time of the best round and its least processor time."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.profile", description=__doc__)
    parser.add_argument("--original", action="store_true", help="a model of the original's size")
    chosen = ORIGINAL if parser.parse_args().original else DEFAULT
    title = f"one event, {chosen.name}, {SYMBOLS} symbols in turn, best of {ROUNDS} rounds"
    table = Table(title=title)
    for heading in ("when", "what", "µs", "µs of processor time"):
        table.add_column(heading, justify="left" if heading in {"when", "what"} else "right")
    market = a_market(SYMBOLS, chosen)
    whole = best_of([market.close() for _ in range(ROUNDS)])
    table.add_row("at the close", "fold, as a whole", *(f"{ms * 1e3:.1f}" for ms in whole))
    for when, what, work in EventParts(chosen):
        table.add_row(when, what, *_cells(partial(_for_each_symbol, work)))
    with (
        tempfile.TemporaryDirectory(prefix="profile-") as folder,
        launcher.start(Path(folder), die_with_parent=True) as running,
    ):
        for when, what, batch in batches(running.servers):
            table.add_row(when, what, *_cells(batch))
    Console(width=None if sys.stdout.isatty() else 120).print(table)


def _for_each_symbol(work: Callable[[int], object]) -> None:
    for at in range(SYMBOLS):
        work(at)


def _cells(batch: Callable[[], object]) -> tuple[str, str]:
    """Measure the microseconds a symbol: wall time and processor time."""
    wall, processor = [], []
    for _ in range(ROUNDS):
        begun, started = process_time(), perf_counter()
        batch()
        wall.append(perf_counter() - started)
        processor.append(process_time() - begun)
    best, least = (f"{min(taken) / SYMBOLS * 1e6:.1f}" for taken in (wall, processor))
    return best, least


if __name__ == "__main__":
    main()
