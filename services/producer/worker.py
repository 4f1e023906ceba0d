"""Take what came, decide, publish in one transaction, then ask for what is missing."""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, Protocol

from services.producer.backfill_schedule import BackfillSchedule
from services.producer.event_queue import (
    Event,
    EventQueue,
    RestFailure,
    RestResponse,
    StreamConnected,
    StreamDisconnected,
)
from services.producer.metrics import ProducerMetrics
from services.producer.records import to_producer_records
from services.producer.sequencer import (
    LogEntry,
    ReceivedCandle,
    SymbolCursor,
    Transition,
    UnreadableKline,
    on_rest_klines,
    on_stream_kline,
)
from services.producer.server_time import ServerTime
from shared.adapters.kafka.errors import Aborted, OutcomeUnknown
from shared.adapters.kafka.producer import ProducerRecord
from shared.core.errors import Unavailable
from shared.core.topics import Topics, interval_ms

log = logging.getLogger("ulstm")

TURN_S: Final = 0.2
RECORDS_AT_MOST: Final = 2_000  # of one transaction, which holds back every reader while it is open
TIME_AGE_S: Final = 2.0


class RecordWriter(Protocol):
    """Writes in transactions."""

    def write(self, records: Sequence[ProducerRecord]) -> None:
        """Write records: all or nothing."""

    def close(self) -> None:
        """Close the connection."""


class RestRequests(Protocol):
    """Asks REST; answers come by the inbox."""

    def ask(self, place: SymbolCursor) -> None:
        """Ask for klines from a place on."""

    def ask_time(self) -> None:
        """Ask for exchange time."""


class ProducerWorker:
    """Where each symbol stands in the log. Memory follows the log: after a doubtful commit it is read again."""

    def __init__(  # noqa: PLR0913 - the parts list
        self,
        topics: Topics,
        standing: Callable[[], Mapping[str, SymbolCursor]],
        writer: Callable[[], RecordWriter],
        inbox: EventQueue,
        agenda: BackfillSchedule,
        asking: RestRequests,
        exchange_time: ServerTime,
        measures: ProducerMetrics,
    ) -> None:
        """Prepare; `recover` comes before the first turn.

        Args:
            topics: of this deployment.
            standing: reads the log for the place of each followed symbol.
            writer: takes the transactional id.
            inbox: what the threads bring.
            agenda: what is to be asked.
            asking: who asks.
            exchange_time: as last heard.
            measures: what is told about all this.
        """
        self._topics, self._standing, self._new_writer = topics, standing, writer
        self._inbox, self._agenda, self._asking, self._time = inbox, agenda, asking, exchange_time
        self._measures = measures
        self._step_ms = interval_ms(topics.interval)
        self._time_asked_s = 0.0
        self._rest_answers = True
        self._writer: RecordWriter | None = None
        self._places: dict[str, SymbolCursor] = {}

    def run_once(self) -> None:
        """Do one round; wait a little if there is nothing to do.

        Raises:
            Fenced: another process writes candles now.
            Unavailable: Kafka does not answer; `recover` before the next turn.
        """
        events = self._inbox.take(TURN_S)
        entries = [entry for event in events for entry in self._said(event)]
        for at in range(0, len(entries), RECORDS_AT_MOST):
            if not self._published(entries[at : at + RECORDS_AT_MOST]):
                break
        self._ask()
        self._measures.standing(self._agenda.behind(), self._places, self._time.ms)

    def recover(self) -> None:
        """Take the transactional id, then read where each symbol stands: in this order no other writer can add.

        Raises:
            Unavailable: Kafka does not answer; recover again.
        """
        self.close()
        self._writer = self._new_writer()
        self._reread()

    def close(self) -> None:
        """Close the connection to Kafka; nothing is open between turns."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _said(self, event: Event) -> Iterator[LogEntry]:
        """Take an event in; yield what to write for it."""
        if isinstance(event, ReceivedCandle):
            yield from self._stream_kline(event)
        elif isinstance(event, UnreadableKline):  # REST will be asked for it when it is overdue
            yield event
        elif isinstance(event, RestResponse):
            yield from self._answer(event)
        elif isinstance(event, RestFailure):
            self._no_answer(event)
        elif isinstance(event, StreamConnected):
            log.info("the stream is connected")
            self._agenda.catch_up(self._places, self._time.ms)
        elif isinstance(event, StreamDisconnected):
            raise event.error

    def _stream_kline(self, kline: ReceivedCandle) -> tuple[LogEntry, ...]:
        place = self._places.get(kline.symbol)
        if place is None:
            log.warning("the stream gives klines of %s, which was not asked for", kline.symbol)
            return ()
        move = on_stream_kline(place, kline, self._step_ms)
        if move.place.early:
            self._agenda.expedite(kline.symbol)
        return self._moved(move)

    def _answer(self, answer: RestResponse) -> tuple[LogEntry, ...]:
        self._rest_answers = True
        before = self._places[answer.symbol]
        move = on_rest_klines(before, answer.asked_from_ms, answer.rows, self._step_ms)
        after = move.place
        again = answer.full or after.unreadable_asks > before.unreadable_asks or bool(after.early)
        moved = after.next_ms > before.next_ms
        self._agenda.on_response(answer.symbol, time.monotonic(), moved=moved, full=again)
        return self._moved(move)

    def _no_answer(self, event: RestFailure) -> None:
        """Ask again later. Only the first of a row of failures is a warning: there may be one for each symbol."""
        log.log(logging.WARNING if self._rest_answers else logging.DEBUG, "%s", event.why)
        self._rest_answers = False
        self._measures.unanswered.inc()
        self._agenda.failed(event.symbol, time.monotonic())

    def _moved(self, move: Transition) -> tuple[LogEntry, ...]:
        self._places[move.place.symbol] = move.place
        self._measures.stale.inc(move.stale)
        return move.entries

    def _published(self, entries: Sequence[LogEntry]) -> bool:
        if self._writer is None:
            raise Unavailable("no transactional id has been taken yet")
        now_ms = time.time_ns() // 1_000_000
        try:
            self._writer.write(
                [to_producer_records(entry, self._topics, now_ms) for entry in entries]
            )
        except (Aborted, OutcomeUnknown) as error:
            log.warning("%s; reading where each symbol stands", error)
            self._measures.aborts.inc()
            self._reread()
            return False
        self._measures.published(entries, time.time_ns() // 1_000_000)
        return True

    def _reread(self) -> None:
        self._places = dict(self._standing())
        self._agenda.catch_up(self._places, self._time.ms)

    def _ask(self) -> None:
        now_s = time.monotonic()
        for place in self._agenda.due(self._places, self._time.ms, now_s):
            self._asking.ask(place)
        if self._time.age_s() > TIME_AGE_S and now_s - self._time_asked_s > TIME_AGE_S:
            self._time_asked_s = now_s
            self._asking.ask_time()


def run_until_stopped(
    loop: ProducerWorker,
    stop: threading.Event,
    retry: Callable[[Callable[[], None]], None],
    after_turn: Callable[[], None],
    unavailable: Callable[[str], None],
) -> None:
    """Recover, then take turns until stop is set.

    Args:
        loop: what to do.
        stop: when to end.
        retry: calls again while a server does not answer; raises StopRequested once stop is set.
        after_turn: what is done after each.
        unavailable: told why there are no turns for a while.
    """
    retry(loop.recover)
    while not stop.is_set():
        try:
            loop.run_once()
        except Unavailable as error:
            log.warning("%s; beginning again from the log", error)
            unavailable(str(error))
            retry(loop.recover)
        after_turn()
