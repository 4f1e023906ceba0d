"""Checks that Kafka answers and that the topics are those of the deployment of the settings."""

from collections.abc import Mapping, Sequence
from typing import Final

from shared.adapters.env_settings import ServiceSettings
from shared.adapters.kafka.admin import partition_counts
from shared.adapters.kafka.connection import KafkaConnection
from shared.adapters.kafka.reachability import check_reachable
from shared.adapters.kafka.reader import Reader
from shared.core.errors import Incompatible, Unavailable
from shared.core.topics import Topics

_SHOWN: Final = 5  # topics of other deployments


def open_deployment(environ: Mapping[str, str], *topics: str) -> ServiceSettings:
    """Return the settings of a deployment that is there.

    Args:
        environ: the environment.
        topics: those that must exist, as `Topics` calls them, such as `klines`.

    Raises:
        BadSetting: a setting is refused.
        NotAuthorized: Kafka refuses the user, or hides a topic from it.
        Unavailable: Kafka does not answer; the message says what to do.
        Incompatible: a topic is missing, or has another number of partitions than the settings.
    """
    settings = ServiceSettings.from_env(environ)
    where = settings.kafka
    try:
        check_reachable(where)
        found = partition_counts(where, *(getattr(settings.topics, topic) for topic in topics))
    except Unavailable as error:
        raise Unavailable(
            f"{error}: start Kafka (`ulstm servers start`, on this machine), or set"
            " KAFKA_BOOTSTRAP_SERVERS to where it is"
        ) from error
    for topic in topics:
        _check_topic(where, settings.topics, getattr(settings.topics, topic), found)
    return settings


def check_partitions(kafka: KafkaConnection, name: str, reader: Reader, wanted: int) -> None:
    """Check that a topic has the deployment's number of partitions.

    Args:
        kafka: how Kafka is reached, for the message.
        name: of the topic.
        reader: of the topic.
        wanted: the number of partitions.

    Raises:
        Incompatible: it has another number; a topic that does not exist has none.
    """
    found = reader.partitions()
    if found != wanted:
        raise Incompatible(
            f"topic {name} has {found} partitions on Kafka at {kafka}, the settings ask for"
            f" {wanted}; set TOPIC_PREFIX, INTERVAL and SYMBOL_GROUPS to those of the deployment"
        )


def _check_topic(
    kafka: KafkaConnection, topics: Topics, name: str, found: Mapping[str, int]
) -> None:
    wanted, count = topics.specifications()[name][0], found.get(name, 0)
    if not count:
        raise Incompatible(
            f"Kafka at {kafka} has no topic {name}{_describe_others(found)}; set TOPIC_PREFIX"
            " and INTERVAL to those of the deployment, or start its producer, which creates topics"
        )
    if count != wanted:
        raise Incompatible(
            f"topic {name} has {count} partitions on Kafka at {kafka}, the settings ask for"
            f" {wanted}: set SYMBOL_GROUPS to the number that the deployment has"
        )


def _describe_others(found: Mapping[str, int]) -> str:
    """Return the klines topics of other deployments there, in words."""
    names: Sequence[str] = sorted(name for name in found if "klines." in name)
    if not names:
        return ""
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f", but {', '.join(names[:_SHOWN])}{more}"
