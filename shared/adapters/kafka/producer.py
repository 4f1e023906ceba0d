"""Writing in transactions: all of a batch is visible, or nothing."""

import contextlib
import queue
import threading
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NoReturn

from confluent_kafka import KafkaError, KafkaException, Producer, TopicPartition

from shared.adapters.kafka.errors import Aborted, Fenced, OutcomeUnknown, to_app_error
from shared.core.errors import Unavailable

TRANSACTION_MS: Final = 10_000  # an open transaction holds back every reader
# Below the group's max.poll.interval.ms, and longer than the broker keeps a transaction open.
_ANSWER_S: Final = 15.0
_SETTLE_S: Final = 20.0


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
    """What a consumer group has read, committed with what it led to."""

    topic: str
    next_offsets: Mapping[int, int]
    membership: bytes  # of the group at the moment the batch was read


class TransactionalProducer:
    """A producer with a transactional id.

    librdkafka lacks KIP-890, so a late request of one transaction could hit the next. The rule that protects us: after
    any error that is not "abort this transaction", the producer is closed and made anew under the same id, which
    settles the old transaction and fences its late requests. The same after a connection was lost, even if the
    transaction went well: the client asked again on another connection, and the first request may still be under way.
    """

    def __init__(
        self,
        bootstrap: str,
        transactional_id: str,
        *,
        exclusive_id: bool = False,
        client: Callable[[dict[str, Any]], Producer] = Producer,
        within: "Within | None" = None,
        **options: str | int,
    ) -> None:
        """Take the id: fences an older process that has it.

        Args:
            bootstrap: where Kafka is.
            transactional_id: what the broker knows this writer by.
            exclusive_id: no other process can have this id, so to be fenced means that the broker timed a transaction out.
            client: makes a producer from its configuration.
            within: calls with a deadline.
            **options: further configuration of the client.

        Raises:
            Unavailable: Kafka does not answer.
        """
        self._bootstrap, self._exclusive_id = bootstrap, exclusive_id
        self._client, self._within = client, within or call_with_deadline
        self._config: dict[str, Any] = {
            "bootstrap.servers": bootstrap,
            "transactional.id": transactional_id,
            "transaction.timeout.ms": TRANSACTION_MS,
            "compression.type": "lz4",
            "linger.ms": 0,
            # A transaction begun right after another is put off until the markers of that one are written.
            "retry.backoff.ms": 5,
            "message.max.bytes": 64 * 1024 * 1024,
            "log_level": 0,
            "error_cb": self._disturb,
            **options,
        }
        self._is_disturbed = False
        self._producer: Producer | None = self._begun()

    def write(
        self, records: Sequence[ProducerRecord], progress: OffsetsToCommit | None = None
    ) -> None:
        """Write records, and the group's progress, in one transaction.

        Raises:
            Aborted: nothing of it is visible.
            OutcomeUnknown: it may be; the log tells.
            Fenced: another process has this transactional id now.
        """
        producer = self._ready()
        try:
            self._within(lambda: _transaction(producer, records, progress), _ANSWER_S)
        except TimeoutError:
            self._abandon()
        except KafkaException as error:
            self._settle(producer, error)

    def close(self) -> None:
        """Close the connection; nothing is open between writes."""
        if self._producer is not None:
            _close(self._producer)

    def _ready(self) -> Producer:
        """Return the producer, begun again if it was given up or has lost a connection since.

        Raises:
            Aborted: Kafka does not answer, so nothing was written.
        """
        if self._producer is not None:
            with contextlib.suppress(KafkaException):  # what is fatal comes out of the transaction
                self._producer.poll(0)  # what it has noticed comes out here
            if self._is_disturbed:
                self._give_up(self._producer)
        if self._producer is None:
            try:
                self._producer = self._begun()
            except Unavailable as error:
                raise Aborted(str(error)) from error
        return self._producer

    def _disturb(self, error: KafkaError) -> None:
        if (
            not error.fatal()
        ):  # what is fatal, such as being fenced, comes out of the next transaction
            self._is_disturbed = True

    def _settle(self, producer: Producer, error: KafkaException) -> NoReturn:
        fault = _reason(producer, error)
        text = f"transaction on Kafka at {self._bootstrap}: {fault.str()} ({fault.name()})"
        if fault.code() in _FENCES and not self._exclusive_id:
            message = (
                f"{text}; another process runs under the same transactional id: stop one of them"
            )
            raise Fenced(message) from error
        if fault.txn_requires_abort():
            self._abort_or_renew(producer, text)
            raise Aborted(text) from error
        self._renew(producer)
        raise OutcomeUnknown(text) from error

    def _abandon(self) -> NoReturn:
        """Leave a producer that does not answer to itself; the next one, of the same id, fences what it may still do.

        After a restart of the broker, send_offsets_to_transaction may wait for ever, whatever time-out it is given
        (seen with 2.16.1 and Kafka 4.3.1), and such a producer cannot be closed either.
        """
        self._producer = None
        self._begin_anew()
        message = f"Kafka at {self._bootstrap} did not answer a transaction within {_ANSWER_S:g} s"
        raise OutcomeUnknown(message)

    def _abort_or_renew(self, producer: Producer, text: str) -> None:
        try:
            producer.abort_transaction(_SETTLE_S)
        except KafkaException as error:
            self._renew(producer)
            raise OutcomeUnknown(text) from error

    def _renew(self, producer: Producer) -> None:
        self._give_up(producer)
        self._begin_anew()

    def _give_up(self, producer: Producer) -> None:
        self._producer = None
        producer.purge()
        _close(producer)

    def _begin_anew(self) -> None:
        """Begin another producer: now, or with the next write if Kafka is away."""
        with contextlib.suppress(Unavailable):
            self._producer = self._begun()

    def _begun(self) -> Producer:
        self._is_disturbed = False
        producer = self._client(self._config)
        try:
            producer.list_topics(
                timeout=_SETTLE_S
            )  # connects; without, the next call may take half a second longer
            producer.init_transactions(_SETTLE_S)
        except KafkaException as error:
            _close(producer)
            raise to_app_error(error, self._bootstrap, "taking the transactional id") from error
        return producer


Within = Callable[[Callable[[], None], float], None]
"""Calls, for at most so many seconds; raises what the call raises, or TimeoutError."""


def call_with_deadline(call: Callable[[], None], limit_s: float) -> None:
    """Call from a thread of its own, which is left behind at the limit.

    Raises:
        TimeoutError: the call has not returned within the limit.
    """
    answer: queue.SimpleQueue[Exception | None] = queue.SimpleQueue()

    def called() -> None:
        try:
            call()
        except Exception as error:
            answer.put(error)
        else:
            answer.put(None)

    threading.Thread(target=called, name="transaction", daemon=True).start()
    try:
        error = answer.get(timeout=limit_s)
    except queue.Empty:
        raise TimeoutError from None
    if error is not None:
        raise error


_FENCES: Final = frozenset(
    {KafkaError._FENCED, KafkaError.INVALID_PRODUCER_EPOCH, KafkaError.PRODUCER_FENCED}
)


def _transaction(
    producer: Producer, records: Sequence[ProducerRecord], progress: OffsetsToCommit | None
) -> None:
    producer.begin_transaction()
    for record in records:
        _produce(producer, record)
    if progress is not None:
        _send_progress(producer, progress)
    producer.commit_transaction()


def _reason(producer: Producer, error: KafkaException) -> KafkaError:
    """Return what went wrong: `produce` says only that it is fatal, a transactional call says why."""
    fault: KafkaError = error.args[0]
    if fault.code() == KafkaError._FATAL:
        try:
            producer.abort_transaction(_SETTLE_S)
        except KafkaException as why:
            return why.args[0]  # type: ignore[no-any-return]
    return fault


def _close(producer: Producer) -> None:
    with warnings.catch_warnings(), contextlib.suppress(KafkaException):
        # It tells again what was fatal, and warns that it cannot abort: there is nothing left to end.
        warnings.simplefilter("ignore", RuntimeWarning)
        producer.close()


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


def _send_progress(producer: Producer, progress: OffsetsToCommit) -> None:
    offsets = [TopicPartition(progress.topic, p, o) for p, o in progress.next_offsets.items()]
    producer.send_offsets_to_transaction(offsets, progress.membership)
