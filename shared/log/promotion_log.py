"""The promotions among the candles of `klines`."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Final

from shared.adapters.kafka.backwards_reader import read_backwards
from shared.adapters.kafka.connection import KafkaConnection
from shared.adapters.kafka.producer import ProducerRecord
from shared.adapters.kafka.reader import ConsumerRecord, Reader
from shared.adapters.schemas.kline_messages import PromotionMessage
from shared.adapters.schemas.klines import KlineCodec, encode_record
from shared.adapters.schemas.predictions import decode_prediction
from shared.core.errors import BadInput, Unknown
from shared.core.model.card import Bundle
from shared.core.online.prediction import Prediction
from shared.core.records import Promotion
from shared.core.topics import Topics, interval_ms

_FIRST_BLOCK: Final = 500


IsUsable = Callable[[str, str], bool]
"""(version, SHA-256 of its bundle in the promotion) -> whether that bundle is there and sound."""


@dataclass(frozen=True, slots=True)
class PromotionRecord:
    """A promotion with its partition and offset in `klines`."""

    partition: int
    offset: int
    promotion: Promotion


class PromotionLog:
    """Reads promotions. Connects for each call, so no connection is open between calls."""

    def __init__(self, kafka: KafkaConnection, topics: Topics, is_usable: IsUsable) -> None:
        """Take Kafka's address and the deployment's topics; connect on first use.

        Args:
            kafka: how it is reached.
            topics: of the deployment.
            is_usable: tells which promotions take effect; predictors reject the others.
        """
        self._kafka, self._topics, self._is_usable = kafka, topics, is_usable
        self._codec = KlineCodec(topics.interval, interval_ms(topics.interval), topics.partitions)

    def current(self, partition: int = 0) -> PromotionRecord | None:
        """Return the last promotion of a partition that took effect, or None without one."""
        return self._current_by_prediction(partition) or next(self._effective(partition), None)

    def previous_version(self) -> str:
        """Return the version that predicted before the current one.

        Raises:
            Unknown: there is none.
        """
        versions = (record.promotion.model_version for record in self._effective(0))
        current = next(versions, None)
        for version in versions:
            if version != current:
                return version
        raise Unknown(
            "no other version was promoted before the current one;"
            " choose one of `ulstm models list`"
        )

    def history(self, partition: int) -> Iterator[PromotionRecord]:
        """Yield the promotions of a partition, the newest first."""
        with Reader(self._kafka, self._topics.klines) as reader:
            for span in read_backwards(reader, partition, _FIRST_BLOCK):
                yield from reversed(self._promotions_among(span))

    def _effective(self, partition: int) -> Iterator[PromotionRecord]:
        return filter(self._takes_effect, self.history(partition))

    def _takes_effect(self, record: PromotionRecord) -> bool:
        return self._is_usable(record.promotion.model_version, record.promotion.bundle_sha256)

    def end(self) -> int:
        """Return the offset after the last record of the first partition."""
        with Reader(self._kafka, self._topics.klines) as reader:
            return reader.ends(0)[1]

    def since(self, offset: int) -> list[PromotionRecord]:
        """Return the promotions of the first partition from an offset on."""
        with Reader(self._kafka, self._topics.klines) as reader:
            return self._promotions_between(reader, 0, offset, reader.ends(0)[1])

    def to_records(
        self, bundle: Bundle, numeric_profile: str, timestamp_ms: int
    ) -> list[ProducerRecord]:
        """Return the records that promote a bundle, one for each partition."""
        message = PromotionMessage(
            type="promotion",
            model_version=bundle.version,
            bundle_sha256=bundle.sha256,
            numeric_profile=numeric_profile,
        )
        value = encode_record(message)
        return [
            ProducerRecord(self._topics.klines, partition, b"promotion", value, timestamp_ms)
            for partition in range(self._topics.partitions)
        ]

    def _current_by_prediction(self, partition: int) -> PromotionRecord | None:
        """Return the last promotion as the newest prediction and the records after it tell it.

        A prediction names its promotion, so a long log with few promotions need not be searched
        to its beginning. None: the predictions tell nothing.
        """
        newest = self._newest_prediction(partition)
        if newest is None:
            return None
        start = newest.promotion_offset
        with Reader(self._kafka, self._topics.klines) as reader:
            end = reader.ends(partition)[1]
            later = self._promotions_between(reader, partition, newest.source_offset + 1, end)
            named = self._promotions_between(reader, partition, start, start + 1)
        effective = filter(self._takes_effect, reversed([*named, *later]))
        return next(effective, None)

    def _newest_prediction(self, partition: int) -> Prediction | None:
        with Reader(self._kafka, self._topics.predictions) as reader:
            if not reader.partitions():
                return None
            first, end = reader.ends(partition)
            blocks = reader.read(partition, max(first, end - _FIRST_BLOCK), end)
            values = [record.value for block in blocks for record in block]
        try:
            return decode_prediction(values[-1]) if values else None
        except BadInput:
            return None

    def _promotions_between(
        self, reader: Reader, partition: int, start: int, end: int
    ) -> list[PromotionRecord]:
        return self._promotions_among(chain.from_iterable(reader.read(partition, start, end)))

    def _promotions_among(self, records: Iterable[ConsumerRecord]) -> list[PromotionRecord]:
        return [found for found in map(self.decode, records) if found is not None]

    def decode(self, record: ConsumerRecord) -> PromotionRecord | None:
        """Return the promotion that a record of `klines` is, or None."""
        value = record.value
        # Candles are many, so only JSON with the word, or an escape that may hide it, is decoded.
        if value is None or (b"promotion" not in value and b"\\" not in value):
            return None
        try:
            decoded = self._codec.decode(value, record.partition)
        except BadInput:
            return None
        if not isinstance(decoded, Promotion):
            return None
        return PromotionRecord(record.partition, record.offset, decoded)
