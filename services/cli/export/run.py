"""Run an export: from the records of a topic to the rows of a file."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import pyarrow as pa

from services.cli.export.figures import ExportFigures
from services.cli.export.selection import SelectedRecords, Selection
from services.cli.export.table_file import TableRow, open_table
from shared.adapters.env_settings import ServiceSettings
from shared.adapters.kafka.reader import ConsumerRecord, Reader
from shared.core.errors import Unknown
from shared.log.klines_reader import KlinesReader
from shared.log.predictions_reader import PredictionsReader
from shared.reporting.progress import track_count


class Export(Protocol):
    """What is exported."""

    topic: str
    figures: ExportFigures

    @property
    def columns(self) -> pa.Schema:
        """The columns of a row."""

    @property
    def passes(self) -> int:
        """How often the topic is read."""

    def last_timestamp_ms(self, stop_ms: int) -> int:
        """Return the newest timestamp of interest for open times before `stop_ms`."""

    def rows(self, read: Callable[[], Iterator[ConsumerRecord]]) -> Iterator[TableRow]:
        """Yield the rows; `read` reads the topic once."""


def run_export(
    export: Export, settings: ServiceSettings, selection: Selection, out: Path
) -> ExportFigures:
    """Write the selected rows to a file; return the counts of rows written and skipped.

    Raises:
        Unknown: there is nothing to write.
        Unavailable: Kafka stops answering.
        BadSetting: the file cannot be written.
    """
    with _open_reader(settings, export.topic) as reader:
        last_ms = export.last_timestamp_ms(selection.open_times_ms.stop)
        records = SelectedRecords(reader, selection, settings.symbol_groups, last_ms)
        with (
            track_count(f"reading {export.topic}", records.count * export.passes) as advance,
            open_table(out, export.columns) as table,
        ):
            for row in export.rows(lambda: records.read(advance)):
                if selection.wants(row.symbol, row.open_time_ms):
                    export.figures.add(row.symbol, row.open_time_ms)
                    table.append(row.values)
            if not export.figures.rows:
                raise Unknown(
                    f"nothing of {export.topic} is in the span and of the symbols asked for;"
                    " leave out --from, --to or --symbols to see what there is"
                )
    return export.figures


def _open_reader(settings: ServiceSettings, topic: str) -> Reader:
    """Return a reader of a topic that finds times in it."""
    kafka, topics = settings.kafka, settings.topics
    is_klines = topic == topics.klines
    return KlinesReader(kafka, topics) if is_klines else PredictionsReader(kafka, topics)
