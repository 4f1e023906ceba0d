"""Writing in transactions: all of a batch is visible, or nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException, Producer, TopicPartition

from shared.adapters.kafka.failures import Aborted, Fenced, OutcomeUnknown, translated

TRANSACTION_MS: Final = 10_000  # an open transaction holds back every reader
_SETTLE_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A record to write."""

    topic: str
    partition: int
    key: bytes | None
    value: bytes | None
    timestamp_ms: int
    headers: list[tuple[str, bytes]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Progress:
    """What a consumer group has read, committed with what it led to."""

    topic: str
    next_offsets: Mapping[int, int]
    membership: Any  # of the group at the moment the batch was read


class TransactionalWriter:
    """A producer with a transactional id.

    librdkafka lacks KIP-890, so a late request of an unsettled transaction could hit the next one. The rule that
    protects us: after any error that is not "abort this transaction", the producer is closed and made anew under the
    same id, which settles the old transaction and fences its late requests.
    """

    def __init__(self, bootstrap: str, transactional_id: str, **options: str | int) -> None:
        """Take the id: fences an older process that has it.

        Raises:
            Unavailable: Kafka does not answer.
        """
        self._bootstrap = bootstrap
        self._config: dict[str, Any] = {
            "bootstrap.servers": bootstrap,
            "transactional.id": transactional_id,
            "transaction.timeout.ms": TRANSACTION_MS,
            "compression.type": "lz4",
            "linger.ms": 0,
            "message.max.bytes": 64 * 1024 * 1024,
            "log_level": 0,
            **options,
        }
        self._producer = self._begun()

    def write(self, records: Sequence[Outgoing], progress: Progress | None = None) -> None:
        """Write records, and the group's progress, in one transaction.

        Raises:
            Aborted: nothing of it is visible.
            OutcomeUnknown: it may be; the log tells.
            Fenced: another process has this transactional id now.
        """
        try:
            self._producer.begin_transaction()
            for record in records:
                self._produce(record)
            if progress is not None:
                self._send_progress(progress)
            self._producer.commit_transaction()
        except KafkaException as error:
            self._settle(error)

    def close(self) -> None:
        """Close the connection; nothing is open between writes."""
        self._producer.close()

    def _produce(self, record: Outgoing) -> None:
        while True:
            try:
                self._producer.produce(
                    record.topic,
                    partition=record.partition,
                    key=record.key,
                    value=record.value,
                    timestamp=record.timestamp_ms,
                    headers=list(record.headers),
                )
            except BufferError:  # the client's queue is full: let it send
                self._producer.poll(0.1)
            else:
                return

    def _send_progress(self, progress: Progress) -> None:
        offsets = [TopicPartition(progress.topic, p, o) for p, o in progress.next_offsets.items()]
        self._producer.send_offsets_to_transaction(offsets, progress.membership)

    def _settle(self, error: KafkaException) -> None:
        fault: KafkaError = error.args[0]
        text = f"transaction on Kafka at {self._bootstrap}: {fault.str()} ({fault.name()})"
        if fault.code() in {
            KafkaError._FENCED,
            KafkaError.INVALID_PRODUCER_EPOCH,
            KafkaError.PRODUCER_FENCED,
        }:
            message = f"{text}; another process runs under the same transactional id: stop one of them"
            raise Fenced(message) from error
        if fault.txn_requires_abort():
            self._abort_or_renew(text)
            raise Aborted(text) from error
        self._renew()
        raise OutcomeUnknown(text) from error

    def _abort_or_renew(self, text: str) -> None:
        try:
            self._producer.abort_transaction(_SETTLE_S)
        except KafkaException as error:
            self._renew()
            raise OutcomeUnknown(text) from error

    def _renew(self) -> None:
        self._producer.purge()
        self._producer.close()
        self._producer = self._begun()

    def _begun(self) -> Producer:
        producer = Producer(self._config)
        try:
            producer.init_transactions(_SETTLE_S)
        except KafkaException as error:
            producer.close()
            raise translated(error, self._bootstrap, "taking the transactional id") from error
        return producer
