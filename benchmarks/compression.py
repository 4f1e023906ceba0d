"""Kafka's codecs side by side, on predictions: `python -m benchmarks.compression`."""

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from time import monotonic, process_time
from typing import Final, NamedTuple, get_args

from rich.console import Console
from rich.table import Table

from benchmarks.models import DEFAULT
from benchmarks.stepping import a_market
from shared.adapters.kafka.admin import ensure_topics
from shared.adapters.kafka.connection import Compression, KafkaConnection
from shared.adapters.kafka.producer import ProducerRecord, TransactionalProducer
from shared.adapters.kafka.reader import Reader
from shared.adapters.schemas.predictions import encode_prediction
from shared.core.online.context import REPLAY
from shared.core.online.symbol_step import step_symbol
from shared.core.topics import Topics
from shared.local_servers import launcher

SYMBOLS: Final = 2_000
CLOSES: Final = 9  # of all symbols, each codec in turn; the first is not counted


class _Close(NamedTuple):
    """Seconds of a close: until it is readable, and of the writer's processor."""

    readable: float
    processor: float


def _predictions() -> Iterator[list[tuple[bytes, bytes]]]:
    """Yield the keys and values of the predictions of one close after the other."""
    market = a_market(SYMBOLS, DEFAULT)
    for offset in range(CLOSES):
        values = []
        for at, candle in enumerate(market.candles()):
            state, prediction = step_symbol(
                market.states[at], candle, offset, market.model, market.context, REPLAY
            )
            market.states[at] = state
            if prediction is not None:
                values.append((prediction.symbol.encode(), encode_prediction(prediction)))
        yield values


def _write(
    writer: TransactionalProducer, reader: Reader, close: Sequence[tuple[bytes, bytes]], topic: str
) -> _Close:
    """Write a close in one transaction and read it."""
    start = reader.ends(0)[1]
    records = [ProducerRecord(topic, 0, key, value, 0) for key, value in close]
    started, used = monotonic(), process_time()
    writer.write(records)
    processor = process_time() - used
    read = 0
    while read < len(records):
        end = reader.ends(0)[1]
        read = sum(len(block) for block in reader.read(0, start, end))
    return _Close(monotonic() - started, processor)


def _measure(kafka: KafkaConnection, data: Path) -> Iterator[tuple[str, list[_Close], int, float]]:
    """Yield of each codec its closes, its bytes on disk, and the seconds to read all again."""
    codecs = get_args(Compression)
    topics = {codec: Topics("5m", 1, f"{codec}.") for codec in codecs}
    writers, readers = {}, {}
    for codec in codecs:
        ensure_topics(kafka, topics[codec])
        connection = replace(kafka, compression=codec)
        writers[codec] = TransactionalProducer(connection, f"{codec}-writer", exclusive_id=True)
        readers[codec] = Reader(kafka, topics[codec].predictions)
    closes: dict[str, list[_Close]] = {codec: [] for codec in codecs}
    for close in _predictions():
        for codec in codecs:
            written = _write(writers[codec], readers[codec], close, topics[codec].predictions)
            closes[codec].append(written)
    for codec in codecs:
        writers[codec].close()
        started = monotonic()
        count = sum(len(block) for block in readers[codec].read(0, 0))
        reading = (monotonic() - started) / count
        readers[codec].__exit__()
        logs = data.rglob(f"{topics[codec].predictions}-0/*.log")
        yield codec, closes[codec][1:], sum(log.stat().st_size for log in logs) // count, reading


def main() -> None:
    """Print the latency of a close, the writer's processor time, reading and size of each codec."""
    table = Table(title=f"{SYMBOLS:,} predictions in one transaction, {CLOSES - 1} closes, median")
    headings = ("codec", "ms to the last one read", "ms of the writer's processor")
    for heading in (*headings, "records/s read in a row", "bytes a record on disk"):
        table.add_column(heading, justify="left" if heading == "codec" else "right")
    with tempfile.TemporaryDirectory() as name, launcher.start(Path(name)) as running:
        for codec, closes, size, reading in _measure(running.servers.kafka, Path(name)):
            readable = median(close.readable for close in closes) * 1e3
            processor = median(close.processor for close in closes) * 1e3
            figures = (f"{readable:.0f}", f"{processor:.0f}", f"{1 / reading:,.0f}", f"{size:,}")
            table.add_row(codec, *figures)
    Console().print(table)


if __name__ == "__main__":
    main()
