"""Watch Kafka's answers.

Kafka's client tells nobody that the brokers are gone: a consumer then has no records, as it has in
any quiet minute. So a thread asks now and then, over a connection of its own.
"""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Final, Self

from confluent_kafka import Consumer, KafkaException

from shared.adapters.kafka.connection import READER_GROUP, KafkaConnection
from shared.adapters.kafka.errors import to_app_error

ASK_S: Final = 3.0  # between two questions
SILENCE_S: Final = 10.0  # without an answer, after which Kafka counts as away
_ANSWER_S: Final = 5.0  # to wait for an answer
_NAMED: Final = 5  # partitions in a message


class ContactRecord:
    """Kafka's last answer and its time. Times are of the monotonic clock, in seconds."""

    def __init__(self, kafka: str, topic: str, now_s: float) -> None:
        """Begin without an answer."""
        self._kafka, self._topic, self._answered_s = kafka, topic, now_s
        self._error = "it was not asked yet"
        self._leaderless: Sequence[int] = ()
        self._has_answered = False

    def note_answer(self, leaderless: Sequence[int], now_s: float) -> None:
        """Note an answer, and the partitions of the topic that have no leader."""
        self._leaderless, self._answered_s, self._has_answered = leaderless, now_s, True

    def note_failure(self, error: str) -> None:
        """Note why there was no answer."""
        self._error = error

    def problem(self, now_s: float) -> str | None:
        """Return the problem with Kafka, or None."""
        silent_s = now_s - self._answered_s
        if not self._has_answered or silent_s > SILENCE_S:
            return f"Kafka at {self._kafka} has not answered for {silent_s:.0f} s: {self._error}"
        if self._leaderless:
            places = ", ".join(map(str, self._leaderless[:_NAMED]))
            return f"no broker leads {len(self._leaderless)} partitions of {self._topic}: {places}"
        return None


class KafkaContact:
    """Asks Kafka for a topic from a thread, as long as the context lasts."""

    def __init__(
        self,
        kafka: KafkaConnection,
        topic: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take Kafka's connection, and the topic whose partitions need leaders."""
        self._kafka, self._topic, self._clock = kafka, topic, clock
        self._record, self._stop = ContactRecord(str(kafka), topic, clock()), threading.Event()

    def problem(self) -> str | None:
        """Return the problem with Kafka, or None; any thread may ask, and nobody waits."""
        return self._record.problem(self._clock())

    def __enter__(self) -> Self:
        """Begin to ask."""
        threading.Thread(target=self._run, name="kafka-contact", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        """Ask no more; a question that is under way ends by itself."""
        self._stop.set()

    def _run(self) -> None:
        config = {"group.id": READER_GROUP, "reconnect.backoff.max.ms": 1_000}
        consumer = Consumer(self._kafka.client_config(config))
        while not self._stop.is_set():
            self._ask(consumer)
            self._stop.wait(ASK_S)
        consumer.close()

    def _ask(self, consumer: Consumer) -> None:
        try:
            topic = consumer.list_topics(self._topic, timeout=_ANSWER_S).topics[self._topic]
        except KafkaException as error:
            self._record.note_failure(str(to_app_error(error, self._kafka, "asking for topics")))
            return
        leaderless = [number for number, one in topic.partitions.items() if one.leader < 0]
        self._record.note_answer(sorted(leaderless), self._clock())
