"""The topics of an honest deployment as lists, for tests to tamper with."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from shared.adapters.bundle_codec import decode_bundle, version_of
from shared.adapters.kafka.connection import KafkaConnection
from shared.adapters.kafka.producer import ProducerRecord, TransactionalProducer
from shared.adapters.kafka.reader import ConsumerRecord
from shared.adapters.schemas.dead_letters import dead_letter_headers
from shared.adapters.schemas.kline_messages import PromotionMessage
from shared.adapters.schemas.klines import KlineCodec, encode_gap, encode_record, encode_status
from shared.adapters.schemas.predictions import encode_prediction
from shared.adapters.schemas.wire import canonical_json
from shared.core.errors import BadInput
from shared.core.model.card import Bundle
from shared.core.online.context import FoldContext
from shared.core.online.partition import PartitionState
from shared.core.records import Gap, StatusName, SymbolStatus
from shared.core.topics import Topics
from shared.log.model_cache import ModelCache
from shared.log.record_processor import BatchResult, RecordProcessor
from tests.support.builders import (
    START_MS,
    STEP_MS,
    a_bundle,
    a_card,
    bundle_bytes,
    candle_bytes,
    interleaved_candles,
    started_bundle_bytes,
)

TOPICS: Final = Topics("5m", 1)
SYMBOLS: Final = ("BTCUSDT", "ETHUSDT")
OWN: Final = "4-own"
NEXT: Final = "5-next"

FIRST = a_bundle(1)
SECOND_CARD = replace(
    a_card(features="returns", label_scale=1.0, learns="head"), parent=FIRST.version
)
SECOND_BYTES = started_bundle_bytes(SYMBOLS, 2, SECOND_CARD)
SECOND = decode_bundle(version_of(SECOND_CARD, SECOND_BYTES), SECOND_BYTES)
BUNDLES: Final = {FIRST.version: bundle_bytes(1), SECOND.version: SECOND_BYTES}

Values = Sequence[tuple[str, bytes]]
"""(key, value) of klines, all of one partition."""


@dataclass(frozen=True)
class RecordedLog:
    """The topics of one partition, and the bundles by version."""

    klines: list[ConsumerRecord]
    predictions: list[ConsumerRecord]
    dead_letters: list[ConsumerRecord]
    bundles: Mapping[str, bytes]

    def with_prediction(self, at: int, **fields: Any) -> "RecordedLog":
        """Change fields of the prediction at an index, nested ones as `scores__n`."""
        value = json.loads(self.predictions[at].value or b"")
        for name, new in fields.items():
            *path, last = name.split("__")
            inner = value
            for part in path:
                inner = inner[part]
            inner[last] = new
        return self.with_predictions(
            lambda old: [*old[:at], old[at]._replace(value=canonical_json(value)), *old[at + 1 :]]
        )

    def with_predictions(
        self, change: Callable[[list[ConsumerRecord]], list[ConsumerRecord]]
    ) -> "RecordedLog":
        return replace(self, predictions=_with_offsets(change(self.predictions)))

    def with_dead_letters(
        self, change: Callable[[list[ConsumerRecord]], list[ConsumerRecord]]
    ) -> "RecordedLog":
        return replace(self, dead_letters=_with_offsets(change(self.dead_letters)))

    def index_of(self, symbol: str, candle: int) -> int:
        """Return which prediction was made from a symbol's candle of this number."""
        opens = START_MS + (candle + 1) * STEP_MS
        values = [json.loads(record.value or b"") for record in self.predictions]
        return next(
            i for i, v in enumerate(values) if (v["symbol"], v["open_time_ms"]) == (symbol, opens)
        )

    def write(self, kafka: KafkaConnection, topics: Topics) -> None:
        """Write it to empty topics of one partition, in one transaction.

        The offsets are then those of the lists.
        """
        models = [
            ConsumerRecord(0, 0, START_MS, version.encode(), data)
            for version, data in self.bundles.items()
        ]
        writer = TransactionalProducer(kafka, f"{topics.prefix}recorded")
        writer.write(
            [
                ProducerRecord(
                    topic,
                    0,
                    record.key,
                    record.value,
                    record.timestamp_ms,
                    _headers(record, topics),
                )
                for topic, records in (
                    (topics.models, models),
                    (topics.klines, self.klines),
                    (topics.predictions, self.predictions),
                    (topics.dead_letters, self.dead_letters),
                )
                for record in records
            ]
        )
        writer.close()


def build_test_processor(profile: str, bundles: Mapping[str, bytes]) -> RecordProcessor:
    def load(version: str) -> Bundle:
        if version not in bundles:
            raise BadInput("unknown_model", f"model version {version} is not in the log")
        return decode_bundle(version, bundles[version])

    codec = KlineCodec(TOPICS.interval, STEP_MS, TOPICS.partitions)
    return RecordProcessor(
        TOPICS.klines, codec, FoldContext(TOPICS.interval, STEP_MS, profile), ModelCache(load)
    )


def record_log(
    values: Values, *, profiles: Sequence[str] = (OWN,), bundles: Mapping[str, bytes] = BUNDLES
) -> RecordedLog:
    """Fold the klines of one partition as each of the numeric profiles would; record its output."""
    klines = [
        ConsumerRecord(0, offset, START_MS, key.encode(), value)
        for offset, (key, value) in enumerate(values)
    ]
    predictions: dict[int, ConsumerRecord] = {}
    dead_letters: dict[int, ConsumerRecord] = {}
    for profile in profiles:
        processor = build_test_processor(profile, bundles)
        folded = BatchResult(PartitionState(numeric_profile=profiles[0]))
        for record in klines:
            processor.process(folded, record)
        for p in folded.predictions:
            predictions[p.source_offset] = ConsumerRecord(
                0, 0, START_MS, p.symbol.encode(), encode_prediction(p)
            )
        for dead_letter in folded.dead_letters:
            headers = dict(dead_letter_headers(dead_letter))
            dead_letters[dead_letter.offset] = ConsumerRecord(
                0, 0, START_MS, dead_letter.key, dead_letter.value, headers
            )
    return RecordedLog(
        klines,
        _with_offsets([predictions[offset] for offset in sorted(predictions)]),
        _with_offsets([dead_letters[offset] for offset in sorted(dead_letters)]),
        bundles,
    )


def candles(start: int, stop: int) -> list[tuple[str, bytes]]:
    return interleaved_candles(SYMBOLS, start, stop)


def gap(start: int, stop: int, symbol: str) -> tuple[str, bytes]:
    span = Gap(symbol, START_MS + start * STEP_MS, START_MS + stop * STEP_MS)
    return symbol, encode_gap(span, "5m")


def promotion(bundle: Bundle, profile: str = OWN, sha256: str = "") -> tuple[str, bytes]:
    message = PromotionMessage(
        type="promotion",
        model_version=bundle.version,
        bundle_sha256=sha256 or bundle.sha256,
        numeric_profile=profile,
    )
    return "promotion", encode_record(message)


def eventful_klines(profile: str = OWN) -> list[tuple[str, bytes]]:
    """Return klines of every kind: 36 candles of two symbols, without 19 and 20 of the first."""
    first, second = SYMBOLS
    return [
        *candles(0, 18),
        promotion(FIRST, profile),
        *candles(18, 19),
        *candles(19, 21)[1::2],
        gap(19, 21, first),
        *candles(21, 24),
        (first, b"{nonsense"),
        candles(23, 24)[1],
        (second, candle_bytes(23, second, "101.5", type="amendment")),
        *candles(24, 28),
        promotion(SECOND, profile),
        *candles(28, 36),
    ]


def later_klines() -> list[tuple[str, bytes]]:
    """Return what may follow them: a fill of 19, an end of the second symbol and its new life."""
    first, second = SYMBOLS
    return [
        (first, candle_bytes(19, first, "100.75", type="fill")),
        *candles(36, 38),
        status(second, 38, "halted"),
        status(second, 38, "delisted"),
        (second, candle_bytes(37, second, type="amendment")),  # it has no candles any more
        *candles(38, 45)[::2],
        status(second, 45, "listed"),
        *candles(45, 63),
    ]


def status(symbol: str, at: int, name: StatusName) -> tuple[str, bytes]:
    record = SymbolStatus(symbol, START_MS + at * STEP_MS, name, "seen in exchangeInfo")
    return symbol, encode_status(record, "5m")


def _headers(record: ConsumerRecord, topics: Topics) -> list[tuple[str, bytes]]:
    return [
        (name, topics.klines.encode() if name == "topic" else value)
        for name, value in (record.headers or {}).items()
    ]


def _with_offsets(records: list[ConsumerRecord]) -> list[ConsumerRecord]:
    return [record._replace(offset=offset) for offset, record in enumerate(records)]
