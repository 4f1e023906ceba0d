"""The registry in the log: bundles on `models`, promotions among the candles of `klines`."""

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Final

from shared.adapters.bundle_codec import decode_bundle
from shared.adapters.kafka.backwards_reader import read_backwards
from shared.adapters.kafka.errors import Aborted, OutcomeUnknown
from shared.adapters.kafka.producer import ProducerRecord, TransactionalProducer
from shared.adapters.kafka.reader import ConsumerRecord, Reader
from shared.adapters.retry import wait_until
from shared.adapters.schemas import KlineCodec, PromotionMessage, decode_prediction, encode_record
from shared.core.errors import BadInput, Incompatible, Unavailable, Unknown
from shared.core.model.card import Bundle, sha256_hex
from shared.core.model.numeric_profile import self_test
from shared.core.records import Promotion
from shared.core.topics import Topics, interval_ms

log = logging.getLogger("ulstm")

_MODELS_GROUP: Final = 0  # `models` has one partition
_VISIBLE_S: Final = 10.0
_FIRST_BLOCK: Final = 500


@dataclass(frozen=True, slots=True)
class PromotionRecord:
    """A promotion and its place in the log."""

    group: int
    offset: int
    promotion: Promotion


class ModelRegistry:
    """Model versions and their promotions. Connects for each call, so it holds nothing between calls."""

    def __init__(
        self, bootstrap: str, topics: Topics, profile: Callable[[], str] = self_test
    ) -> None:
        """Take where the log is; connects on first use.

        Args:
            bootstrap: Kafka's address.
            topics: the deployment's topics.
            profile: tells, when something is promoted, the numeric profile that is to predict with it: this version's.
        """
        self._bootstrap, self._topics, self._profile = bootstrap, topics, profile
        self._codec = KlineCodec(topics.interval, interval_ms(topics.interval), topics.partitions)
        self._places: dict[
            str, int
        ] = {}  # offset in `models` by version: the first record of a version counts
        self._next = 0

    def versions(self) -> list[str]:
        """Return the model versions in the order of their publication."""
        with Reader(self._bootstrap, self._topics.models) as reader:
            self._look_further(reader)
        return list(self._places)

    def bundles(self) -> Iterator[Bundle]:
        """Yield the bundles in the order of their publication; one that does not decode is logged and left out."""
        for version in self.versions():
            try:
                yield self.load(version)
            except BadInput as error:
                log.warning("%s", error)

    def load(self, version: str) -> Bundle:
        """Return the bundle of a version.

        Raises:
            Unknown: the log has none of this version.
            BadInput: its bytes are no usable bundle.
        """
        return decode_bundle(version, self._bytes_of(version))

    def release(self, data: bytes, version: str, timestamp_ms: int, *, promote: bool) -> None:
        """Publish a bundle and, if wanted, its promotion in every symbol group: one transaction.

        A version that is in the log already with the same bytes is not written again.

        Args:
            data: the bundle's bytes.
            version: its version.
            timestamp_ms: of the records: the time of the last candle considered.
            promote: False publishes the bundle alone.

        Raises:
            BadInput: the bytes are no usable bundle.
            Incompatible: the version is in the log with other bytes, or this machine must not predict.
            Unavailable: Kafka did not take it; nothing was changed.
        """
        bundle = decode_bundle(version, data)
        records = []
        if not self._is_published(version, bundle.sha256):
            records.append(self._model_record(data, version, timestamp_ms))
        if promote:
            records += self._promotions(bundle, timestamp_ms)
        if records:
            self._write(records, bundle, promote=promote)

    def promote(self, version: str) -> None:
        """Promote a version that is in the log, in every symbol group.

        Raises:
            Unknown: the log has none of this version.
            BadInput: its bytes are no usable bundle.
            Incompatible: this machine must not predict.
            Unavailable: Kafka did not take it; nothing was changed.
        """
        bundle = self.load(version)
        records = self._promotions(bundle, bundle.card.trained_through_ms)
        self._write(records, bundle, promote=True)

    def rollback(self) -> str:
        """Promote the version that was promoted before the current one; return it.

        Raises:
            Unknown: there is none.
        """
        version = self.previous_version()
        self.promote(version)
        return version

    def current(self, group: int = 0) -> PromotionRecord | None:
        """Return the last promotion of a symbol group, or None if it never had one."""
        return self._noted(group) or next(self.history(group), None)

    def previous_version(self) -> str:
        """Return the version that was promoted before the current one.

        Raises:
            Unknown: there is none.
        """
        placed = self.history(0)
        now = next(placed, None)
        for before in placed:
            if now is not None and before.promotion.model_version != now.promotion.model_version:
                return before.promotion.model_version
        message = "no other version was promoted before the current one; choose one of `ulstm models list`"
        raise Unknown(message)

    def history(self, group: int) -> Iterator[PromotionRecord]:
        """Yield the promotions of a symbol group, the newest first."""
        with Reader(self._bootstrap, self._topics.klines) as reader:
            for span in read_backwards(reader, group, _FIRST_BLOCK):
                yield from reversed(self._promotions_among(span, group))

    def _noted(self, group: int) -> PromotionRecord | None:
        """Take the last promotion from the newest prediction and the candles after it; None if that tells nothing.

        A long log with few promotions need not be searched to its beginning then.
        """
        newest = self._newest_prediction(group)
        if newest is None:
            return None
        source, promoted = newest
        with Reader(self._bootstrap, self._topics.klines) as reader:
            end = reader.ends(group)[1]
            later = self._promotions_in(reader, group, source + 1, end)
            found = later or self._promotions_in(reader, group, promoted, promoted + 1)
        return found[-1] if found else None

    def _newest_prediction(self, group: int) -> tuple[int, int] | None:
        """Return the source offset and the promotion offset of the newest prediction."""
        with Reader(self._bootstrap, self._topics.predictions) as reader:
            if not reader.partitions():
                return None
            first, end = reader.ends(group)
            blocks = reader.read(group, max(first, end - _FIRST_BLOCK), end)
            values = [record.value for block in blocks for record in block]
        if not values:
            return None
        try:
            prediction = decode_prediction(values[-1])
        except BadInput:
            return None
        return prediction.source_offset, prediction.promotion_offset

    def _promotions_in(
        self, reader: Reader, group: int, start: int, end: int
    ) -> list[PromotionRecord]:
        return self._promotions_among(chain.from_iterable(reader.read(group, start, end)), group)

    def _promotions_among(
        self, records: Iterable[ConsumerRecord], group: int
    ) -> list[PromotionRecord]:
        found = ((record.offset, self._promotion_of(record, group)) for record in records)
        return [
            PromotionRecord(group, offset, promotion)
            for offset, promotion in found
            if promotion is not None
        ]

    def _promotion_of(self, record: ConsumerRecord, group: int) -> Promotion | None:
        value = record.value
        # Candles are many: only JSON that has the word, or an escape that may hide it, is worth decoding.
        if value is None or (b"promotion" not in value and b"\\" not in value):
            return None
        try:
            decoded = self._codec.decode(value, group)
        except BadInput:
            return None
        return decoded if isinstance(decoded, Promotion) else None

    def _look_further(self, reader: Reader) -> None:
        if not reader.partitions():
            return
        for block in reader.read(_MODELS_GROUP, self._next):
            for record in block:
                version = (record.key or b"").decode("ascii", "replace")
                self._places.setdefault(version, record.offset)
                self._next = record.offset + 1

    def _bytes_of(self, version: str) -> bytes | None:
        with Reader(self._bootstrap, self._topics.models) as reader:
            if version not in self._places:
                self._look_further(reader)
            if version not in self._places:
                message = f"model version {version} is not in topic {self._topics.models}"
                raise Unknown(message)
            place = self._places[version]
            for block in reader.read(_MODELS_GROUP, place, place + 1):
                return block[0].value
        message = f"topic {self._topics.models} does not show offset {place} of version {version}"
        raise Unavailable(message)

    def _is_published(self, version: str, sha256: str) -> bool:
        try:
            there = self._bytes_of(version)
        except Unknown:
            return False
        if there is not None and sha256_hex(there) == sha256:
            return True
        message = (
            f"model version {version} is in the log with other bytes; publish under another version"
        )
        raise Incompatible(message)

    def _model_record(self, data: bytes, version: str, timestamp_ms: int) -> ProducerRecord:
        return ProducerRecord(
            self._topics.models, _MODELS_GROUP, version.encode(), data, timestamp_ms
        )

    def _promotions(self, bundle: Bundle, timestamp_ms: int) -> list[ProducerRecord]:
        message = PromotionMessage(
            type="promotion",
            model_version=bundle.version,
            bundle_sha256=bundle.sha256,
            numeric_profile=self._profile(),
        )
        value = encode_record(message)
        return [
            ProducerRecord(self._topics.klines, group, b"promotion", value, timestamp_ms)
            for group in range(self._topics.partitions)
        ]

    def _write(self, records: list[ProducerRecord], bundle: Bundle, *, promote: bool) -> None:
        since = self._end() if promote else None
        # One id for all who promote: two at once fence each other, so every symbol group sees one order.
        writer = TransactionalProducer(self._bootstrap, f"{self._topics.prefix}ulstm-trainer")
        try:
            writer.write(records)
            self._await_visible(bundle, since)
        except Aborted as error:
            message = (
                f"release of {bundle.version} was taken back, nothing of it is visible: {error}"
            )
            raise Unavailable(message) from error
        except OutcomeUnknown as error:
            if not self._arrived(bundle, since):
                message = f"release of {bundle.version} did not arrive; try again: {error}"
                raise Unavailable(message) from error
        finally:
            writer.close()

    def _end(self) -> int:
        """Return where the first symbol group's klines end."""
        with Reader(self._bootstrap, self._topics.klines) as reader:
            return reader.ends(0)[1]

    def _await_visible(self, bundle: Bundle, since: int | None) -> None:
        """A committed transaction shows once its end has reached the partitions, a moment later."""
        if not wait_until(lambda: self._arrived(bundle, since), timeout_s=_VISIBLE_S):
            log.warning(
                "release of %s is committed, but not visible after %g s",
                bundle.version,
                _VISIBLE_S,
            )

    def _arrived(self, bundle: Bundle, since: int | None) -> bool:
        """Ask the log for the bundle and, from an offset on, its promotion.

        An unknown outcome is settled by then: what is not visible never will be.
        """
        if bundle.version not in self.versions():
            return False
        if since is None:
            return True
        with Reader(self._bootstrap, self._topics.klines) as reader:
            later = self._promotions_in(reader, 0, since, reader.ends(0)[1])
        return any(placed.promotion.bundle_sha256 == bundle.sha256 for placed in later)
