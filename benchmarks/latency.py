"""Latency from a candle in `klines` to its prediction at a reader."""

from collections.abc import Callable, Iterator, Sequence
from itertools import repeat
from statistics import median
from time import monotonic, sleep
from typing import Any, Final

import numpy as np
from confluent_kafka import Consumer, Producer, TopicPartition

from benchmarks.deployment import LONGEST_S, BenchmarkDeployment, BenchmarkOptions
from benchmarks.market import START_MS, STEP_MS, candle_bytes
from benchmarks.models import DEFAULT, ORIGINAL, BenchmarkModel
from benchmarks.result import Peer, Result
from benchmarks.worker import BackgroundWorker, Calls
from shared.adapters.kafka.admin import ensure_topics
from shared.adapters.kafka.connection import KafkaConnection
from shared.adapters.kafka.tail import TopicTail
from shared.core.topics import Topics, partition_for

SYMBOLS: Final = 2_000
HISTORY: Final = 288
REPLICAS: Final = 2
CLOSES: Final = 6  # the first is not counted
SINGLE_RECORDS: Final = 300  # records
PAUSE_S: Final = 0.02  # between lone records
SINGLE_SYMBOL: Final = "SYN0000USDT"


def latency_rows(options: BenchmarkOptions) -> Iterator[Result]:
    """Yield the rows of many symbols whose candles close at once, with the default model."""
    yield from _model_rows(options, DEFAULT, (0.05, 0.15, 0.25))


def original_latency_rows(options: BenchmarkOptions) -> Iterator[Result]:
    """Yield the same rows with a model of the original's size."""
    yield from _model_rows(options, ORIGINAL, (0.05, 0.25, 0.4))


def _model_rows(
    options: BenchmarkOptions, model: BenchmarkModel, limits: Sequence[float]
) -> Iterator[Result]:
    """Yield the rows of a model; the limits (s) of the first, middle and last prediction."""
    report_progress = options.report_progress
    with options.deployments() as deploy, deploy("close.") as deployment:
        report_progress(f"close: writing {SYMBOLS} x {HISTORY} candles of history")
        deployment.write_candles(SYMBOLS, 0, HISTORY)
        deployment.release_model(model, HISTORY)
        for _ in range(REPLICAS):
            deployment.start_predictor()
        report_progress(f"close: {REPLICAS} predictors read the history")
        deployment.await_folded(SYMBOLS * HISTORY)
        closes, used_ms = _measure_closes(deployment, report_progress)
    what = f"{SYMBOLS:,} symbols close at once, {model.name}: first candle in klines -> "
    yield from _latency_results(what, limits, closes, used_ms)


def _measure_closes(
    deployment: BenchmarkDeployment, report_progress: Callable[[str], None]
) -> tuple[list[tuple[float, list[float]]], float]:
    """Return the arrivals of each close but the first, and the processor time a symbol (ms)."""
    topics, closes = deployment.topics, []
    watched = (topics.klines, topics.predictions)
    with BackgroundWorker(arrival_calls, deployment.kafka, watched) as watcher:
        watcher.ask("ready")
        used_s = deployment.processor_s()
        for at in range(HISTORY, HISTORY + CLOSES):
            report_progress(f"close: {at - HISTORY + 1} of {CLOSES}")
            watcher.begin("arrivals", topics.predictions, SYMBOLS)
            deployment.write_candles(SYMBOLS, at, at + 1)
            closes.append(watcher.answer())
            deployment.await_idle()
    return closes[1:], (deployment.processor_s() - used_s) / CLOSES / SYMBOLS * 1e3


def _latency_results(
    what: str, limits: Sequence[float], closes: list[tuple[float, list[float]]], used_ms: float
) -> Iterator[Result]:
    note = (
        f"median of {len(closes)} closes, all candles in one transaction, {REPLICAS} predictors, 6"
        f" symbol groups, {HISTORY} candles before; reader, Kafka and Redis on the same cores;"
        f" processor time of the predictors from close to idle: {used_ms:.2f} ms a symbol"
    )
    positions = (
        ("first prediction", 0),
        ("half of the predictions", SYMBOLS // 2),
        ("last prediction", SYMBOLS - 1),
    )
    for (name, at), limit in zip(positions, limits, strict=True):
        seconds = [arrivals[at] - first for first, arrivals in closes]
        spread = f"{min(seconds):.3g} to {max(seconds):.3g} s; {note}"
        yield Result(f"{what}{name} readable", median(seconds), "s", at_most=limit, note=spread)
        note = "the same closes"


def arrival_calls(kafka: KafkaConnection, topics: tuple[str, ...]) -> Calls:
    """Return a call that times the arrival of records at a read_committed consumer."""
    tail = TopicTail(kafka, topics)

    def arrivals(wanted: str, count: int) -> tuple[float, list[float]]:
        """Wait for records of the wanted topic.

        Returns:
            When the first record of another topic arrived, and when each wanted one did (s).
        """
        first, moments = 0.0, list[float]()
        while len(moments) < count:
            records = tail.poll(500, LONGEST_S)
            now = monotonic()
            moments += repeat(now, sum(record.topic == wanted for record in records))
            if not first and any(record.topic != wanted for record in records):
                first = now
        return first, moments

    return {"ready": lambda: None, "arrivals": arrivals}


def single_symbol_rows(options: BenchmarkOptions) -> Iterator[Result]:
    """Yield the rows of one symbol alone, in turn with a bare consume-produce loop."""
    bare = Topics("5m", 6, "bare.")
    with options.deployments() as deploy, deploy("lone.") as deployment:
        ensure_topics(deployment.kafka, bare)
        with BackgroundWorker(bare_loop_calls, deployment.kafka, bare) as loop:
            deployment.write_candles(1, 0, HISTORY)
            deployment.release_model(DEFAULT, HISTORY)
            deployment.start_predictor()
            deployment.await_folded(HISTORY)
            loop.begin("run")
            options.report_progress(
                f"single symbol: {SINGLE_RECORDS} records, in turn with a bare loop"
            )
            ours, theirs = _single_symbol_ms(deployment, bare)
    note = (
        f"{SINGLE_RECORDS} records, in turn with the bare loop; from before sending to reading,"
        " 1 predictor"
    )
    for percent, limit in ((50, 12.0), (99, 30.0)):
        peer = Peer("bare consume-transform-produce loop", float(np.percentile(theirs, percent)))
        what = f"a lone symbol: record in -> prediction readable, p{percent}"
        figure = float(np.percentile(ours, percent))
        yield Result(what, figure, "ms", at_most=limit, peer=peer, note=note)


def _single_symbol_ms(
    deployment: BenchmarkDeployment, bare: Topics
) -> tuple[list[float], list[float]]:
    kafka, topics = deployment.kafka, deployment.topics
    producer = Producer(kafka.client_config({"linger.ms": 0}))
    latencies_ms: dict[str, list[float]] = {topics.prefix: [], bare.prefix: []}
    with (
        TopicTail(kafka, [topics.predictions]) as ours,
        TopicTail(kafka, [bare.predictions]) as theirs,
    ):
        for at in range(HISTORY, HISTORY + SINGLE_RECORDS + 10):
            for one, tail in ((topics, ours), (bare, theirs)):
                sleep(PAUSE_S)
                started = monotonic()
                value = candle_bytes(SINGLE_SYMBOL, at, 100.0 + at % 7)
                partition = partition_for(SINGLE_SYMBOL, one.partitions)
                time_ms = START_MS + (at + 1) * STEP_MS
                producer.produce(one.klines, value, SINGLE_SYMBOL, partition, timestamp=time_ms)
                producer.poll(0)
                if not tail.poll(1, LONGEST_S):
                    raise TimeoutError(f"no prediction under {one.prefix} in {LONGEST_S:.0f} s")
                latencies_ms[one.prefix].append((monotonic() - started) * 1e3)
        producer.flush()
    return latencies_ms[topics.prefix][10:], latencies_ms[bare.prefix][10:]


def bare_loop_calls(kafka: KafkaConnection, topics: Topics) -> Calls:
    """Return the shortest loop that reads a record and writes another exactly once."""
    config = kafka.client_config()
    group = {"group.id": "bare", "auto.offset.reset": "earliest", "enable.auto.commit": False}
    consumer = Consumer({**config, **group, "isolation.level": "read_committed"})
    producer = Producer({**config, "transactional.id": "bare", "linger.ms": 0})
    producer.init_transactions()
    consumer.subscribe([topics.klines])

    def run() -> None:
        while True:
            message = consumer.poll(1.0)
            if message is not None and message.error() is None:
                _forward(consumer, producer, message, topics.predictions)

    return {"run": run}


def _forward(consumer: Consumer, producer: Producer, message: Any, topic: str) -> None:
    producer.begin_transaction()
    producer.produce(topic, message.value().swapcase(), message.key(), message.partition())
    next_offset = TopicPartition(message.topic(), message.partition(), message.offset() + 1)
    producer.send_offsets_to_transaction([next_offset], consumer.consumer_group_metadata())
    producer.commit_transaction()
