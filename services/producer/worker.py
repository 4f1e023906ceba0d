"""The producer's loop: take events, decide, append in a transaction, request missing candles."""

import logging
import threading
import time
from collections.abc import Callable, Collection, Sequence
from math import inf
from typing import Final

from services.producer.backfill.backfill import Backfill
from services.producer.backfill.refused_entries import RefusedEntries
from services.producer.backfill.sequencer import CorrectedCandle, LogEntry
from services.producer.event_queue import Inbox
from services.producer.feed_decisions import FeedDecisions
from services.producer.market.tracker import MarketTracker
from services.producer.metrics import ProducerMetrics
from services.producer.ports import CandleLog, KlineRequester
from shared.adapters.kafka.errors import Aborted, OutcomeUnknown, Refused
from shared.adapters.retry import retry_until_available
from shared.core.errors import Unavailable
from shared.core.records import Gap, SymbolStatus
from shared.core.timestamps import format_timestamp

log = logging.getLogger(__name__)

POLL_S: Final = 0.2
REPORT_S: Final = 1.0  # between two looks at every symbol
# An open transaction holds back every reader of the topic, so it is kept short.
MAX_RECORDS_PER_TRANSACTION: Final = 2_000


class ProducerWorker:
    """Keeps each symbol's cursor; after a failed commit they are read from the log again."""

    def __init__(
        self,
        candle_log: CandleLog,
        inbox: Inbox,
        backfill: Backfill,
        market: MarketTracker,
        requester: KlineRequester,
        metrics: ProducerMetrics,
    ) -> None:
        """Store the parts; call `recover` before the first `run_once`.

        Args:
            candle_log: the log to append to.
            inbox: what the other threads report.
            backfill: decides what to request, and what the pages prove.
            market: adds the market's move to the candles.
            requester: sends the requests.
            metrics: counts what was published.
        """
        self._log, self._inbox, self._backfill = candle_log, inbox, backfill
        self._market, self._requester, self._metrics = market, requester, metrics
        self._finality, self._monotonic_s = backfill.finality, inbox.clock.monotonic_s
        self._decisions = FeedDecisions(inbox.clock, backfill, market, metrics)
        self._refused = RefusedEntries()
        self._closed_ms = 0  # the exchange's time in the last round
        self._next_report_s = -inf
        self._logged_until_ms = 0  # the log has candles up to here, of one symbol at least

    def recover(self) -> None:
        """Become the only writer of the log and read where each symbol is.

        Raises:
            Unavailable: Kafka does not answer; recover again.
        """
        # In this order: once other writers are fenced, nothing can be added behind the positions
        # that are read.
        self._log.open()
        self._read_cursors()
        self._read_tail()

    def follow(self, symbols: Collection[str]) -> None:
        """Add symbols: each goes on where the log has it, or begins like a new one.

        Call it on the thread that runs the worker; the log is read in its next round.
        """
        self._decisions.follow(symbols)

    def unfollow(self, symbol: str) -> None:
        """Append no more candles of a symbol; what is still on its way is dropped.

        Call it on the thread that runs the worker.
        """
        self._decisions.unfollow(symbol)
        self._requester.drop(symbol)

    def run_until_stopped(self, stop: threading.Event, report: Callable[[], None]) -> None:
        """Recover, then run until stop is set; recover again whenever Kafka was away.

        Args:
            stop: ends the loop.
            report: called after each round.

        Raises:
            Fenced: another process has become the writer.
            StopRequested: stop was set during a recovery.
        """
        retry_until_available(stop, self.recover, self._metrics.report_unavailable)
        while not stop.is_set():
            try:
                self.run_once()
            except Unavailable as error:
                log.warning("%s; recovering from the log", error)
                self._metrics.report_unavailable(str(error))
                retry_until_available(stop, self.recover, self._metrics.report_unavailable)
            report()

    def run_once(self) -> None:
        """Handle the events that are waiting; wait a little if there are none.

        Raises:
            Fenced: another process has become the writer.
            Unavailable: Kafka does not answer; recover before the next call.
        """
        # 0. What Kafka refuses for good is not offered all the time, and nothing is asked for.
        if self._refused.must_wait(self._monotonic_s()):
            self._metrics.report_unavailable(self._refused.reason)
            time.sleep(POLL_S)
            return
        # 1. Find where symbols that are followed since the last round stand in the log.
        self._place_new_symbols()
        # 2. Decide. The cursors in memory are now ahead of the log.
        events = self._inbox.events.drain(0.0 if self._decisions.releases_more else POLL_S)
        entries = self._decisions.decide(events, self._inbox.prices.drain())
        # 3. Append. After a failure the rest is dropped too: the cursors are back where the log
        #    is, and REST gives everything from there again.
        self._publish_all([*self._refused.take(), *entries])
        # 4. Request what is missing, only now that the cursors agree with the log.
        self._market.tidy_up(entries)
        self._drop_ended_symbols()
        if not self._refused.must_wait(self._monotonic_s()):
            self._request_missing()
        self._report()

    def _place_new_symbols(self) -> None:
        closed_ms, was_ms = self._inbox.clock.read().closed_ms, self._closed_ms
        self._closed_ms = closed_ms
        if closed_ms < was_ms - 2 * self._backfill.interval_ms:
            # The clock was wrong: so is where the history of new symbols was to begin.
            self._decisions.forget_new()
        if new := self._decisions.unplaced():
            self._decisions.place(self._log.read_cursors(new))

    def _drop_ended_symbols(self) -> None:
        for symbol in self._decisions.take_ended():
            self._requester.drop(symbol)
            self._inbox.ended.put(symbol)

    def _request_missing(self) -> None:
        for request in self._decisions.take_requests(self._logged_until_ms):
            self._requester.request_klines(request)

    def _report(self) -> None:
        self._metrics.report_market(self._market)
        self._metrics.report_finality(self._finality.compared, self._inbox.clock.implausible)
        server_ms, now_s = self._inbox.clock.read().now_ms, self._monotonic_s()
        if now_s >= self._next_report_s:
            self._next_report_s = now_s + REPORT_S
            facts = self._backfill.collect_facts(
                self._decisions.cursors, server_ms, self._decisions.halted
            )
            self._metrics.report_symbols(facts, server_ms, _wall_ms(), now_s)
        if self._refused.must_wait(now_s):
            self._metrics.report_unavailable(self._refused.reason)

    def _publish_all(self, entries: Sequence[LogEntry]) -> None:
        for first in range(0, len(entries), MAX_RECORDS_PER_TRANSACTION):
            try:
                if not self._publish(entries[first : first + MAX_RECORDS_PER_TRANSACTION]):
                    return
            except Refused as error:
                self._metrics.aborts.inc()
                if not self._refused.keep(entries[first:], error, self._monotonic_s()):
                    self._start_over(entries[first:])
                return
        if entries:
            self._refused.on_accepted()

    def _publish(self, entries: Sequence[LogEntry]) -> bool:
        """Append entries; return False, with the cursors read again, if the commit failed."""
        try:
            self._log.append(entries)
        except Refused:
            raise
        except (Aborted, OutcomeUnknown) as error:
            log.warning("%s; reading the position of each symbol from the log", error)
            self._metrics.aborts.inc()
            self._start_over(entries)
            return False
        self._decisions.on_committed(entries)
        self._metrics.count_published(entries, _wall_ms(), self._inbox.clock.read())
        _log_events(entries)
        return True

    def _start_over(self, entries: Sequence[LogEntry]) -> None:
        """Go on from where the log is: entries are not in it, or nobody knows."""
        self._read_cursors()
        self._finality.forget(entries)
        self._read_tail()

    def _read_cursors(self) -> None:
        self._finality.forget(self._refused.take())  # they come again by REST
        cursors = self._log.read_cursors(self._backfill.symbols)
        logged = (each.next_open_time_ms for each in cursors.values() if not each.is_new)
        self._logged_until_ms = max(logged, default=0)
        self._decisions.start_over(cursors)

    def _read_tail(self) -> None:
        self._log.read_tail(self._logged_until_ms, self._finality.tails.append)


def _log_events(entries: Sequence[LogEntry]) -> None:
    """Log what is in the log now besides ordinary candles."""
    for entry in entries:
        match entry:
            case Gap():
                begin, end = entry.from_open_time_ms, entry.until_open_time_ms
                times = format_timestamp(begin), format_timestamp(end)
                log.info("%s: the exchange has no candles from %s to %s", entry.symbol, *times)
            case SymbolStatus():
                log.info("%s is %s: %s", entry.symbol, entry.status, entry.reason)
            case CorrectedCandle():
                at = format_timestamp(entry.candle.open_time_ms)
                log.info("%s: %s of the candle of %s", entry.symbol, entry.kind, at)


def _wall_ms() -> int:
    return time.time_ns() // 1_000_000
