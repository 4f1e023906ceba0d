"""An import: inspect the files, compare them with the log, append the missing candles."""

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

from services.cli.candle_import.file_comparison import leave_out_contradictions
from services.cli.candle_import.file_selection import FileSelection
from services.cli.candle_import.importer import CandleImporter, ImportSummary
from services.cli.candle_import.log_comparison import compare_with_log
from services.cli.candle_import.log_contents import read_log_contents
from services.cli.candle_import.market_history import MarketHistory
from services.cli.candle_import.time_blocks import TimeBlock, read_time_blocks
from shared.adapters.env_settings import ServiceSettings
from shared.adapters.kafka.admin import ensure_topics
from shared.adapters.kafka.producer import ProducerRecord
from shared.adapters.recording import Recording, SkippedFile
from shared.adapters.schemas.klines import encode_market
from shared.adapters.spool import Spool
from shared.core.errors import Incompatible
from shared.core.topics import interval_ms
from shared.log.basket_store import BasketStore
from shared.log.kline_writer import KlineWriter
from shared.log.positions import read_symbol_positions

_BATCH: Final = 5_000  # records of one transaction: it holds back every reader while it is open


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """Options of an import: files that must fit, amendments, reports of its progress.

    Attributes:
        required: files that must not be left out; None: all.
        amend: write amendments where the log has other values.
        on_file: takes each file when it is inspected.
        on_records: takes the number of records of each transaction.
        batch_size: records of a transaction.
    """

    required: Collection[Path] | None = None
    amend: bool = False
    on_file: Callable[[Path], None] = lambda _: None
    on_records: Callable[[int], None] = lambda _: None
    batch_size: int = _BATCH


def import_recordings(
    settings: ServiceSettings,
    recordings: Sequence[Recording],
    options: ImportOptions = ImportOptions(),
) -> tuple[ImportSummary, FileSelection]:
    """Write the candles that the log lacks, merged over all symbols by time; holes become gaps.

    Each has the market's move of its interval: of the changes of all symbols in the recordings and
    in the log, from close to close. A candle within a gap of the log becomes a fill.

    Returns:
        What was written, and which files and rows were not.

    Raises:
        BadInput: a required file is damaged, or contradicts another file or the log: nothing was
            written.
        Incompatible: a required file has another interval than the deployment.
        BadSetting: the disk of temporary files is full.
        Fenced: a producer, or another import, took over; earlier transactions stay in the log.
    """
    required = options.required
    selection = FileSelection(
        {recording.path for recording in recordings} if required is None else required
    )
    with Spool() as spool:
        # 1. Read each file once: none is written in part.
        fitting = _of_interval(recordings, settings.interval, selection)
        for inspected in selection.inspect(fitting, spool):
            options.on_file(inspected.path)
        leave_out_contradictions(selection, interval_ms(settings.interval))
        summary = _write(settings, selection, spool, options) if selection.files else None
    return summary or ImportSummary(), selection


def _write(
    settings: ServiceSettings, selection: FileSelection, spool: Spool, options: ImportOptions
) -> ImportSummary:
    """Append the candles of the selected files that the log lacks."""
    kafka, topics = settings.kafka, settings.topics
    ensure_topics(kafka, topics)
    # 2. Take the producer's transactional id: it fences a running producer, so that no other
    #    writer can append from here on.
    with closing(KlineWriter(kafka, topics)) as writer:
        records, importer = _prepare(settings, selection, spool, amend=options.amend)
        # 5. Append in order of time. Every transaction leaves a log without a hole, so an import
        #    that is interrupted continues where it was.
        while batch := list(islice(records, options.batch_size)):
            writer.write(batch)
            options.on_records(len(batch))
    return importer.summary


def _prepare(
    settings: ServiceSettings, selection: FileSelection, spool: Spool, *, amend: bool
) -> tuple[Iterator[ProducerRecord], CandleImporter]:
    """Compare the files with the log; return the records to write, and their importer."""
    kafka, topics = settings.kafka, settings.topics
    # 3. Read where each symbol's log ends: a row before that is compared, not written.
    positions = read_symbol_positions(kafka, topics, settings.codec, selection.symbols)
    log_ends_ms = {symbol: each.next_open_time_ms for symbol, each in positions.items()}
    from_ms = min(file.first_ms for file in selection.files)
    contents = read_log_contents(kafka, topics, log_ends_ms, from_ms, spool)
    # 4. Compare the files with the log before anything is written.
    corrections = compare_with_log(selection, contents.symbols, log_ends_ms, amend=amend)
    importer = CandleImporter(topics, positions, corrections, time.time_ns() // 1_000_000)
    step_ms, baskets = interval_ms(settings.interval), BasketStore(kafka, topics).newest()
    market = MarketHistory(selection.symbols, baskets, contents.market, step_ms)
    blocks = read_time_blocks(selection.readers(), step_ms)
    return (record for block in blocks for record in _records(block, market, importer)), importer


def _records(
    block: TimeBlock, market: MarketHistory, importer: CandleImporter
) -> Iterator[ProducerRecord]:
    texts = {
        time_ms: f'"market":{encode_market(move)},'
        for time_ms, move in market.measure(block).items()
    }
    for row in block.rows(importer.skip_known):
        yield from importer.records(row, texts.get(row.open_time_ms, ""))


def _of_interval(
    recordings: Sequence[Recording], interval: str, selection: FileSelection
) -> list[Recording]:
    """Leave out recordings of other intervals.

    Raises:
        Incompatible: a required one has another interval.
    """
    step_ms, fitting = interval_ms(interval), list[Recording]()
    for recording in recordings:
        if recording.interval_ms == step_ms:
            fitting.append(recording)
            continue
        message = (
            f"{recording.path} has candles of {recording.interval_ms} ms, this deployment follows"
            f" {interval} ({step_ms} ms): leave it out or set INTERVAL"
        )
        if recording.path in selection.required:
            raise Incompatible(message)
        selection.left_out.append(SkippedFile(recording.path, "other_interval", message))
    return fitting
