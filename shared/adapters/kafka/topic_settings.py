"""Check topics: their partitions, their settings, their replicas."""

import logging
from collections.abc import Mapping
from typing import Final

from confluent_kafka import KafkaException
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
    TopicDescription,
)

from shared.adapters.kafka.admin_client import REQUEST_S
from shared.adapters.kafka.connection import KafkaConnection
from shared.adapters.kafka.errors import is_denial, to_app_error
from shared.core.errors import Incompatible
from shared.core.topics import TIMESTAMP_AHEAD

log = logging.getLogger(__name__)

# Settings that are corrected on topics of earlier versions: they take nothing away. Others may be
# somebody's will.
_CORRECTED: Final = frozenset({TIMESTAMP_AHEAD})
_AT_LEAST: Final = "max.message.bytes"  # a topic may take larger records than are written
_FEW_BROKERS: Final = 2


def check_partition_counts(counts: Mapping[str, tuple[int, int]]) -> None:
    """Check the topics' numbers of partitions, (found, wanted) by name.

    Raises:
        Incompatible: a topic has another number; the message says what to do.
    """
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


def check_topic_configs(
    admin: AdminClient, kafka: KafkaConnection, wanted: Mapping[str, Mapping[str, str]]
) -> None:
    """Check the topics' settings; correct a limit of earlier versions.

    Where they may not be read, the log says so.

    Args:
        admin: reads and corrects them.
        kafka: how Kafka is reached, for messages.
        wanted: the settings by topic.

    Raises:
        Unavailable: Kafka does not answer.
        Incompatible: a topic has other settings; the message says what to do.
    """
    unseen = []
    for name, config in wanted.items():
        resource = ConfigResource(ResourceType.TOPIC, name)
        try:
            found = admin.describe_configs([resource])[resource].result(REQUEST_S)
        except KafkaException as error:
            if not is_denial(error.args[0].code()):
                action = f"reading the settings of topic {name}"
                raise to_app_error(error, kafka, action) from error
            unseen.append(name)
        else:
            _check_config(
                admin, kafka, name, {key: (found.get(key), config[key]) for key in config}
            )
    if unseen:
        log.warning(
            "%s may not read the settings of %s (the right DescribeConfigs), so they are not"
            " checked: nothing of them may expire or be compacted",
            kafka.user,
            ", ".join(unseen),
        )


def _check_config(
    admin: AdminClient,
    kafka: KafkaConnection,
    name: str,
    settings: Mapping[str, tuple[ConfigEntry | None, str]],
) -> None:
    """Check a topic's settings, (found, wanted) by key; old brokers lack some."""
    for key, (found, wanted) in settings.items():
        if found is None or _fits(key, found.value, wanted):
            continue
        if key not in _CORRECTED or not _correct(admin, name, key, wanted):
            other = f", or set KAFKA_MESSAGE_MAX_BYTES={found.value}" if key == _AT_LEAST else ""
            raise Incompatible(
                f"topic {name} has {key}={found.value}, it must be {wanted}: set it with"
                f" `kafka-configs --bootstrap-server {kafka} --alter --topic {name}"
                f" --add-config {key}={wanted}`{other}"
            )


def _fits(key: str, found: str | None, wanted: str) -> bool:
    return int(found or 0) >= int(wanted) if key == _AT_LEAST else found == wanted


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


def warn_of_single_replicas(found: Mapping[str, TopicDescription], brokers: int) -> None:
    """Log topics that a cluster of several brokers keeps on one broker each."""
    single = [
        name
        for name, topic in found.items()
        if any(len(partition.replicas) < 2 for partition in topic.partitions)
    ]
    if single and brokers > _FEW_BROKERS:
        log.warning(
            "%s: one replica on %d brokers, so a lost broker takes records along; before the first"
            " start set TOPIC_REPLICAS=3, now use `kafka-reassign-partitions`",
            ", ".join(single),
            brokers,
        )
