"""Checks that a topic belongs to the deployment that the settings name."""

from shared.adapters.kafka.reader import Reader
from shared.core.errors import Incompatible


def check_partitions(bootstrap: str, name: str, reader: Reader, wanted: int) -> None:
    """Check that a topic has the deployment's number of partitions.

    Args:
        bootstrap: Kafka's address, for the message.
        name: of the topic.
        reader: of the topic.
        wanted: the number of partitions.

    Raises:
        Incompatible: it has another number; a topic that does not exist has none.
    """
    found = reader.partitions()
    if found != wanted:
        raise Incompatible(
            f"topic {name} has {found} partitions on Kafka at {bootstrap}, the settings ask for"
            f" {wanted}; set TOPIC_PREFIX, INTERVAL and SYMBOL_GROUPS to those of the deployment"
        )
