"""`ulstm import`: write recorded candles to the log, exactly once."""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.progress import Progress

from services.cli.candle_import.importer import CandleImporter, ImportSummary
from services.cli.candle_import.log_contents import read_log_contents
from services.cli.candle_import.market_history import MarketHistory
from services.cli.candle_import.time_blocks import TimeBlock, open_readers, read_time_blocks
from services.cli.cli_options import AsJson
from services.cli.terminal import print_warning
from shared.adapters.candle_files import find_recordings
from shared.adapters.env_settings import ServiceSettings
from shared.adapters.kafka.admin import ensure_topics
from shared.adapters.kafka.producer import ProducerRecord, TransactionalProducer
from shared.adapters.recording import Recording
from shared.adapters.schemas.klines import encode_market
from shared.core.errors import BadInput, Incompatible
from shared.core.topics import interval_ms
from shared.log.basket_store import BasketStore
from shared.log.positions import producer_transactional_id, read_positions

_BATCH: Final = 5_000  # records of one transaction: it holds back every reader while it is open


def import_command(
    context: typer.Context,
    paths: Annotated[list[Path], typer.Argument(help="Folders or files: CSV, ZIP or Parquet.")],
    as_json: AsJson = False,
) -> None:
    """Import recorded candles. Stop the producer first. An interrupted import can be run again."""
    settings, console = ServiceSettings.from_env(context.obj), Console(stderr=True)
    started = time.monotonic()

    def on_skip(reason: str) -> None:
        print_warning(console, f"left out: {reason}")

    recordings = _of_interval(find_recordings(paths, on_skip), settings.interval, on_skip)
    with Progress(console=console) as progress:
        task = progress.add_task("importing", total=None)
        summary = import_recordings(settings, recordings, lambda n: progress.advance(task, n))
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
    batch_size: int = _BATCH,
) -> ImportSummary:
    """Write the candles that the log lacks, merged over all symbols by time; holes become gaps.

    Each has the market's move of its interval: of the changes of all symbols in the recordings and
    in the log, from close to close.

    Args:
        settings: of the deployment.
        recordings: the files.
        report_progress: takes the number of records of each transaction.
        batch_size: records of a transaction.

    Raises:
        BadInput: a file is damaged or contradicts the log; earlier transactions stay in the log.
        Incompatible: a file has another interval than the deployment.
        Fenced: a producer, or another import, took over.
    """
    where, topics = settings.kafka_bootstrap_servers, settings.topics
    _check_interval(recordings, settings.interval)
    ensure_topics(where, topics)
    readers = open_readers(recordings)
    symbols = {reader.symbol for reader in readers}
    if not readers:
        return ImportSummary()
    # 1. Take the producer's transactional id: it fences a running producer, so that no other
    #    writer can append from here on.
    with closing(TransactionalProducer(where, producer_transactional_id(topics))) as writer:
        # 2. Read where each symbol's log ends: a row before that is compared, not written.
        next_ms = read_positions(where, topics, settings.codec, symbols)
        from_ms = min(reader.next_ms or 0 for reader in readers)
        contents = read_log_contents(where, topics, next_ms, from_ms)
        importer = CandleImporter(topics, next_ms, contents.candles, time.time_ns() // 1_000_000)
        baskets = BasketStore(where, topics).newest()
        market = MarketHistory(symbols, baskets, contents.market, interval_ms(settings.interval))
        # 3. Append in order of time. Every transaction leaves a log without a hole, so an import
        #    that is interrupted continues where it was.
        blocks = read_time_blocks(readers, interval_ms(settings.interval))
        records = (record for block in blocks for record in _records(block, market, importer))
        while batch := list(islice(records, batch_size)):
            writer.write(batch)
            report_progress(len(batch))
    return importer.summary


def _records(
    block: TimeBlock, market: MarketHistory, importer: CandleImporter
) -> Iterator[ProducerRecord]:
    texts = {
        time_ms: f'"market":{encode_market(move)},'
        for time_ms, move in market.measure(block).items()
    }
    for row in block.rows():
        try:
            yield from importer.records(row, texts.get(row.open_time_ms, ""))
        except BadInput as error:
            raise BadInput(error.reason, f"{error}: {block.describe(row)}") from error


def _of_interval(
    recordings: Sequence[Recording], interval: str, on_skip: Callable[[str], None]
) -> Sequence[Recording]:
    """Leave out recordings of other intervals, unless all are."""
    step_ms = interval_ms(interval)
    chosen = [recording for recording in recordings if recording.interval_ms == step_ms]
    for recording in recordings if chosen else ():
        if recording.interval_ms != step_ms:
            on_skip(f"{recording.path} has candles of another interval than {interval}")
    return chosen or recordings


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
