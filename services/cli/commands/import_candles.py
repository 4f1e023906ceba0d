"""`ulstm import`: write recorded candles to the log, exactly once."""

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from heapq import merge
from itertools import chain, islice
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.progress import Progress

from services.cli.candle_importer import CandleImporter, ImportSummary
from shared.adapters.candle_files import find_recordings, read_blocks
from shared.adapters.env_settings import ServiceSettings
from shared.adapters.kafka.admin import ensure_topics
from shared.adapters.kafka.producer import TransactionalProducer
from shared.adapters.recording import Block, CandleRow, Recording
from shared.core.arrays import Float64s
from shared.core.errors import BadInput, Incompatible
from shared.core.topics import interval_ms
from shared.log.archive import Archive, TimeSpan
from shared.log.positions import producer_transactional_id, read_positions

_BATCH: Final = 5_000  # records of one transaction: it holds back every reader while it is open


def import_command(
    context: typer.Context,
    paths: Annotated[list[Path], typer.Argument(help="Folders or files: CSV, ZIP or Parquet.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
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
    writer = TransactionalProducer(where, producer_transactional_id(topics))
    try:
        # 2. Read where each symbol's log ends: a row before that is compared, not written.
        next_ms = read_positions(where, topics, settings.codec, {symbol for symbol, _ in sources})
        rows = merge(*(_rows(blocks) for _, blocks in sources), key=_by_time)
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
    finally:
        writer.close()
    return importer.summary


def _check_interval(recordings: Sequence[Recording], interval: str) -> None:
    step_ms = interval_ms(interval)
    if not recordings:
        message = "the paths hold no recordings (.csv, .zip or .parquet)"
        raise BadInput("no_file", message)
    for recording in recordings:
        if recording.interval_ms != step_ms:
            message = (
                f"{recording.path} has candles of {recording.interval_ms} ms, this deployment"
                f" follows {interval} ({step_ms} ms): leave it out or set INTERVAL"
            )
            raise Incompatible(message)


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


def _rows(blocks: Iterable[Block]) -> Iterator[CandleRow]:
    return chain.from_iterable(block.rows() for block in blocks)


def _by_time(row: CandleRow) -> tuple[int, str]:
    return row.open_time_ms, row.symbol


def _read_overlap(
    archive: Archive, next_ms: Mapping[str, int], from_ms: int
) -> Mapping[str, Float64s]:
    """Return the log's candles from a time on, of the symbols that have any."""
    symbols = [symbol for symbol, ends_ms in next_ms.items() if ends_ms > from_ms]
    return archive.read(TimeSpan(from_ms=from_ms), symbols).sequences if symbols else {}
