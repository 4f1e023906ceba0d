"""The registry on a real Kafka: bundles and promotions go in together."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)

from shared.adapters.bundle_codec import version_of
from shared.adapters.kafka.admin import ensure_topics
from shared.adapters.kafka.connection import KafkaConnection
from shared.adapters.kafka.producer import ProducerRecord, TransactionalProducer
from shared.adapters.kafka.reader import ConsumerRecord, Reader
from shared.adapters.schemas.kline_messages import PromotionMessage
from shared.adapters.schemas.klines import KlineCodec, encode_record
from shared.adapters.schemas.predictions import encode_prediction
from shared.core.errors import BadInput, Incompatible, UlstmError, Unavailable, Unknown
from shared.core.model.card import sha256_hex
from shared.core.model.numeric_profile import self_test
from shared.core.online.interval_scores import IntervalScores
from shared.core.online.prediction import Prediction
from shared.core.online.scores import Scores
from shared.core.records import Promotion
from shared.core.topics import Topics
from shared.log.model_registry import ModelRegistry
from tests.support.builders import START_MS, STEP_MS, a_card, bundle_bytes, candle_bytes
from tests.support.waiting import eventually

pytestmark = pytest.mark.integration

PARTITIONS = 3


class Log:
    """A deployment's topics, and what lies on them."""

    def __init__(self, kafka: KafkaConnection, prefix: str) -> None:
        self.kafka, self.topics = kafka, Topics("5m", PARTITIONS, prefix)
        ensure_topics(kafka, self.topics)
        self.registry = ModelRegistry(kafka, self.topics)

    def records(self, topic: str, partition: int = 0) -> list[ConsumerRecord]:
        with Reader(self.kafka, topic) as reader:
            return [record for block in reader.read(partition, 0) for record in block]

    def ends_at(self, topic: str, partition: int, offset: int) -> bool:
        with Reader(self.kafka, topic) as reader:
            return reader.ends(partition)[1] == offset

    def promotions(self, partition: int, count: int) -> list[str]:
        """Wait for promotions: a commit shows in one partition a moment later than in another."""
        eventually(lambda: len(self._promotions(partition)) >= count)
        return self._promotions(partition)

    def _promotions(self, partition: int) -> list[str]:
        codec = KlineCodec("5m", STEP_MS, PARTITIONS)
        decoded = [
            codec.decode(record.value, partition)
            for record in self.records(self.topics.klines, partition)
        ]
        return [record.model_version for record in decoded if isinstance(record, Promotion)]

    def write(self, records: list[ProducerRecord]) -> None:
        writer = TransactionalProducer(self.kafka, f"{self.topics.prefix}test")
        writer.write(records)
        writer.close()

    def release(self, seed: int, *, promote: bool = True) -> str:
        encoded = bundle_bytes(seed)
        version = version_of(a_card(), encoded)
        self.registry.release(encoded, version, START_MS, promote=promote)
        return version

    def promote_without_bundle(self, version: str, data: bytes) -> None:
        message = PromotionMessage(
            type="promotion",
            model_version=version,
            bundle_sha256=sha256_hex(data),
            numeric_profile=self_test(),
        )
        self.write(
            [
                ProducerRecord(
                    self.topics.klines, partition, b"promotion", encode_record(message), START_MS
                )
                for partition in range(PARTITIONS)
            ]
        )
        eventually(lambda: version in self._promotions(0))

    def candles(self, partition: int, count: int) -> list[ProducerRecord]:
        topic = self.topics.klines
        return [
            ProducerRecord(topic, partition, b"BTCUSDT", candle_bytes(at), START_MS)
            for at in range(count)
        ]


@pytest.fixture
def kafka_log(kafka: KafkaConnection, topic_prefix: str) -> Log:
    return Log(kafka, topic_prefix)


def test_a_release_is_a_bundle_and_a_promotion_in_every_partition(kafka_log: Log) -> None:
    version = kafka_log.release(1)

    bundles = kafka_log.records(kafka_log.topics.models)
    assert [(record.key, record.value) for record in bundles] == [
        (version.encode(), bundle_bytes(1))
    ]
    assert [kafka_log.promotions(partition, 1) for partition in range(PARTITIONS)] == [
        [version]
    ] * PARTITIONS
    assert kafka_log.registry.bundles.load(version).sha256 == sha256_hex(bundle_bytes(1))


def test_a_promotion_names_the_numeric_profile_of_who_promotes(kafka_log: Log) -> None:
    version = kafka_log.release(1)
    ModelRegistry(kafka_log.kafka, kafka_log.topics, lambda: "2-next").promote(version)

    kafka_log.promotions(0, 2)
    profiles = [
        record.promotion.numeric_profile for record in kafka_log.registry.promotions.history(0)
    ]
    assert profiles == ["2-next", self_test()]


def test_a_machine_that_must_not_predict_promotes_nothing(kafka_log: Log) -> None:
    def failing() -> str:
        raise Incompatible("computes other bits")

    version = kafka_log.release(1, promote=False)

    with pytest.raises(Incompatible, match="other bits"):
        ModelRegistry(kafka_log.kafka, kafka_log.topics, failing).promote(version)

    assert kafka_log.promotions(0, 0) == []


def test_a_release_is_one_transaction(kafka_log: Log) -> None:
    kafka_log.release(1)
    kafka_log.release(2)

    # Each partition grew by one record and one end marker for each release: one transaction each.
    places = [
        (kafka_log.topics.models, 0),
        *((kafka_log.topics.klines, partition) for partition in range(PARTITIONS)),
    ]
    for topic, partition in places:
        eventually(partial(kafka_log.ends_at, topic, partition, 4))
        assert [record.offset for record in kafka_log.records(topic, partition)] == [0, 2]


def test_a_version_in_the_log_is_not_written_again(kafka_log: Log) -> None:
    version = kafka_log.release(1, promote=False)
    kafka_log.release(1)

    assert kafka_log.registry.bundles.versions() == [version]
    assert len(kafka_log.records(kafka_log.topics.models)) == 1
    assert kafka_log.promotions(0, 1) == [version]


def test_a_version_with_other_bytes_is_refused(kafka_log: Log) -> None:
    version = kafka_log.release(1)

    with pytest.raises(Incompatible, match="other bytes"):
        kafka_log.registry.release(bundle_bytes(2), version, START_MS, promote=True)

    assert kafka_log.promotions(0, 1) == [version]


def test_bytes_that_are_no_bundle_are_not_released(kafka_log: Log) -> None:
    with pytest.raises(BadInput):
        kafka_log.registry.release(b"no bundle", "v1", START_MS, promote=True)

    assert kafka_log.registry.bundles.versions() == []
    assert kafka_log.promotions(0, 0) == []


def test_an_unknown_version_is_neither_loaded_nor_promoted(kafka_log: Log) -> None:
    with pytest.raises(Unknown, match="v9"):
        kafka_log.registry.bundles.load("v9")
    with pytest.raises(Unknown, match="v9"):
        kafka_log.registry.promote("v9")

    assert kafka_log.promotions(0, 0) == []


def test_a_registry_sees_what_another_published_later(kafka_log: Log) -> None:
    first = kafka_log.release(1)
    assert kafka_log.registry.bundles.versions() == [first]

    other = ModelRegistry(kafka_log.kafka, kafka_log.topics)
    second = version_of(a_card(), bundle_bytes(2))
    other.release(bundle_bytes(2), second, START_MS, promote=False)

    assert kafka_log.registry.bundles.versions() == [first, second]
    assert [bundle.version for bundle in kafka_log.registry.bundles.load_all()] == [first, second]
    assert kafka_log.registry.bundles.load(second).sha256 == sha256_hex(bundle_bytes(2))


def test_what_is_no_bundle_on_the_topic_is_left_out_of_the_list(kafka_log: Log) -> None:
    kafka_log.write([ProducerRecord(kafka_log.topics.models, 0, b"junk", b"no bundle", START_MS)])
    eventually(kafka_log.registry.bundles.versions)
    version = kafka_log.release(1)

    assert kafka_log.registry.bundles.versions() == ["junk", version]
    assert [bundle.version for bundle in kafka_log.registry.bundles.load_all()] == [version]


def test_nothing_is_current_before_the_first_promotion(kafka_log: Log) -> None:
    kafka_log.release(1, promote=False)

    assert kafka_log.registry.promotions.current() is None
    with pytest.raises(Unknown, match="no other version"):
        kafka_log.registry.rollback()


def test_a_rollback_promotes_the_version_before(kafka_log: Log) -> None:
    first, second = kafka_log.release(1), kafka_log.release(2)
    kafka_log.registry.promote(second)

    assert kafka_log.registry.rollback() == first

    assert kafka_log.promotions(2, 4) == [first, second, second, first]
    assert len(kafka_log.records(kafka_log.topics.models)) == 2


def test_a_promotion_whose_version_never_came_can_be_withdrawn(kafka_log: Log) -> None:
    first, missing = kafka_log.release(1), version_of(a_card(), bundle_bytes(2))
    kafka_log.promote_without_bundle(missing, bundle_bytes(2))

    kafka_log.registry.withdraw(missing, "a mistake")

    with pytest.raises(BadInput, match=f"{missing} was withdrawn: a mistake"):
        kafka_log.registry.bundles.load(missing)
    current = kafka_log.registry.promotions.current()
    assert current is not None
    assert current.promotion.model_version == first
    with pytest.raises(Incompatible, match="was withdrawn; publish under another"):
        kafka_log.release(2)
    with pytest.raises(BadInput, match="was withdrawn"):
        kafka_log.registry.withdraw(missing, "twice")
    with pytest.raises(Incompatible, match="rollback"):
        kafka_log.registry.withdraw(first, "it is there")


def test_a_rollback_passes_over_promotions_that_had_no_effect(kafka_log: Log) -> None:
    first = kafka_log.release(1)
    kafka_log.write([ProducerRecord(kafka_log.topics.models, 0, b"v2", b"garbage", START_MS)])
    kafka_log.promote_without_bundle("v2", b"garbage")
    second = kafka_log.release(3)
    kafka_log.promote_without_bundle("never-came", b"")

    assert kafka_log.registry.rollback() == first
    assert kafka_log.registry.rollback() == second


@pytest.mark.parametrize("candles", [0, 3, 499, 3_000])
def test_the_current_version_is_found_behind_many_candles(candles: int, kafka_log: Log) -> None:
    kafka_log.release(1)
    version = kafka_log.release(2)
    if candles:
        kafka_log.write(kafka_log.candles(1, candles))
    eventually(partial(kafka_log.ends_at, kafka_log.topics.klines, 1, 4 + candles + (candles > 0)))

    record = kafka_log.registry.promotions.current(1)

    assert record is not None
    assert (record.partition, record.offset, record.promotion.model_version) == (1, 2, version)
    assert [p.offset for p in kafka_log.registry.promotions.history(1)] == [2, 0]


@pytest.mark.parametrize("promoted_later", [False, True])
def test_a_prediction_tells_where_the_current_promotion_lies(
    promoted_later: bool, kafka_log: Log
) -> None:
    version = kafka_log.release(1)
    kafka_log.write(kafka_log.candles(1, 10))
    prediction = encode_prediction(a_prediction(version, source_offset=11, promotion_offset=0))
    kafka_log.write(
        [ProducerRecord(kafka_log.topics.predictions, 1, b"BTCUSDT", prediction, START_MS)]
    )
    eventually(partial(kafka_log.ends_at, kafka_log.topics.predictions, 1, 2))
    current = kafka_log.release(2) if promoted_later else version
    eventually(partial(kafka_log.ends_at, kafka_log.topics.klines, 1, 15 if promoted_later else 13))

    record = kafka_log.registry.promotions.current(1)

    assert record is not None
    assert record.promotion.model_version == current


def test_what_cannot_be_written_whole_leaves_no_trace(kafka_log: Log) -> None:
    version = kafka_log.release(1)
    bundle = ProducerRecord(kafka_log.topics.models, 0, b"v2", bundle_bytes(2), START_MS)
    nowhere = ProducerRecord(kafka_log.topics.klines, 99, b"promotion", b"{}", START_MS)

    with pytest.raises(UlstmError):
        kafka_log.write([bundle, nowhere])

    assert kafka_log.registry.bundles.versions() == [version]


def test_a_bundle_that_kafka_does_not_take_is_not_promoted_either(kafka_log: Log) -> None:
    version = kafka_log.release(1)
    topic = ConfigResource(ResourceType.TOPIC, kafka_log.topics.models)
    entry = ConfigEntry("max.message.bytes", "1000", incremental_operation=AlterConfigOpType.SET)
    topic.add_incremental_config(entry)
    admin = AdminClient(kafka_log.kafka.client_config())
    admin.incremental_alter_configs([topic])[topic].result(30)

    with pytest.raises(Unavailable, match="nothing of it is visible"):
        kafka_log.release(2)

    assert kafka_log.registry.bundles.versions() == [version]
    assert [kafka_log.promotions(partition, 1) for partition in range(PARTITIONS)] == [
        [version]
    ] * PARTITIONS


def test_two_who_promote_at_once_leave_one_order_in_every_partition(kafka_log: Log) -> None:
    versions = [kafka_log.release(seed, promote=False) for seed in range(2)]

    def promoted(version: str) -> bool:
        try:
            ModelRegistry(kafka_log.kafka, kafka_log.topics).promote(version)
        except UlstmError:
            return False
        return True

    with ThreadPoolExecutor(2) as pool:
        count = sum(pool.map(promoted, versions))

    def orders() -> list[list[str]]:
        return [kafka_log.promotions(partition, count) for partition in range(PARTITIONS)]

    assert count > 0
    eventually(lambda: orders() == [orders()[0]] * PARTITIONS)


def a_prediction(version: str, source_offset: int, promotion_offset: int) -> Prediction:
    return Prediction(
        symbol="BTCUSDT",
        interval="5m",
        open_time_ms=START_MS,
        close=1.0,
        predicted_change=0.0,
        predicted_close=1.0,
        change_scale=1.0,
        calibration=0.0,
        calibrated_change=0.0,
        calibrated_close=1.0,
        actionable=False,
        intervals=(),
        model_version=version,
        steps=0,
        loss=None,
        was_reset=False,
        previous=None,
        scores=Scores(),
        interval_scores=IntervalScores(),
        source_offset=source_offset,
        promotion_offset=promotion_offset,
        corrections=0,
        state_digest="0" * 64,
        numeric_profile="4-test",
    )
