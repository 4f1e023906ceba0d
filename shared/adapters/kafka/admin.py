"""Look at topics, and create those that are missing."""

from collections.abc import Collection, Iterator, Sequence
from typing import Final

from confluent_kafka import KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    NewTopic,
    OffsetSpec,
    TopicDescription,
)

from shared.adapters.kafka.admin_client import REQUEST_S, KafkaAdmin
from shared.adapters.kafka.connection import KafkaConnection
from shared.adapters.kafka.errors import to_app_error
from shared.adapters.kafka.topic_settings import (
    check_partition_counts,
    check_topic_configs,
    warn_of_single_replicas,
)
from shared.adapters.retry import wait_until
from shared.core.errors import Unavailable
from shared.core.topics import Topics

_BROKERS_DEFAULT: Final = -1


def ensure_topics(kafka: KafkaConnection, topics: Topics) -> None:
    """Look at the topics, create those that are missing, and check those that are there.

    Where all exist and fit, no right but Describe is needed. A limit of earlier versions is
    corrected; where settings may not be read, the log says so.

    Raises:
        BadSetting: the protocol or a certificate does not fit the broker's.
        NotAuthorized: Kafka refuses the user, or a right is missing; the message names it.
        Unavailable: Kafka does not answer.
        Incompatible: a topic has other partitions or settings; the message says what to do.
    """
    admin = KafkaAdmin(kafka)
    brokers = len(admin.metadata().brokers)
    wanted = topics.specifications()
    found = admin.describe(wanted)
    if missing := wanted.keys() - found.keys():
        _create(admin, kafka, topics, sorted(missing))
        found = _await_topics(admin, wanted)
    for name in wanted:
        if name not in found:
            raise Unavailable(f"Kafka at {kafka} does not show topic {name} yet")
    check_partition_counts(
        {name: (len(found[name].partitions), wanted[name][0]) for name in wanted}
    )
    check_topic_configs(admin.client, kafka, {name: config for name, (_, config) in wanted.items()})
    warn_of_single_replicas(found, brokers)


def partition_counts(kafka: KafkaConnection, *names: str) -> dict[str, int]:
    """Return the number of partitions of each topic that Kafka shows to this client.

    Args:
        kafka: how Kafka is reached.
        names: topics that this client must be able to see, if they exist.

    Raises:
        BadSetting: the protocol or a certificate does not fit the broker's.
        NotAuthorized: Kafka refuses the user, or hides one of the named topics.
        Unavailable: Kafka does not answer.
    """
    admin = KafkaAdmin(kafka)
    counts = {name: len(topic.partitions) for name, topic in admin.metadata().topics.items()}
    if hidden := [name for name in names if name not in counts]:
        admin.describe(hidden)
    return counts


def topic_id(kafka: KafkaConnection, topic: str) -> str:
    """Return a topic's id; a topic that is deleted and created again has another.

    Raises:
        NotAuthorized: this client may not see the topic.
        Unavailable: Kafka does not answer, or has no such topic.
    """
    found = KafkaAdmin(kafka).describe([topic])
    if topic not in found:
        raise Unavailable(f"Kafka at {kafka} has no topic {topic}")
    return str(found[topic].topic_id)


def _create(admin: KafkaAdmin, kafka: KafkaConnection, topics: Topics, names: list[str]) -> None:
    """Create topics; another process may do so at the same time."""
    wanted, created = topics.specifications(), []
    replicas = _BROKERS_DEFAULT if topics.replicas is None else topics.replicas
    futures = admin.client.create_topics(
        [NewTopic(name, wanted[name][0], replicas, config=dict(wanted[name][1])) for name in names],
        operation_timeout=REQUEST_S,
        request_timeout=REQUEST_S,
    )
    for name, future in futures.items():
        try:
            future.result()
            created += [TopicPartition(name, at) for at in range(wanted[name][0])]
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                action = f"creating topic {name} (or let `ulstm topics create` do it)"
                right = f"Create on topic {name}"
                raise to_app_error(error, kafka, action, right) from error
    if created:
        _await_leaders(admin, kafka, created)


def _await_topics(admin: KafkaAdmin, names: Collection[str]) -> dict[str, TopicDescription]:
    """Return the topics once all are shown, or those that are: not every broker does at once."""
    found = dict[str, TopicDescription]()

    def all_are_shown() -> bool:
        found.update(admin.describe(names))
        return found.keys() >= set(names)

    wait_until(all_are_shown, timeout_s=REQUEST_S, interval_s=0.05)
    return found


def _await_leaders(
    admin: KafkaAdmin, kafka: KafkaConnection, created: Sequence[TopicPartition]
) -> None:
    """Wait until new partitions have leaders: a topic is created a moment before."""
    errors = dict[TopicPartition, KafkaException]()

    def all_have_leaders() -> bool:
        errors.clear()
        errors.update(_offset_errors(admin.client, created))
        if errors:
            # The client caches "no leader": only fresh metadata makes it ask again.
            admin.metadata()
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
