"""`ulstm import`: recorded candles into the log, exactly once."""

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from heapq import merge
from itertools import chain
from pathlib import Path
from typing import Annotated, Final

import numpy as np
import typer
from rich.console import Console
from rich.progress import Progress

from shared.adapters.candle_files import Block, CandleRow, Recording, find, read_blocks
from shared.adapters.env_settings import ServiceSettings
from shared.adapters.kafka.admin import ensure_topics
from shared.adapters.kafka.producer import ProducerRecord, TransactionalProducer
from shared.adapters.schemas.klines import GapMessage, build_candle_message, encode_record
from shared.core.arrays import Float64s
from shared.core.errors import BadInput, Incompatible
from shared.core.sequence import OPEN, OPEN_TIME, SEQUENCE_COLUMNS
from shared.core.topics import interval_ms, partition_for
from shared.log.archive import Archive, TimeSpan
from shared.log.positions import producer_transactional_id, read_positions

_PLAIN: Final = 15  # digits and point of a number that needs no further check: less than 1e15
_NOTHING: Final = np.empty((0, SEQUENCE_COLUMNS))
_BATCH: Final = 5_000  # records of one transaction: it holds back every reader while it is open

Known = Mapping[str, Float64s]
"""By symbol: the part of its sequence in the log that the recordings overlap, (n, columns)."""


@dataclass(slots=True)
class Summary:
    """What an import did."""

    candles: int = 0
    gaps: int = 0
    already_there: int = 0
    symbols: set[str] = field(default_factory=set)


def import_command(
    context: typer.Context,
    paths: Annotated[list[Path], typer.Argument(help="Folders or files: CSV, ZIP or parquet.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Import recorded candles. Can be broken off and run again; stop the producer meanwhile."""
    settings = ServiceSettings.from_env(context.obj)
    started = time.monotonic()
    with Progress(console=Console(stderr=True)) as progress:
        task = progress.add_task("importing", total=None)
        done = import_recordings(settings, find(paths), lambda n: progress.advance(task, n))
    if as_json:
        print(json.dumps({**asdict(done), "symbols": len(done.symbols)}))
        return
    print(
        f"{done.candles} candles and {done.gaps} gaps of {len(done.symbols)} symbols imported"
        f" in {time.monotonic() - started:.0f} s; {done.already_there} candles were in the log already"
    )


def import_recordings(
    settings: ServiceSettings,
    recordings: Sequence[Recording],
    progress: Callable[[int], None] = lambda _: None,
) -> Summary:
    """Write the candles that the log lacks, merged over all symbols by time; a hole becomes a gap record.

    Raises:
        BadInput: a file is not what it should be, or contradicts the log; what came before it is in.
        Fenced: a producer, or another import, took over.
    """
    where, topics, step_ms = (
        settings.kafka_bootstrap_servers,
        settings.topics,
        interval_ms(settings.interval),
    )
    _check_interval(recordings, settings.interval, step_ms)
    ensure_topics(where, topics)
    sources = [source for recording in recordings for source in _by_symbol(recording)]
    symbols = {symbol for symbol, _ in sources}
    # The producer's own id: whoever starts later fences the other, so two never write at once.
    writer = TransactionalProducer(where, producer_transactional_id(topics))
    try:
        standing = read_positions(where, topics, settings.codec, symbols)
        rows = merge(*(_rows(blocks) for _, blocks in sources), key=_by_time)
        first = next(rows, None)
        if first is None:
            return Summary()
        known = _known(Archive(where, topics), standing, first.open_time_ms)
        importer = _Importer(settings, step_ms, standing, known)
        batch: list[ProducerRecord] = []
        for row in chain((first,), rows):
            batch += importer.records(row)
            if len(batch) >= _BATCH:
                writer.write(batch)
                progress(len(batch))
                batch = []
        if batch:
            writer.write(batch)
            progress(len(batch))
    finally:
        writer.close()
    return importer.done


class _Importer:
    """Decides what each row leads to."""

    def __init__(
        self, settings: ServiceSettings, step_ms: int, standing: Mapping[str, int], known: Known
    ) -> None:
        self._topics, self._step_ms, self._known = settings.topics, step_ms, known
        self._next_ms = dict(standing)
        self._in_log_before_ms = dict(standing)
        self._last: dict[str, CandleRow] = {}
        self._headers = [
            ("source", b"import"),
            ("arrival_ms", str(time.time_ns() // 1_000_000).encode()),
        ]
        self.done = Summary()

    def records(self, row: CandleRow) -> Iterator[ProducerRecord]:
        """Yield the records that a row leads to: none, a candle, or a gap and a candle.

        Raises:
            BadInput: it contradicts the log or an earlier row.
        """
        next_ms = self._next_ms.get(row.symbol)
        self.done.symbols.add(row.symbol)
        if next_ms is not None and row.open_time_ms < next_ms:
            self._check_known(row)
            self.done.already_there += 1
            return
        if next_ms is not None and row.open_time_ms > next_ms:
            self.done.gaps += 1
            yield self._outgoing(
                row.symbol, row.open_time_ms - 1, gap_bytes(row, next_ms, self._topics.interval)
            )
        self._next_ms[row.symbol] = row.open_time_ms + self._step_ms
        self._last[row.symbol] = row
        self.done.candles += 1
        close_ms = row.open_time_ms + self._step_ms - 1
        value = candle_bytes(row, self._topics.interval)
        if max(map(len, row[2:7])) > _PLAIN or row.volume.startswith("-"):
            self._check_as_a_reader(row)
        yield self._outgoing(row.symbol, close_ms, value)

    def _check_as_a_reader(self, row: CandleRow) -> None:
        """Refuse what the readers of the log would: after a dump's own checks, only a very long number or -0."""
        given = {name: value for name, value in row._asdict().items() if value is not None}
        try:
            build_candle_message(self._step_ms, interval=self._topics.interval, **given)
        except BadInput as error:
            place = f"candle of {row.symbol} at open time {row.open_time_ms} ms"
            raise BadInput(error.reason, f"{place}: {error}; correct it or leave it out") from error

    def _outgoing(self, symbol: str, time_ms: int, value: bytes) -> ProducerRecord:
        group = partition_for(symbol, self._topics.partitions)
        return ProducerRecord(
            self._topics.klines, group, symbol.encode(), value, time_ms, self._headers
        )

    def _check_known(self, row: CandleRow) -> None:
        place = f"candle of {row.symbol} at open time {row.open_time_ms} ms"
        if row.open_time_ms >= self._in_log_before_ms.get(row.symbol, 0):
            if row != self._last[row.symbol]:
                message = f"{place} comes twice with different values; leave one of the files out"
                raise BadInput("contradiction", message)
            return
        sequence = self._known.get(row.symbol, _NOTHING)
        if len(sequence) and row.open_time_ms < sequence[0, OPEN_TIME]:
            message = (
                f"{place} is older than the first one in the log ({int(sequence[0, OPEN_TIME])} ms); the log only grows"
                " at its end: import history into a new deployment (TOPIC_PREFIX) before anything else"
            )
            raise BadInput("older_than_the_log", message)
        at = int(np.searchsorted(sequence[:, OPEN_TIME], row.open_time_ms))
        if at == len(sequence) or sequence[at, OPEN_TIME] != row.open_time_ms:
            message = (
                f"{place} is in the file, and the log has a gap there; the log keeps what it has"
            )
            raise BadInput("contradiction", message)
        ours, theirs = sequence[at, OPEN:].tolist(), [float(text) for text in row[2:7]]
        if ours != theirs:
            message = f"{place} has {theirs} in the file and {ours} in the log (open, high, low, close, volume)"
            raise BadInput("contradiction", message)


def candle_bytes(row: CandleRow, interval: str) -> bytes:
    """Return the canonical bytes of a checked row's record, as encode_record gives them, without building a model."""
    optional = (
        ("quote_volume", _quoted(row.quote_volume)),
        ("taker_buy_quote_volume", _quoted(row.taker_buy_quote_volume)),
        ("taker_buy_volume", _quoted(row.taker_buy_volume)),
        ("trades", None if row.trades is None else str(row.trades)),
    )
    quote, taker_quote, taker, trades = (
        f'"{name}":{text},' if text is not None else "" for name, text in optional
    )
    return (
        f'{{"close":"{row.close}","high":"{row.high}","interval":"{interval}","low":"{row.low}","open":"{row.open}",'
        f'"open_time_ms":{row.open_time_ms},{quote}"schema":1,"symbol":"{row.symbol}",{taker_quote}{taker}{trades}'
        f'"type":"candle","volume":"{row.volume}"}}'
    ).encode()


def gap_bytes(row: CandleRow, next_ms: int, interval: str) -> bytes:
    """Return the bytes of the gap before a row."""
    gap = GapMessage(
        type="gap",
        symbol=row.symbol,
        interval=interval,
        from_open_time_ms=next_ms,
        until_open_time_ms=row.open_time_ms,
    )
    return encode_record(gap)


def _known(archive: Archive, standing: Mapping[str, int], from_ms: int) -> Known:
    """Return what the log has from a time on, where it has anything."""
    overlapping = [symbol for symbol, next_ms in standing.items() if next_ms > from_ms]
    return archive.read(TimeSpan(from_ms=from_ms), overlapping).sequences if overlapping else {}


def _quoted(text: str | None) -> str | None:
    return None if text is None else f'"{text}"'


def _by_time(row: CandleRow) -> tuple[int, str]:
    return row.open_time_ms, row.symbol


def _rows(blocks: Iterable[Block]) -> Iterator[CandleRow]:
    return chain.from_iterable(block.rows() for block in blocks)


def _by_symbol(recording: Recording) -> Iterator[tuple[str, Iterable[Block]]]:
    """Yield the symbols of a recording with their blocks; a file of many symbols is held in memory as arrays."""
    if recording.symbol is not None:
        yield recording.symbol, read_blocks(recording)
        return
    blocks: dict[str, list[Block]] = {}
    for block in read_blocks(recording):
        blocks.setdefault(block.symbol, []).append(block)
    yield from blocks.items()


def _check_interval(recordings: Sequence[Recording], interval: str, step_ms: int) -> None:
    if not recordings:
        message = "the paths hold no recordings (.csv, .zip or .parquet)"
        raise BadInput("no_file", message)
    for recording in recordings:
        if recording.interval_ms != step_ms:
            message = (
                f"{recording.path} has candles of {recording.interval_ms} ms, this deployment follows {interval}"
                f" ({step_ms} ms): leave it out or set INTERVAL"
            )
            raise Incompatible(message)
