"""Records of the followed topics on their way to the board; what is foreign is counted."""

from collections import Counter
from collections.abc import Iterable, Mapping

from services.dashboard.live.arrival import Arrival
from services.dashboard.live.board import LiveBoard
from shared.adapters.kafka.reader import ConsumerRecord
from shared.adapters.kafka.tail import TailRecord
from shared.adapters.schemas.dead_letters import decode_dead_letter
from shared.adapters.schemas.forecasts import decode_forecast
from shared.adapters.schemas.klines import KlineCodec
from shared.adapters.schemas.predictions import decode_prediction
from shared.core.errors import BadInput
from shared.core.online.prediction import Prediction
from shared.core.records import Candle, Record, symbol_of
from shared.core.topics import Topics

Decoded = Record | Prediction


class TopicFeed:
    """Decodes records and adds them to the board; keeps those of watched symbols for a while."""

    def __init__(self, board: LiveBoard, topics: Topics, codec: KlineCodec) -> None:
        """Take the board to fill and the topics of the deployment."""
        self.board, self._topics, self._codec = board, topics, codec
        self.records_read: Counter[str] = Counter()  # by topic
        self.lag: Mapping[str, int] = {}  # records that are still to be read, by topic
        self.watched: frozenset[str] = frozenset()
        self._kinds = {
            topics.klines: "klines",
            topics.predictions: "predictions",
            topics.dead_letters: "dead_letters",
        }
        self._watched_records: dict[str, list[Decoded]] = {}

    def add(self, records: Iterable[TailRecord], read_ms: float | None) -> None:
        """Add records of any followed topic.

        Args:
            records: in the order in which they were read.
            read_ms: wall time at which they could be read; None: they were there before us.
        """
        for topic, record in records:
            try:
                self._add(topic, record, read_ms)
            except BadInput as error:
                self._count(topic, record, error)

    def add_older(self, topic: str, records: Iterable[ConsumerRecord]) -> int | None:
        """Add records that come before all that were added, the newest first.

        Returns:
            The newest open time among them; None if none has one.
        """
        times_ms = [self._try_older(topic, record) for record in records]
        return max((time_ms for time_ms in times_ms if time_ms is not None), default=None)

    def count_read(self, records: Iterable[TailRecord]) -> None:
        """Count records by their topic."""
        self.records_read.update(self._kinds[topic] for topic, _ in records)

    def set_lag(self, lag: Mapping[str, int]) -> None:
        """Note how many records of each topic are still to be read."""
        self.lag = {self._kinds[topic]: records for topic, records in lag.items()}

    def take_watched_records(self) -> dict[str, list[Decoded]]:
        """Return the new records of watched symbols since the last call."""
        records, self._watched_records = self._watched_records, {}
        return records

    def _add(self, topic: str, record: ConsumerRecord, read_ms: float | None) -> None:
        headers = record.headers or {}
        if topic == self._topics.predictions:
            prediction = decode_prediction(record.value)
            self.board.add_prediction(prediction, read_ms)
            self._keep(prediction.symbol, prediction, read_ms)
        elif topic == self._topics.klines:
            value = self._codec.decode(record.value, record.partition)
            self.board.add_kline(value, Arrival(record.partition, record.offset, headers, read_ms))
            symbol = symbol_of(value)
            if symbol is not None:
                self._keep(symbol, value, read_ms)
        else:
            letter = decode_dead_letter(headers, record.key, record.value)
            self.board.add_dead_letter(letter.reason)

    def _try_older(self, topic: str, record: ConsumerRecord) -> int | None:
        try:
            return self._add_older(topic, record)
        except BadInput as error:
            self._count(topic, record, error)
            return None

    def _add_older(self, topic: str, record: ConsumerRecord) -> int | None:
        """Add a record; return its open time."""
        if topic == self._topics.predictions:
            return self._add_older_prediction(record)
        value = self._codec.decode(record.value, record.partition)
        headers = record.headers or {}
        arrival = Arrival(record.partition, record.offset, headers, is_older=True)
        self.board.add_kline(value, arrival)
        return value.open_time_ms if isinstance(value, Candle) else None

    def _add_older_prediction(self, record: ConsumerRecord) -> int:
        """Add a prediction; most of them are only scored, so most of them is not decoded."""
        forecast = decode_forecast(record.value)
        if self.board.wants_prediction(forecast.symbol):
            self.board.add_prediction(decode_prediction(record.value), None)
        else:
            self.board.add_older_forecast(forecast)
        return forecast.open_time_ms

    def _count(self, topic: str, record: ConsumerRecord, error: BadInput) -> None:
        place = f"{topic}, partition {record.partition}, offset {record.offset}"
        self.board.add_unreadable(self._kinds[topic], f"{place}: {error.reason}: {error}")

    def _keep(self, symbol: str, value: Decoded, read_ms: float | None) -> None:
        if read_ms is not None and symbol in self.watched:
            self._watched_records.setdefault(symbol, []).append(value)
