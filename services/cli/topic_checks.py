"""Whether a topic is one of the deployment that the settings name."""

from shared.adapters.kafka.reader import Reader
from shared.core.errors import Incompatible


def check_partitions(bootstrap: str, name: str, reader: Reader, wanted: int) -> None:
    """Refuse a topic that has another number of partitions than the deployment.

    Raises:
        Incompatible: it has; none if there is no such topic.
    """
    found = reader.partitions()
    if found != wanted:
        message = (
            f"topic {name} has {found} partitions on Kafka at {bootstrap}, this deployment asks for {wanted};"
            " set TOPIC_PREFIX, INTERVAL and SYMBOL_GROUPS to those of the deployment"
        )
        raise Incompatible(message)
