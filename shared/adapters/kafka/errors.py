"""Kafka's errors as this system's errors: named by what to do about them."""

import contextlib
from collections.abc import Iterator
from typing import Final

from confluent_kafka import KafkaError, KafkaException

from shared.core.errors import Incompatible, UlstmError, Unavailable

_REFUSALS: Final = frozenset(
    {
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
        KafkaError.INVALID_CONFIG,
        KafkaError.INVALID_PARTITIONS,
        KafkaError.INVALID_REPLICATION_FACTOR,
        KafkaError.POLICY_VIOLATION,
    }
)
_TRANSIENT: Final = frozenset(
    {
        KafkaError._ALL_BROKERS_DOWN,
        KafkaError._TRANSPORT,
        KafkaError._RESOLVE,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError.LEADER_NOT_AVAILABLE,
    }
)


class Aborted(UlstmError):
    """Raised when a transaction was aborted: nothing of it is visible; forget and recover."""


class OutcomeUnknown(UlstmError):
    """Raised when a transaction may or may not be committed: the log tells; forget and recover."""


class Fenced(Incompatible):
    """Raised when another process took over this transactional id: stop."""


def to_app_error(error: KafkaException, bootstrap: str, action: str) -> UlstmError:
    """Return this system's error for one of the client's, naming the server and the action."""
    cause: KafkaError = error.args[0]
    message = f"{action}: Kafka at {bootstrap} says {cause.str()} ({cause.name()})"
    return Incompatible(message) if cause.code() in _REFUSALS else Unavailable(message)


@contextlib.contextmanager
def translate_errors(bootstrap: str, action: str) -> Iterator[None]:
    """Raise the client's errors as this system's, naming the server and the action."""
    try:
        yield
    except KafkaException as error:
        raise to_app_error(error, bootstrap, action) from error


def is_transient(code: int) -> bool:
    """Say whether the client recovers from an error by itself."""
    return code in _TRANSIENT
