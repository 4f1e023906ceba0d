"""Transactional writes: all records of a batch become visible, or none."""

import contextlib
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException, Producer, TopicPartition

from shared.adapters.kafka.connection import KafkaConnection
from shared.adapters.kafka.errors import (
    Aborted,
    Fenced,
    OutcomeUnknown,
    Refused,
    is_denial,
    to_app_error,
    to_denial,
    to_refusal,
)
from shared.adapters.retry import CallWithDeadline, call_with_deadline
from shared.core.errors import NotAuthorized, UlstmError, Unavailable

TRANSACTION_MS: Final = 10_000  # an open transaction holds back every reader
# Shorter than the consumer's max.poll.interval.ms, longer than the broker keeps a transaction open.
_WRITE_S: Final = 15.0
_REQUEST_S: Final = 20.0
_CONNECT_S: Final = 1.0  # for one of several attempts within a request
WRITER_HEADER: Final = "transactional-id"

_FENCED_CODES: Final = frozenset(
    {KafkaError._FENCED, KafkaError.INVALID_PRODUCER_EPOCH, KafkaError.PRODUCER_FENCED}
)


@dataclass(frozen=True, slots=True)
class ProducerRecord:
    """A record to write."""

    topic: str
    partition: int
    key: bytes | None
    value: bytes | None
    timestamp_ms: int
    headers: list[tuple[str, bytes]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class OffsetsToCommit:
    """A consumer group's next offsets, committed together with the records made of its input."""

    topic: str
    next_offsets: Mapping[int, int]  # by partition
    membership: bytes  # of the group at the moment the batch was polled


class TransactionalProducer:
    """A producer with a transactional id.

    The broker tells apart two transactions of one producer only since KIP-890, which librdkafka
    lacks: a late request of one transaction can be taken for a request of the next. Therefore a
    producer is replaced by a fresh one of the same id

    * after every error that is not "abort this transaction": `init_transactions` of the fresh one
      ends the old transaction and raises the epoch, so that late requests are fenced;
    * after a lost connection, even if the transaction was committed: the client sent its request
      again on another connection, and the first copy may still be on its way.
    """

    def __init__(
        self,
        kafka: KafkaConnection,
        transactional_id: str,
        *,
        exclusive_id: bool = False,
        signed_topic: str | None = None,
        client: Callable[[dict[str, Any]], Producer] = Producer,
        deadline: CallWithDeadline = call_with_deadline,
    ) -> None:
        """Take the transactional id, which fences an older process that has it.

        Args:
            kafka: how Kafka is reached.
            transactional_id: the name the broker knows this producer by.
            exclusive_id: no other process can have this id, so being fenced means that the broker
                timed a transaction out.
            signed_topic: the topic where a transaction's first record of each partition carries the
                transactional id, for whoever has to `abort_transaction_of` it.
            client: makes a producer of its configuration.
            deadline: makes a call that may never return.

        Raises:
            NotAuthorized: Kafka refuses the user, or the transactional id to it.
            Unavailable: Kafka does not answer.
        """
        self._kafka, self._exclusive_id = kafka, exclusive_id
        self._transactional_id, self._signed_topic = transactional_id, signed_topic
        self._client, self._call_with_deadline = client, deadline
        self._config = kafka.client_config(
            {
                "transactional.id": transactional_id,
                "transaction.timeout.ms": TRANSACTION_MS,
                "compression.type": kafka.compression,
                # Higher levels of gzip take several times as long to save a tenth.
                **({"compression.level": 1} if kafka.compression == "gzip" else {}),
                "linger.ms": 0,
                # The broker refuses a transaction until the markers of the last one are written.
                "retry.backoff.ms": 5,
                "message.max.bytes": kafka.message_max_bytes,
                "error_cb": self._on_client_error,
                "delivery.report.only.error": True,
                "on_delivery": self._on_failed_delivery,
            }
        )
        self._connection_was_lost = False
        self._client_denial: KafkaError | None = None  # of the user: no call says it
        self._failed_delivery: KafkaError | None = None  # the first of the open transaction
        self._producer: Producer | None = self._create_producer()

    def abort_transaction_of(self, transactional_id: str) -> None:
        """Abort the open transaction of another producer, and fence that producer.

        Raises:
            Unavailable: Kafka does not answer.
        """
        if transactional_id == self._transactional_id:
            return
        config = {**self._config, "transactional.id": transactional_id, "error_cb": lambda _: None}
        _close(self._open_producer(config))

    def write(
        self, records: Sequence[ProducerRecord], offsets: OffsetsToCommit | None = None
    ) -> None:
        """Write records, and a consumer group's offsets, in one transaction.

        Raises:
            Aborted: nothing of it is visible.
            Refused: as Aborted, and the same records would be refused again.
            OutcomeUnknown: it may be visible; the log tells.
            Fenced: another process has this transactional id now.
            NotAuthorized: a right is missing; the message names it.
        """
        # 1. Begin with a producer that has no request left on its way.
        producer = self._usable_producer()
        signed, self._failed_delivery = list(self._sign(records)), None
        try:
            # 2. Run the transaction in a thread with a deadline: after a restart of the broker,
            #    send_offsets_to_transaction may never return, whatever time-out it is given
            #    (seen with confluent-kafka 2.16.1 and Kafka 4.3.1).
            self._call_with_deadline(lambda: _run_transaction(producer, signed, offsets), _WRITE_S)
        except TimeoutError as error:
            # 3. A producer that hangs cannot be closed either: leave it to its thread. The fresh
            #    one fences whatever it may still send.
            self._recreate_producer(close=False)
            raise OutcomeUnknown(
                f"Kafka at {self._kafka} did not answer a transaction within {_WRITE_S:g} s"
            ) from error
        except KafkaException as error:
            # 4. Abort only if the client says that an abort is enough and Kafka confirms it.
            failure = self._classify(self._root_cause(producer, error), records)
            if isinstance(failure, Aborted) and not _is_aborted(producer):
                failure = OutcomeUnknown(str(failure))
            # 5. Nobody knows whether the commit arrived: replace the producer, and let the caller
            #    read the log. Writing the batch again could write it twice. After a refusal the
            #    client and the broker disagree on the sequence numbers: a fresh one begins anew.
            if isinstance(failure, OutcomeUnknown | Refused):
                self._recreate_producer(close=True)
            raise failure from error

    def close(self) -> None:
        """Close the connection; no transaction is open between writes."""
        if self._producer is not None:
            _close(self._producer)

    def _sign(self, records: Sequence[ProducerRecord]) -> Iterator[ProducerRecord]:
        """Name this producer in the first record of each partition of the signed topic."""
        signed = set[int]()
        for record in records:
            if record.topic != self._signed_topic or record.partition in signed:
                yield record
                continue
            signed.add(record.partition)
            name = (WRITER_HEADER, self._transactional_id.encode())
            yield replace(record, headers=[*record.headers, name])

    def _usable_producer(self) -> Producer:
        """Return the producer, replaced if there is none or it has lost a connection.

        Raises:
            Aborted: Kafka does not answer, so nothing was written.
        """
        if self._producer is not None:
            # `poll` runs the error callback. A fatal error comes out of the transaction as well.
            with contextlib.suppress(KafkaException):
                self._producer.poll(0)
            if self._connection_was_lost:
                self._drop_producer(close=True)
        if self._producer is None:
            try:
                self._producer = self._create_producer()
            except Unavailable as error:
                raise Aborted(str(error)) from error
        return self._producer

    def _on_failed_delivery(self, error: KafkaError | None, _: object) -> None:
        if error is not None and self._failed_delivery is None:
            self._failed_delivery = error

    def _on_client_error(self, error: KafkaError) -> None:
        if is_denial(error.code()):
            self._client_denial = error
        # A fatal error, such as being fenced, comes out of the next transaction.
        if not error.fatal():
            self._connection_was_lost = True

    def _classify(
        self, error: KafkaError, records: Sequence[ProducerRecord]
    ) -> Aborted | OutcomeUnknown | Fenced | NotAuthorized:
        """Classify a client's error by the state of the transaction."""
        if is_denial(error.code()):
            return to_denial(error, self._kafka, "writing", self._missing_right(error, records))
        message = f"transaction on Kafka at {self._kafka}: {error.str()} ({error.name()})"
        if error.code() in _FENCED_CODES and not self._exclusive_id:
            return Fenced(
                f"{message}; another process runs under the same transactional id: stop one of them"
            )
        refusal = to_refusal(error, message)
        if refusal is not None:
            return refusal
        return Aborted(message) if error.txn_requires_abort() else OutcomeUnknown(message)

    def _missing_right(self, error: KafkaError, records: Sequence[ProducerRecord] = ()) -> str:
        """Return the right that an error is about; empty if only its resource is known."""
        match error.code():
            case KafkaError.TOPIC_AUTHORIZATION_FAILED:
                return f"Write on topic {' or '.join(sorted({r.topic for r in records}))}"
            case KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED:
                return f"Write on transactional id {self._transactional_id}"
            case _:
                return ""

    def _root_cause(self, producer: Producer, error: KafkaException) -> KafkaError:
        """Return why a transaction failed.

        `produce` says "fatal", or "erroneous state" once the broker has refused a record of the
        transaction; only a transactional call says more. A commit says that deliveries failed;
        why, stands in their reports.
        """
        cause: KafkaError = error.args[0]
        try:
            if cause.code() == KafkaError._FATAL:
                producer.abort_transaction(_REQUEST_S)
            elif cause.code() == KafkaError._STATE:
                producer.commit_transaction(_REQUEST_S)
        except KafkaException as reason:
            cause = reason.args[0]
        if self._failed_delivery is not None and is_denial(self._failed_delivery.code()):
            return self._failed_delivery
        return cause

    def _recreate_producer(self, *, close: bool) -> None:
        """Replace the producer: now, or with the next write if Kafka does not answer."""
        self._drop_producer(close=close)
        with contextlib.suppress(Unavailable):
            self._producer = self._create_producer()

    def _drop_producer(self, *, close: bool) -> None:
        producer, self._producer = self._producer, None
        if close and producer is not None:
            producer.purge()
            _close(producer)

    def _create_producer(self) -> Producer:
        self._connection_was_lost, self._client_denial = False, None
        return self._open_producer(self._config)

    def _open_producer(self, config: dict[str, Any]) -> Producer:
        producer = self._client(config)
        try:
            # Without it, the next call may take half a second longer.
            self._connect(producer)
            producer.init_transactions(_REQUEST_S)
        except KafkaException as error:
            raise self._to_start_error(producer, error) from error
        return producer

    def _connect(self, producer: Producer) -> None:
        """Wait until a broker answers, or says that it does not let this client in."""
        for _ in range(int(_REQUEST_S / _CONNECT_S) - 1):
            with contextlib.suppress(KafkaException):
                producer.list_topics(timeout=_CONNECT_S)
                return
            producer.poll(0)  # runs the error callback
            if self._client_denial is not None:
                raise KafkaException(self._client_denial)
        producer.list_topics(timeout=_CONNECT_S)

    def _to_start_error(self, producer: Producer, error: KafkaException) -> UlstmError:
        """Close a producer that did not start; return why."""
        _close(producer)
        action, right = "taking the transactional id", self._missing_right(error.args[0])
        return to_app_error(error, self._kafka, action, right)


def _run_transaction(
    producer: Producer, records: Sequence[ProducerRecord], offsets: OffsetsToCommit | None
) -> None:
    producer.begin_transaction()
    for record in records:
        _produce(producer, record)
    if offsets is not None:
        _send_offsets(producer, offsets)
    producer.commit_transaction()


def _produce(producer: Producer, record: ProducerRecord) -> None:
    while True:
        try:
            producer.produce(
                record.topic,
                partition=record.partition,
                key=record.key,
                value=record.value,
                timestamp=record.timestamp_ms,
                headers=list(record.headers),
            )
        except BufferError:  # the client's queue is full: let it send
            producer.poll(0.1)
        else:
            return


def _send_offsets(producer: Producer, offsets: OffsetsToCommit) -> None:
    places = [TopicPartition(offsets.topic, p, o) for p, o in offsets.next_offsets.items()]
    producer.send_offsets_to_transaction(places, offsets.membership)


def _is_aborted(producer: Producer) -> bool:
    """Abort the open transaction; say whether Kafka confirmed it."""
    try:
        producer.abort_transaction(_REQUEST_S)
    except KafkaException:
        return False
    return True


def _close(producer: Producer) -> None:
    # The client raises a fatal error again and warns that it cannot abort: nothing is left to end.
    with warnings.catch_warnings(), contextlib.suppress(KafkaException):
        warnings.simplefilter("ignore", RuntimeWarning)
        producer.close()
