"""Export candles with their last values."""

from collections.abc import Callable, Iterator
from typing import Final

from services.cli.export.candle_merge import CandleMerge, LogCorrections, MergedCandle
from services.cli.export.columns import CANDLE_COLUMNS, candle_row
from services.cli.export.figures import ExportFigures
from services.cli.export.table_file import TableRow
from shared.adapters.env_settings import ServiceSettings
from shared.adapters.kafka.reader import ConsumerRecord
from shared.core.errors import BadInput
from shared.core.records import Amendment, Candle, Fill, Record
from shared.core.topics import interval_ms

_CANDLE: Final = b'"type":"candle"'


class CandleExport:
    """Reads the klines topic twice: corrections lie behind the candles that they correct."""

    columns: Final = CANDLE_COLUMNS
    passes: Final = 2

    def __init__(self, settings: ServiceSettings) -> None:
        """Take the settings of the deployment."""
        self._codec, self.topic = settings.codec, settings.topics.klines
        self._interval_ms = interval_ms(settings.interval)
        self.figures = ExportFigures()

    def last_timestamp_ms(self, stop_ms: int) -> int:
        """Return the timestamp of the last record of interest: a candle's is that of its end."""
        return stop_ms + self._interval_ms - 1

    def rows(self, read: Callable[[], Iterator[ConsumerRecord]]) -> Iterator[TableRow]:
        """Yield each candle: first all corrections are read, then the candles."""
        corrections = LogCorrections()
        for record in read():
            if not _is_candle(record):
                self._add_correction(record, corrections)
        merge = CandleMerge(corrections)
        for record in filter(_is_candle, read()):
            found = self._decode(record)
            if isinstance(found, Candle):
                yield from map(_to_row, merge.add(record.offset, found))
        yield from map(_to_row, merge.flush())
        self.figures.out_of_order = merge.out_of_order

    def _add_correction(self, record: ConsumerRecord, corrections: LogCorrections) -> None:
        found = self._decode(record)
        if isinstance(found, Amendment | Fill):
            corrections.add(record.offset, found)

    def _decode(self, record: ConsumerRecord) -> Record | None:
        try:
            return self._codec.decode(record.value, record.partition)
        except BadInput as error:
            self.figures.unreadable.add(self.topic, record, error)
            return None


def _is_candle(record: ConsumerRecord) -> bool:
    """Return whether canonical bytes are those of a candle, without decoding them.

    Of other bytes either answer will do as long as it is the same each time.
    """
    return _CANDLE in (record.value or b"")


def _to_row(corrected: MergedCandle) -> TableRow:
    one = corrected.candle
    return TableRow(one.symbol, one.open_time_ms, candle_row(corrected))
