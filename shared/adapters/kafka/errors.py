"""Kafka's errors as this system's errors: named by what to do about them."""

import contextlib
import re
from collections.abc import Iterator
from typing import Final

from confluent_kafka import KafkaError, KafkaException

from shared.adapters.kafka.connection import KafkaConnection
from shared.core.errors import Incompatible, NotAuthorized, UlstmError, Unavailable
from shared.core.topics import TIMESTAMP_AHEAD

_REFUSALS: Final = frozenset(
    {
        KafkaError.INVALID_CONFIG,
        KafkaError.INVALID_PARTITIONS,
        KafkaError.INVALID_REPLICATION_FACTOR,
        KafkaError.POLICY_VIOLATION,
    }
)
_TOO_LARGE: Final = "raise max.message.bytes of the topic"
_BY_POLICY: Final = "ask the broker's operator which rule refuses it"
# What the broker refuses however often it is sent: of one record, or of whatever this client sends.
_RECORD_ADVICE: Final = {
    KafkaError.INVALID_TIMESTAMP: (
        f"the candle's time is too far from the broker's clock: set {TIMESTAMP_AHEAD} of the topic"
        " to 9223372036854775807, or correct the clock"
    ),
    KafkaError.MSG_SIZE_TOO_LARGE: _TOO_LARGE,
    KafkaError.RECORD_LIST_TOO_LARGE: f"{_TOO_LARGE}, and segment.bytes",
    KafkaError.INVALID_RECORD: _BY_POLICY,
    KafkaError.POLICY_VIOLATION: _BY_POLICY,
}
_CLIENT_ADVICE: Final = {
    KafkaError.UNSUPPORTED_FOR_MESSAGE_FORMAT: "upgrade the broker, or its message format",
}
# What a right is missing on.
_DENIALS: Final = {
    KafkaError.TOPIC_AUTHORIZATION_FAILED: "the topic",
    KafkaError.GROUP_AUTHORIZATION_FAILED: "the consumer group",
    KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED: "the transactional id",
    KafkaError.CLUSTER_AUTHORIZATION_FAILED: "the cluster",
}
_UNKNOWN_USER: Final = frozenset(
    {KafkaError._AUTHENTICATION, KafkaError.SASL_AUTHENTICATION_FAILED}
)
# What librdkafka puts around a reason: the connection before it, the connection's state after it.
_AROUND_REASON: Final = re.compile(r"^\S+://\S+: | \(after \d+ms in state \w+\)$")
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


class Refused(Aborted):
    """Raised when Kafka refuses records for good: nothing of them is visible.

    The same records would be refused again until somebody changes the broker, so stay away longer
    and longer.

    Args:
        message: says what to do.
        concerns_record: the cause may be one record of many.
    """

    def __init__(self, message: str, *, concerns_record: bool) -> None:
        """Keep whether one record may be the cause."""
        super().__init__(message)
        self.concerns_record = concerns_record


class OutcomeUnknown(UlstmError):
    """Raised when a transaction may or may not be committed: the log tells; forget and recover."""


class Fenced(Incompatible):
    """Raised when another process took over this transactional id: stop."""


def to_refusal(error: KafkaError, message: str) -> Refused | None:
    """Return the refusal that an error of a transaction is, with what to do; None if it is none."""
    code = error.code()
    advice = _RECORD_ADVICE.get(code) or _CLIENT_ADVICE.get(code)
    if advice is None:
        return None
    return Refused(f"{message}: {advice}", concerns_record=code in _RECORD_ADVICE)


def reason_of(error: KafkaError) -> str:
    """Return a client's reason for a failed connection, without the connection's name."""
    return _AROUND_REASON.sub("", error.str())


def is_denial(code: int) -> bool:
    """Say whether an error is about this client's user or its rights."""
    return code in _DENIALS or code in _UNKNOWN_USER


def to_denial(error: KafkaError, kafka: KafkaConnection, action: str, right: str) -> NotAuthorized:
    """Return the error that names the user and the missing right; `right` is empty if unknown."""
    if error.code() in _UNKNOWN_USER:
        return NotAuthorized(
            f"{action}: Kafka at {kafka} does not let {kafka.user} in ({reason_of(error)}): check"
            " KAFKA_SASL_USERNAME, KAFKA_SASL_PASSWORD and KAFKA_SASL_MECHANISM"
        )
    missing = right or f"a right on {_DENIALS[error.code()]}"
    return NotAuthorized(
        f"{action}: Kafka at {kafka} refuses it to {kafka.user}: {missing} is missing; `ulstm"
        " topics rights` lists what each service needs"
    )


def to_app_error(
    error: KafkaException, kafka: KafkaConnection, action: str, right: str = ""
) -> UlstmError:
    """Return this system's error for one of the client's, naming the server and the action.

    Args:
        error: the client's.
        kafka: how Kafka is reached.
        action: what was done.
        right: what the action needs, such as "Read on topic klines.5m".
    """
    cause: KafkaError = error.args[0]
    if is_denial(cause.code()):
        return to_denial(cause, kafka, action, right)
    message = f"{action}: Kafka at {kafka} says {cause.str()} ({cause.name()})"
    return Incompatible(message) if cause.code() in _REFUSALS else Unavailable(message)


@contextlib.contextmanager
def translate_errors(kafka: KafkaConnection, action: str, right: str = "") -> Iterator[None]:
    """Raise the client's errors as this system's; the arguments are those of `to_app_error`."""
    try:
        yield
    except KafkaException as error:
        raise to_app_error(error, kafka, action, right) from error


def is_transient(code: int) -> bool:
    """Say whether the client recovers from an error by itself."""
    return code in _TRANSIENT
