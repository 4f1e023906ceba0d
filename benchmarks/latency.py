"""From a candle in `klines` to its prediction at a reader: many symbols at once, and one alone."""

from collections.abc import Callable, Iterator
from itertools import repeat
from pathlib import Path
from statistics import median
from time import monotonic, sleep
from typing import Any, Final

import numpy as np
from confluent_kafka import Consumer, Producer, TopicPartition

from benchmarks.deployment import LONGEST_S, BenchmarkDeployment
from benchmarks.market import START_MS, STEP_MS, candle_bytes
from benchmarks.result import Peer, Result
from benchmarks.stepping import DEFAULT
from benchmarks.worker import BackgroundWorker, Calls
from shared.adapters.kafka.admin import ensure_topics
from shared.adapters.kafka.tail import TopicTail
from shared.core.topics import Topics, partition_for
from shared.local_servers.launcher import Servers

SYMBOLS: Final = 2_000
HISTORY: Final = DEFAULT.window_length
REPLICAS: Final = 2
CLOSES: Final = 6  # the first is not counted
LONE: Final = 300  # records
REST_S: Final = 0.02  # between lone records
LONE_SYMBOL: Final = "SYN0000USDT"


def close_rows(servers: Servers, folder: Path, tell: Callable[[str], None]) -> Iterator[Result]:
    """Yield the rows of all symbols closing at once."""
    with BenchmarkDeployment(
        servers.kafka_bootstrap, servers.redis_url, "close.", folder
    ) as deployment:
        tell(f"close: writing {SYMBOLS} x {HISTORY} candles of history")
        deployment.write_candles(SYMBOLS, 0, HISTORY)
        deployment.release_model(DEFAULT, HISTORY)
        for _ in range(REPLICAS):
            deployment.start_predictor()
        tell(f"close: {REPLICAS} predictors read the history")
        deployment.await_folded(SYMBOLS * HISTORY)
        topics = deployment.topics
        with BackgroundWorker(
            watching, servers.kafka_bootstrap, (topics.klines, topics.predictions)
        ) as watcher:
            watcher.ask("ready")
            found = []
            used_s = deployment.processor_s()
            for at in range(HISTORY, HISTORY + CLOSES):
                tell(f"close: {at - HISTORY + 1} of {CLOSES}")
                watcher.begin("arrivals", topics.predictions, SYMBOLS)
                deployment.write_candles(SYMBOLS, at, at + 1)
                found.append(watcher.answer())
                deployment.await_idle()
            used_ms = (deployment.processor_s() - used_s) / CLOSES / SYMBOLS * 1e3
        yield from _close_rows(found[1:], used_ms)


def _close_rows(found: list[tuple[float, list[float]]], used_ms: float) -> Iterator[Result]:
    what = f"{SYMBOLS:,} symbols close at once: first candle in klines -> "
    note = (
        f"median of {len(found)} closes, all candles in one transaction, {REPLICAS} predictors, 6 symbol groups,"
        f" {HISTORY} candles before; reader, Kafka and Redis on the same cores; processor time of the predictors"
        f" from close to quiet: {used_ms:.2f} ms a symbol"
    )
    for name, at, limit in (
        ("first prediction", 0, 0.05),
        ("half of the predictions", SYMBOLS // 2, 0.25),
        ("last prediction", SYMBOLS - 1, 0.4),
    ):
        seconds = [arrivals[at] - first for first, arrivals in found]
        spread = (
            f"{min(seconds):.3g} to {max(seconds):.3g} s; {note if at == 0 else 'the same closes'}"
        )
        yield Result(f"{what}{name} readable", median(seconds), "s", at_most=limit, note=spread)


def watching(bootstrap: str, topics: tuple[str, ...]) -> Calls:
    """Return what tells when records arrive at a read_committed consumer, on the monotonic clock."""
    follower = TopicTail(bootstrap, topics)

    def arrivals(wanted: str, count: int) -> tuple[float, list[float]]:
        """Return when the first record of another topic came, and when each of so many of the wanted one did."""
        first, moments = 0.0, list[float]()
        while len(moments) < count:
            records = follower.poll(500, LONGEST_S)
            now = monotonic()
            moments += repeat(now, sum(record.topic == wanted for record in records))
            if not first and any(record.topic != wanted for record in records):
                first = now
        return first, moments

    return {"ready": lambda: None, "arrivals": arrivals}


def lone_rows(servers: Servers, folder: Path, tell: Callable[[str], None]) -> Iterator[Result]:
    """Yield the rows of a lone symbol, each of its records followed by one through a bare loop."""
    bare = Topics("5m", 6, "bare.")
    ensure_topics(servers.kafka_bootstrap, bare)
    with (
        BenchmarkDeployment(
            servers.kafka_bootstrap, servers.redis_url, "lone.", folder
        ) as deployment,
        BackgroundWorker(bare_loop, servers.kafka_bootstrap, bare) as loop,
    ):
        deployment.write_candles(1, 0, HISTORY)
        deployment.release_model(DEFAULT, HISTORY)
        deployment.start_predictor()
        deployment.await_folded(HISTORY)
        loop.begin("run")
        tell(f"lone symbol: {LONE} records, as many through a bare loop")
        ours, theirs = _lone_ms(servers.kafka_bootstrap, deployment.topics, bare)
    note = (
        f"{LONE} records, in turn with the bare loop; from before it is sent to read, 1 predictor"
    )
    for percent, limit in ((50, 12.0), (99, 30.0)):
        peer = Peer("bare consume-transform-produce loop", float(np.percentile(theirs, percent)))
        what = f"a lone symbol: record in -> prediction readable, p{percent}"
        yield Result(
            what, float(np.percentile(ours, percent)), "ms", at_most=limit, peer=peer, note=note
        )


def _lone_ms(bootstrap: str, topics: Topics, bare: Topics) -> tuple[list[float], list[float]]:
    producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 0})
    taken: dict[str, list[float]] = {topics.prefix: [], bare.prefix: []}
    with (
        TopicTail(bootstrap, [topics.predictions]) as ours,
        TopicTail(bootstrap, [bare.predictions]) as theirs,
    ):
        for at in range(HISTORY, HISTORY + LONE + 10):
            for one, follower in ((topics, ours), (bare, theirs)):
                sleep(REST_S)
                started = monotonic()
                value = candle_bytes(LONE_SYMBOL, at, 100.0 + at % 7)
                group = partition_for(LONE_SYMBOL, one.partitions)
                time_ms = START_MS + (at + 1) * STEP_MS
                producer.produce(one.klines, value, LONE_SYMBOL, group, timestamp=time_ms)
                producer.poll(0)
                if not follower.poll(1, LONGEST_S):
                    message = f"no prediction of {one.prefix} came"
                    raise TimeoutError(message)
                taken[one.prefix].append((monotonic() - started) * 1e3)
        producer.flush()
    return taken[topics.prefix][10:], taken[bare.prefix][10:]


def bare_loop(bootstrap: str, topics: Topics) -> Calls:
    """Return the least that reads a record and writes another exactly once."""
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "bare",
            "isolation.level": "read_committed",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        }
    )
    producer = Producer(
        {"bootstrap.servers": bootstrap, "transactional.id": "bare", "linger.ms": 0}
    )
    producer.init_transactions()
    consumer.subscribe([topics.klines])

    def run() -> None:
        while True:
            message = consumer.poll(1.0)
            if message is not None and message.error() is None:
                _pass_on(consumer, producer, message, topics.predictions)

    return {"run": run}


def _pass_on(consumer: Consumer, producer: Producer, message: Any, topic: str) -> None:
    producer.begin_transaction()
    producer.produce(topic, message.value().swapcase(), message.key(), message.partition())
    place = TopicPartition(message.topic(), message.partition(), message.offset() + 1)
    producer.send_offsets_to_transaction([place], consumer.consumer_group_metadata())
    producer.commit_transaction()
