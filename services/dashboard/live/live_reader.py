"""The thread that reads the topics and keeps the board."""

import logging
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Final

from services.dashboard.live.board import Champion, LiveBoard
from services.dashboard.live.champion_time import find_first_candle_ms
from services.dashboard.live.summary import Reading
from services.dashboard.live.topic_feed import TopicFeed
from services.dashboard.live.update_publisher import UpdatePublisher
from services.dashboard.live.window_fill import KafkaPartition, WindowFill
from services.dashboard.settings import DashboardSettings
from shared.adapters.kafka.admin import topic_id
from shared.adapters.kafka.tail import TailRecord, TopicTail
from shared.adapters.retry import Backoff
from shared.core.errors import UlstmError, Unavailable, Unknown
from shared.core.topics import interval_ms
from shared.log.feed_pace import FeedPace

log = logging.getLogger(__name__)

_BEGINNING: Final = "reading the newest candles"
_TAIL: Final = 2_000  # records per partition that are shown at once
_POLLED: Final = 2_000
_POLL_S: Final = 0.1
_FILLING_POLL_S: Final = 0.02  # half of the time is left to the newest records
_REQUEST_S: Final = 2.0
_LAST_FETCH_S: Final = 10.0
_FIRST_FETCH_S: Final = 0.5  # may pass before the first record of the topics' ends is here
_RETRY_S: Final = 1.0
_COMPARE_S: Final = 60.0  # after which the topics' identity is looked at, whatever happens
_SLICE_S: Final = 0.5  # of a wait: the browsers hear of us meanwhile
_CHECK_S: Final = 5.0  # of silence, after which the broker is asked whether it is there


@dataclass(slots=True)
class _Session:
    """The connections to Kafka, and what was heard over them; times of the monotonic clock."""

    tail: TopicTail
    fill: WindowFill
    topic_id: str
    opened_s: float
    heard_s: float = 0.0
    checked_s: float = 0.0
    compared_s: float = 0.0

    def is_new(self, item: TailRecord) -> bool:
        """Return whether a record was not there yet when the session began."""
        end = self.tail.spans[item.topic, item.record.partition][1]
        return item.record.offset >= end


class LiveReader:
    """Follows the topics whatever happens to Kafka; reads only, and joins no consumer group."""

    def __init__(
        self,
        settings: DashboardSettings,
        publisher: UpdatePublisher,
        watched_symbols: Callable[[], frozenset[str]],
    ) -> None:
        """Connect to nothing yet.

        Args:
            settings: where to read.
            publisher: takes the changes.
            watched_symbols: returns the symbols whose records are wanted as well.
        """
        self._settings, self._publisher = settings, publisher
        self._kafka, self._topics = settings.kafka, settings.topics
        self._feed = self._create_feed()
        self._reading = Reading(settings.interval, loading=_BEGINNING)
        self._champion: Champion | None = None  # whose beginning is known
        self._champion_asked_s = 0.0
        self._watched_symbols = watched_symbols

    def run_until_stopped(self, stop: threading.Event) -> None:
        """Read until stop is set. What goes wrong is shown as the page's state."""
        self._publish()  # so that browsers are told at once that all is loading
        backoff = Backoff()
        while not stop.is_set():
            try:
                with ExitStack() as resources:
                    session = self._open(resources)
                    backoff = Backoff()
                    self._follow(session, stop)
            except UlstmError as error:
                self._wait(error, backoff.next_s(), stop)

    def _open(self, resources: ExitStack) -> _Session:
        """Start at the newest records, with a board of its own.

        Raises:
            Unavailable: Kafka does not answer.
            Unknown: it has no such topics.
        """
        topics = self._topics
        followed = [topics.klines, topics.predictions, topics.dead_letters]
        tail = TopicTail(self._kafka, followed, _TAIL, _REQUEST_S)
        resources.callback(tail.close)
        tail.check()
        feed = self._create_feed()
        starts = {
            KafkaPartition(topic, partition): start
            for (topic, partition), (start, _) in tail.spans.items()
            if topic != topics.dead_letters
        }
        fill = WindowFill(self._kafka, topics, feed, starts)
        resources.callback(fill.close)
        self._feed = feed
        self._reading = Reading(self._settings.interval, loading=_BEGINNING)
        now_s = time.monotonic()
        return _Session(tail, fill, self._read_topic_id(), now_s, compared_s=now_s)

    def _follow(self, session: _Session, stop: threading.Event) -> None:
        """Read until stop is set, or until the topics are others."""
        while not stop.is_set():
            is_filling = self._reading.is_caught_up and bool(self._reading.loading)
            records = session.tail.poll(_POLLED, _FILLING_POLL_S if is_filling else _POLL_S)
            # After the poll: what was read before is in the log that a new watcher reads first.
            self._feed.watched = self._watched_symbols()
            self._add(session, records)
            if not self._check_connection(session):
                return
            if is_filling and not self._reading.kafka_error:
                self._fill(session)
            self._find_champion_time(session)
            self._feed.set_lag(session.tail.lag())
            self._publish()

    def _add(self, session: _Session, records: list[TailRecord]) -> None:
        """Add records; those that were there at the start tell nothing about latencies."""
        now_ms, now_s = time.time() * 1000, time.monotonic()
        for is_new, group in groupby(records, session.is_new):
            self._feed.add(group, now_ms if is_new else None)
        self._feed.count_read(records)
        if records:
            session.heard_s = now_s
        # A feed that never pauses does not keep the recent window waiting for ever.
        limit_s = _LAST_FETCH_S if records else _FIRST_FETCH_S
        if now_s - session.opened_s > limit_s and not self._reading.is_caught_up:
            self._reading = replace(self._reading, is_caught_up=True)

    def _fill(self, session: _Session) -> None:
        session.fill.step()
        self._reading = replace(self._reading, loading=session.fill.progress)
        if not self._reading.loading:
            self._feed.board.finish_window()
            log.info("read the recent candles of %d symbols", len(self._feed.board.symbols))

    def _check_connection(self, session: _Session) -> bool:
        """Ask a broker that is silent, or was away; return False if its topics are others."""
        now_s, was_away = time.monotonic(), bool(self._reading.kafka_error)
        must_compare = (
            was_away or session.tail.was_disconnected or now_s - session.compared_s > _COMPARE_S
        )
        is_silent = now_s - max(session.heard_s, session.checked_s) > _CHECK_S
        if not (must_compare or is_silent) or now_s - session.checked_s < _RETRY_S:
            return True
        session.checked_s, session.tail.was_disconnected = now_s, False
        try:
            session.tail.check()
            # After an outage the topics may be new ones, with offsets that mean other records.
            is_same = not must_compare or self._read_topic_id() == session.topic_id
        except Unknown:
            return False  # deleted: wait for them as at the start
        except UlstmError as error:
            self._show(error)
            return True
        session.compared_s = now_s if must_compare else session.compared_s
        self._on_answer()
        return is_same

    def _read_topic_id(self) -> str:
        return topic_id(self._kafka, self._topics.klines)

    def _on_answer(self) -> None:
        if self._reading.kafka_error:
            log.info("Kafka at %s answers again", self._kafka)
            self._reading = replace(self._reading, kafka_error="")

    def _show(self, error: UlstmError) -> None:
        """Show what went wrong as the page's state."""
        if not (self._reading.kafka_error or self._reading.missing_topic):
            log.warning("%s; trying again", error)
        if isinstance(error, Unknown):
            text = f"{error} yet: the producer creates it"
            self._reading = replace(self._reading, missing_topic=text, kafka_error="")
        else:
            self._reading = replace(self._reading, kafka_error=str(error), missing_topic="")

    def _wait(self, error: UlstmError, seconds: float, stop: threading.Event) -> None:
        """Show what went wrong, and let the browsers know that we are there."""
        self._show(error)
        ends_s = time.monotonic() + seconds
        while not stop.is_set() and (left_s := ends_s - time.monotonic()) > 0.0:
            self._publish()
            stop.wait(min(left_s, _SLICE_S))

    def _find_champion_time(self, session: _Session) -> None:
        """Look up once since when the champion has been it; again later if no candle came yet."""
        board, now_s = self._feed.board, time.monotonic()
        champion = board.champion
        if (
            champion is None
            or board.champion_since_ms is not None
            or not self._reading.is_caught_up
        ):
            return
        if now_s - self._champion_asked_s < _CHECK_S and champion == self._champion:
            return
        self._champion, self._champion_asked_s = champion, now_s
        with suppress(Unavailable):
            board.champion_since_ms = find_first_candle_ms(
                self._kafka, self._topics, self._settings.codec, champion
            )

    def _publish(self) -> None:
        self._publisher.publish_if_due(self._feed, self._reading, time.time() * 1000)

    def _create_feed(self) -> TopicFeed:
        settings = self._settings
        interval, partitions = interval_ms(settings.interval), settings.symbol_groups
        pace = FeedPace(interval, settings.dashboard_stale_after_s)
        board = LiveBoard(pace, partitions, settings.dashboard_candles)
        return TopicFeed(board, self._topics, settings.codec)
