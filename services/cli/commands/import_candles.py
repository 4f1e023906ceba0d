"""`ulstm import`: write recorded candles to the log, exactly once."""

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from heapq import merge
from itertools import chain, islice
from operator import attrgetter
from pathlib import Path
from typing import Annotated, Final

import numpy as np
import typer
from rich.console import Console
from rich.progress import Progress

from services.cli.cli_options import AsJson
from shared.adapters.candle_files import find_recordings, read_blocks
from shared.adapters.env_settings import ServiceSettings
from shared.adapters.kafka.admin import ensure_topics
from shared.adapters.kafka.producer import ProducerRecord, TransactionalProducer
from shared.adapters.recording import Block, CandleRow, Recording
from shared.adapters.schemas.klines import build_candle_message, encode_gap
from shared.core.arrays import Float64s
from shared.core.errors import BadInput, Incompatible
from shared.core.records import Gap
from shared.core.sequence import OPEN, OPEN_TIME, SEQUENCE_COLUMNS
from shared.core.topics import Topics, interval_ms, partition_for
from shared.log.archive import Archive, TimeSpan
from shared.log.positions import producer_transactional_id, read_positions

_BATCH: Final = 5_000  # records of one transaction: it holds back every reader while it is open
# Characters of a number that needs no further check: it is less than 1e15.
_SAFE_LENGTH: Final = 15
_EMPTY: Final = np.empty((0, SEQUENCE_COLUMNS))


@dataclass(slots=True)
class ImportSummary:
    """The counts of an import."""

    candles: int = 0
    gaps: int = 0
    already_there: int = 0
    symbols: set[str] = field(default_factory=set)


def import_command(
    context: typer.Context,
    paths: Annotated[list[Path], typer.Argument(help="Folders or files: CSV, ZIP or Parquet.")],
    as_json: AsJson = False,
) -> None:
    """Import recorded candles. Stop the producer first. An interrupted import can be run again."""
    settings = ServiceSettings.from_env(context.obj)
    started = time.monotonic()
    with Progress(console=Console(stderr=True)) as progress:
        task = progress.add_task("importing", total=None)
        summary = import_recordings(
            settings, find_recordings(paths), lambda n: progress.advance(task, n)
        )
    if as_json:
        print(json.dumps({**asdict(summary), "symbols": len(summary.symbols)}))
        return
    print(
        f"imported {summary.candles} candles and {summary.gaps} gaps of {len(summary.symbols)}"
        f" symbols in {time.monotonic() - started:.0f} s; {summary.already_there} candles were in"
        " the log already"
    )


def import_recordings(
    settings: ServiceSettings,
    recordings: Sequence[Recording],
    report_progress: Callable[[int], None] = lambda _: None,
) -> ImportSummary:
    """Write the candles that the log lacks, merged over all symbols by time; holes become gaps.

    Args:
        settings: of the deployment.
        recordings: the files.
        report_progress: takes the number of records of each transaction.

    Raises:
        BadInput: a file is damaged or contradicts the log; earlier transactions stay in the log.
        Incompatible: a file has another interval than the deployment.
        Fenced: a producer, or another import, took over.
    """
    where, topics = settings.kafka_bootstrap_servers, settings.topics
    _check_interval(recordings, settings.interval)
    ensure_topics(where, topics)
    sources = [source for recording in recordings for source in _by_symbol(recording)]
    # 1. Take the producer's transactional id: it fences a running producer, so that no other
    #    writer can append from here on.
    with closing(TransactionalProducer(where, producer_transactional_id(topics))) as writer:
        # 2. Read where each symbol's log ends: a row before that is compared, not written.
        next_ms = read_positions(where, topics, settings.codec, {symbol for symbol, _ in sources})
        rows = merge(
            *(chain.from_iterable(block.rows() for block in blocks) for _, blocks in sources),
            key=attrgetter("open_time_ms", "symbol"),
        )
        first = next(rows, None)
        if first is None:
            return ImportSummary()
        in_log = _read_overlap(Archive(where, topics), next_ms, first.open_time_ms)
        importer = CandleImporter(topics, next_ms, in_log, time.time_ns() // 1_000_000)
        # 3. Append in order of time. Every transaction leaves a log without a hole, so an import
        #    that is interrupted continues where it was.
        records = chain.from_iterable(map(importer.records, chain((first,), rows)))
        while batch := list(islice(records, _BATCH)):
            writer.write(batch)
            report_progress(len(batch))
    return importer.summary


def _check_interval(recordings: Sequence[Recording], interval: str) -> None:
    step_ms = interval_ms(interval)
    if not recordings:
        raise BadInput("no_file", "the paths hold no recordings (.csv, .zip or .parquet)")
    for recording in recordings:
        if recording.interval_ms != step_ms:
            raise Incompatible(
                f"{recording.path} has candles of {recording.interval_ms} ms, this deployment"
                f" follows {interval} ({step_ms} ms): leave it out or set INTERVAL"
            )


def _by_symbol(recording: Recording) -> Iterator[tuple[str, Iterable[Block]]]:
    """Yield the symbols of a recording with their blocks.

    A file of many symbols is kept in memory, as arrays; a file of one is read as it is used.
    """
    if recording.symbol is not None:
        yield recording.symbol, read_blocks(recording)
        return
    blocks: dict[str, list[Block]] = {}
    for block in read_blocks(recording):
        blocks.setdefault(block.symbol, []).append(block)
    yield from blocks.items()


def _read_overlap(
    archive: Archive, next_ms: Mapping[str, int], from_ms: int
) -> Mapping[str, Float64s]:
    """Return the log's candles from a time on, of the symbols that have any."""
    symbols = [symbol for symbol, ends_ms in next_ms.items() if ends_ms > from_ms]
    return archive.read(TimeSpan(from_ms=from_ms), symbols).sequences if symbols else {}


class CandleImporter:
    """Decides on each row, in the order of open times, which records it leads to."""

    def __init__(
        self,
        topics: Topics,
        next_ms: Mapping[str, int],
        in_log: Mapping[str, Float64s],
        now_ms: int,
    ) -> None:
        """Begin with the contents of the log.

        Args:
            topics: of the deployment.
            next_ms: by symbol: the open time in ms that the log must continue with.
            in_log: by symbol: the log's candles that the recordings overlap, (n, columns).
            now_ms: the time of the import, for the records' headers.
        """
        self._topics, self._step_ms = topics, interval_ms(topics.interval)
        self._log_ends_ms, self._in_log = next_ms, in_log
        self._next_ms = dict(next_ms)
        self._last: dict[str, CandleRow] = {}
        self._headers = [("source", b"import"), ("arrival_ms", str(now_ms).encode())]
        self.summary = ImportSummary()

    def records(self, row: CandleRow) -> Iterator[ProducerRecord]:
        """Yield the records of a row: none, a candle, or a gap and a candle.

        Raises:
            BadInput: the row contradicts the log or an earlier row.
        """
        next_ms = self._next_ms.get(row.symbol)
        self.summary.symbols.add(row.symbol)
        if next_ms is not None and row.open_time_ms < next_ms:
            self._check_repeated(row)
            self.summary.already_there += 1
            return
        if next_ms is not None and row.open_time_ms > next_ms:
            self.summary.gaps += 1
            gap = Gap(row.symbol, next_ms, row.open_time_ms)
            value = encode_gap(gap, self._topics.interval)
            yield self._record(row.symbol, row.open_time_ms - 1, value)
        self._next_ms[row.symbol] = row.open_time_ms + self._step_ms
        self._last[row.symbol] = row
        self.summary.candles += 1
        value = candle_bytes(row, self._topics.interval)
        if max(map(len, row[2:7])) > _SAFE_LENGTH or row.volume.startswith("-"):
            self._check_as_reader(row)
        yield self._record(row.symbol, row.open_time_ms + self._step_ms - 1, value)

    def _record(self, symbol: str, time_ms: int, value: bytes) -> ProducerRecord:
        partition = partition_for(symbol, self._topics.partitions)
        return ProducerRecord(
            self._topics.klines, partition, symbol.encode(), value, time_ms, self._headers
        )

    def _check_as_reader(self, row: CandleRow) -> None:
        """Refuse a row that readers of the log would reject: a very long number, or -0."""
        try:
            build_candle_message(self._step_ms, interval=self._topics.interval, **row._asdict())
        except BadInput as error:
            message = f"{_describe(row)}: {error}; correct it or leave it out"
            raise BadInput(error.reason, message) from error

    def _check_repeated(self, row: CandleRow) -> None:
        """Check that a row agrees with the log, or with an earlier row."""
        if row.open_time_ms < self._log_ends_ms.get(row.symbol, 0):
            self._check_against_log(row)
        elif row != self._last[row.symbol]:
            raise BadInput(
                "contradiction",
                f"{_describe(row)} comes twice with different values; leave one of the files out",
            )

    def _check_against_log(self, row: CandleRow) -> None:
        sequence = self._in_log.get(row.symbol, _EMPTY)
        if len(sequence) and row.open_time_ms < sequence[0, OPEN_TIME]:
            raise BadInput(
                "older_than_the_log",
                f"{_describe(row)} is older than the first one in the log"
                f" ({int(sequence[0, OPEN_TIME])} ms); the log only grows at its end: import"
                " history into a new deployment (TOPIC_PREFIX) before anything else",
            )
        at = int(np.searchsorted(sequence[:, OPEN_TIME], row.open_time_ms))
        if at == len(sequence) or sequence[at, OPEN_TIME] != row.open_time_ms:
            raise BadInput(
                "contradiction",
                f"{_describe(row)} is in the file, and the log has a gap there; the log keeps what"
                " it has",
            )
        ours, theirs = sequence[at, OPEN:].tolist(), [float(text) for text in row[2:7]]
        if ours != theirs:
            raise BadInput(
                "contradiction",
                f"{_describe(row)} has {theirs} in the file and {ours} in the log (open, high, low,"
                " close, volume); the log keeps what it has",
            )


def candle_bytes(row: CandleRow, interval: str) -> bytes:
    """Return the canonical bytes of a checked row.

    They are those of encode_record, without building a pydantic model for each of millions of rows.
    """
    quote = _quoted("quote_volume", row.quote_volume)
    taker_quote = _quoted("taker_buy_quote_volume", row.taker_buy_quote_volume)
    taker = _quoted("taker_buy_volume", row.taker_buy_volume)
    trades = "" if row.trades is None else f'"trades":{row.trades},'
    return (
        f'{{"close":"{row.close}","high":"{row.high}","interval":"{interval}",'
        f'"low":"{row.low}","open":"{row.open}","open_time_ms":{row.open_time_ms},{quote}'
        f'"schema":1,"symbol":"{row.symbol}",{taker_quote}{taker}{trades}'
        f'"type":"candle","volume":"{row.volume}"}}'
    ).encode()


def _quoted(name: str, text: str | None) -> str:
    return "" if text is None else f'"{name}":"{text}",'


def _describe(row: CandleRow) -> str:
    return f"candle of {row.symbol} at open time {row.open_time_ms} ms"
