"""What Kafka's client raises, by what to do about it."""

from confluent_kafka import KafkaError, KafkaException

from shared.core.errors import Incompatible, UlstmError, Unavailable


class Aborted(UlstmError):
    """Raised when a transaction was taken back: nothing of it is visible; forget and recover."""


class OutcomeUnknown(UlstmError):
    """Raised when nobody can say whether a transaction was committed: the log tells; forget and recover."""


class Fenced(UlstmError):
    """Raised when another process took over this transactional id: stop."""


def to_app_error(error: KafkaException, where: str, doing: str) -> UlstmError:
    """Return our error for one of the client's, naming the server and the work."""
    fault: KafkaError = error.args[0]
    message = f"{doing}: Kafka at {where} says {fault.str()} ({fault.name()})"
    if fault.code() in _REFUSALS:
        return Incompatible(message)
    return Unavailable(message)


_REFUSALS = frozenset(
    {
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
        KafkaError.INVALID_CONFIG,
        KafkaError.INVALID_PARTITIONS,
        KafkaError.INVALID_REPLICATION_FACTOR,
        KafkaError.POLICY_VIOLATION,
    }
)


def is_transient(code: int) -> bool:
    """Say whether the client goes on by itself after this."""
    return code in {
        KafkaError._ALL_BROKERS_DOWN,
        KafkaError._TRANSPORT,
        KafkaError._RESOLVE,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError.LEADER_NOT_AVAILABLE,
    }
