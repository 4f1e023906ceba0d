"""Export predictions with their outcomes."""

from collections.abc import Callable, Iterator
from typing import Final

from services.cli.export.columns import PREDICTION_COLUMNS, prediction_row
from services.cli.export.figures import ExportFigures
from services.cli.export.outcome_join import OutcomeJoin, ScoredPrediction
from services.cli.export.table_file import TableRow
from shared.adapters.env_settings import ServiceSettings
from shared.adapters.kafka.reader import ConsumerRecord
from shared.adapters.schemas.prediction_messages import PredictionMessage
from shared.adapters.schemas.predictions import parse_prediction
from shared.core.errors import BadInput
from shared.core.topics import interval_ms, partition_for


class PredictionExport:
    """Reads the predictions topic once."""

    columns: Final = PREDICTION_COLUMNS
    passes: Final = 1

    def __init__(self, settings: ServiceSettings) -> None:
        """Take the settings of the deployment."""
        self._settings, self.topic = settings, settings.topics.predictions
        self.figures = ExportFigures()

    def last_timestamp_ms(self, stop_ms: int) -> int:
        """Return the timestamp of the last record of interest: it tells the last outcome."""
        return stop_ms

    def rows(self, read: Callable[[], Iterator[ConsumerRecord]]) -> Iterator[TableRow]:
        """Yield each prediction, once its outcome is known or cannot be."""
        join = OutcomeJoin(interval_ms(self._settings.interval))
        for partition, prediction in self._predictions(read()):
            scored = join.add(partition, prediction)
            if scored is not None:
                yield _to_row(scored)
        yield from map(_to_row, join.flush())
        self.figures.out_of_order = join.out_of_order

    def _predictions(
        self, records: Iterator[ConsumerRecord]
    ) -> Iterator[tuple[int, PredictionMessage]]:
        for record in records:
            try:
                prediction = parse_prediction(record.value)
                self._check_place(record, prediction.symbol)
            except BadInput as error:
                self.figures.unreadable.add(self.topic, record, error)
            else:
                yield record.partition, prediction

    def _check_place(self, record: ConsumerRecord, symbol: str) -> None:
        right = partition_for(symbol, self._settings.symbol_groups)
        if record.key != symbol.encode() or record.partition != right:
            text = f"a prediction of {symbol} belongs under its key into partition {right}"
            raise BadInput("wrong_key", text)


def _to_row(scored: ScoredPrediction) -> TableRow:
    one = scored.prediction
    return TableRow(one.symbol, one.open_time_ms, prediction_row(scored))
