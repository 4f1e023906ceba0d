"""Create topics; refuse existing ones with other partitions or settings."""

import contextlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from confluent_kafka import KafkaError, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    OffsetSpec,
    ResourceType,
    TopicMetadata,
)

from shared.adapters.kafka.connection import KafkaConnection
from shared.adapters.kafka.errors import to_app_error, translate_errors
from shared.adapters.retry import wait_until
from shared.core.errors import Incompatible, Unavailable
from shared.core.topics import TIMESTAMP_AHEAD, Topics

log = logging.getLogger(__name__)

REQUEST_S: Final = 10.0
_SHORT_REQUEST_S: Final = 1.0
# Settings that are corrected on topics of earlier versions: they take nothing away. Others may be
# somebody's will.
_CORRECTED: Final = frozenset({TIMESTAMP_AHEAD})


def ensure_topics(kafka: KafkaConnection, topics: Topics) -> None:
    """Create missing topics and check existing ones; correct a limit of earlier versions.

    Raises:
        Unavailable: Kafka does not answer.
        Incompatible: a topic has other partitions or settings; the message says what to do.
    """
    admin = AdminClient(kafka.client_config())
    wanted = topics.specifications()
    created = []
    for name, future in admin.create_topics(
        [
            NewTopic(name, partitions, topics.replicas, config=dict(config))
            for name, (partitions, config) in wanted.items()
        ],
        operation_timeout=REQUEST_S,
        request_timeout=REQUEST_S,
    ).items():
        try:
            future.result()
            created += [TopicPartition(name, at) for at in range(wanted[name][0])]
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise to_app_error(error, kafka, f"creating topic {name}") from error
    if created:
        _await_leaders(admin, kafka, created)
    _check(admin, kafka, wanted)


def partition_counts(kafka: KafkaConnection) -> dict[str, int]:
    """Return the number of partitions of each topic that Kafka shows to this client.

    Raises:
        Unavailable: Kafka does not answer.
    """
    admin = AdminClient(kafka.client_config())
    # Ctrl-C is seen between two requests only, so each is short.
    for _ in range(int(REQUEST_S / _SHORT_REQUEST_S) - 1):
        with contextlib.suppress(KafkaException):
            return _count_partitions(admin.list_topics(timeout=_SHORT_REQUEST_S).topics)
    with translate_errors(kafka, "listing topics"):
        return _count_partitions(admin.list_topics(timeout=_SHORT_REQUEST_S).topics)


def _count_partitions(topics: Mapping[str, TopicMetadata]) -> dict[str, int]:
    return {name: len(topic.partitions) for name, topic in topics.items()}


def topic_id(kafka: KafkaConnection, topic: str) -> str:
    """Return a topic's id; a topic that is deleted and created again has another.

    Raises:
        Unavailable: Kafka does not answer, or has no such topic.
    """
    admin = AdminClient(kafka.client_config())
    futures = admin.describe_topics(TopicCollection([topic]), request_timeout=REQUEST_S)
    with translate_errors(kafka, f"reading the id of topic {topic}"):
        return str(futures[topic].result().topic_id)


def _await_leaders(
    admin: AdminClient, kafka: KafkaConnection, created: Sequence[TopicPartition]
) -> None:
    """Wait until new partitions have leaders: a topic is created a moment before."""
    errors = dict[TopicPartition, KafkaException]()

    def all_have_leaders() -> bool:
        errors.clear()
        errors.update(_offset_errors(admin, created))
        if errors:
            # The client caches "no leader": only fresh metadata makes it ask again.
            _list_topics(admin, kafka)
        return not errors

    if not wait_until(all_have_leaders, timeout_s=REQUEST_S, interval_s=0.05):
        place, error = next(iter(errors.items()))
        raise to_app_error(error, kafka, f"waiting for topic {place.topic}") from error


def _offset_errors(
    admin: AdminClient, places: Sequence[TopicPartition]
) -> Iterator[tuple[TopicPartition, KafkaException]]:
    latest = {place: OffsetSpec.latest() for place in places}  # type: ignore[no-untyped-call]
    for place, future in admin.list_offsets(latest, request_timeout=REQUEST_S).items():
        try:
            future.result()
        except KafkaException as error:
            yield place, error


def _list_topics(admin: AdminClient, kafka: KafkaConnection) -> dict[str, TopicMetadata]:
    with translate_errors(kafka, "listing topics"):
        return admin.list_topics(timeout=REQUEST_S).topics


def _check(
    admin: AdminClient, kafka: KafkaConnection, wanted: Mapping[str, tuple[int, Mapping[str, str]]]
) -> None:
    found = _list_topics(admin, kafka)
    for name in wanted:
        if name not in found:
            raise Unavailable(f"Kafka at {kafka} does not show topic {name} yet")
    _check_partitions({name: (len(found[name].partitions), wanted[name][0]) for name in wanted})
    for name, (_, config) in wanted.items():
        _check_config(admin, kafka, name, config)


def _check_partitions(counts: Mapping[str, tuple[int, int]]) -> None:
    """Refuse topics whose numbers of partitions, (found, wanted) by name, differ."""
    wrong = {name: found for name, (found, wanted) in counts.items() if found != wanted}
    if not wrong:
        return
    name, found = next(iter(wrong.items()))
    groups = max(wanted for _, wanted in counts.values())
    if len({found for found, wanted in counts.values() if wanted == groups}) > 1:
        raise Incompatible(
            f"topic {name} has {found} partitions instead of {groups}, as other topics of the"
            " deployment have: partitions were added, which moves symbols to other partitions;"
            " restore the topic from a backup, or start a new deployment under another"
            " TOPIC_PREFIX"
        )
    raise Incompatible(
        f"topic {name} has {found} partitions, SYMBOL_GROUPS asks for {groups};"
        f" set SYMBOL_GROUPS={found}, or start a new deployment under another TOPIC_PREFIX:"
        " the number of a live topic's partitions cannot change"
    )


def _check_config(
    admin: AdminClient, kafka: KafkaConnection, name: str, wanted: Mapping[str, str]
) -> None:
    resource = ConfigResource(ResourceType.TOPIC, name)
    with translate_errors(kafka, f"reading the settings of topic {name}"):
        found = admin.describe_configs([resource])[resource].result(REQUEST_S)
    for key, value in wanted.items():
        if key not in found or found[key].value == value:  # brokers before 3.6 lack the limit
            continue
        if key not in _CORRECTED or not _correct(admin, name, key, value):
            raise Incompatible(
                f"topic {name} has {key}={found[key].value}, it must be {value}: set it with"
                f" `kafka-configs --bootstrap-server {kafka} --alter --topic {name}"
                f" --add-config {key}={value}`"
            )


def _correct(admin: AdminClient, name: str, key: str, value: str) -> bool:
    """Set a topic's setting; return False if the broker refuses."""
    entry = ConfigEntry(key, value, incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, name, incremental_configs=[entry])
    try:
        admin.incremental_alter_configs([resource])[resource].result(REQUEST_S)
    except KafkaException as error:
        log.warning("topic %s: %s=%s is refused: %s", name, key, value, error.args[0].str())
        return False
    log.info("topic %s: set %s=%s", name, key, value)
    return True
