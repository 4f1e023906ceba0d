"""Keep the followed symbols up to date, on threads of its own.

One thread decides: it takes the user's wishes from the topic `control`, the exchange's lists, and
the symbols whose end is recorded. The other only requests lists, since an exchange may answer late:
a wish never waits for it.
"""

import logging
import queue
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Final, TypeVar

from services.producer.event_queue import EventQueue, Inbox
from services.producer.events import SymbolsChanged, ThreadFailure
from services.producer.market.selection import Listing
from services.producer.ports import ListedSymbols, RestClient, SymbolStream
from services.producer.symbols.followed_set import FollowedSet
from shared.adapters.logs import Outage
from shared.core.control import SymbolControl
from shared.core.errors import Unavailable
from shared.log.control_topic import ControlTopic

log = logging.getLogger(__name__)
T = TypeVar("T")

POLL_S: Final = 0.5  # of the topic `control`
RETRY_S: Final = 2.0  # after Kafka did not answer
TICKERS_S: Final = 3_600.0  # between two rankings of the most traded


@dataclass(frozen=True, slots=True)
class ListingOptions:
    """Seconds between two lists of the exchange, and whether tickers are needed too."""

    refresh_s: float
    needs_tickers: bool


class SymbolWatcher:
    """Follows wishes and lists; tells the worker and the stream what changes."""

    def __init__(
        self,
        followed: FollowedSet,
        control: ControlTopic,
        open_rest: Callable[[], RestClient],
        options: ListingOptions,
    ) -> None:
        """Store the parts; `begin` reads for the first time.

        Args:
            followed: decides.
            control: the topic of wishes and members.
            open_rest: returns a client of the exchange.
            options: how often to request lists.
        """
        self._followed, self._control = followed, control
        self._open_rest, self._options = open_rest, options
        self._readings: queue.SimpleQueue[ListedSymbols] = queue.SimpleQueue()
        self._next_tickers_s = 0.0
        self._lists_outage = Outage(log)
        self._left: list[SymbolControl] = []
        self.listing = Listing((), {})

    def begin(self) -> SymbolsChanged:
        """Return the symbols to start with.

        A list is needed only where nothing is wanted by its name and nothing was followed before.

        Raises:
            Unavailable: Kafka does not answer, or nothing can be followed yet.
        """
        self._followed.control = self._control.refresh()
        reason = self._read_first_list()
        changes = self._followed.pending_changes()
        if not changes.joining:
            raise Unavailable(reason or "the exchange lists no symbol that SYMBOLS selects")
        if reason:
            count = len(changes.joining)
            log.warning("starting with %d symbols that could not be checked: %s", count, reason)
        if unwanted := self._followed.find_unwanted_members():
            log.warning(
                "%d symbols, such as %s, were followed before and are in SYMBOLS no more: `ulstm"
                " symbols remove` ends them in the log",
                len(unwanted),
                unwanted[0],
            )
        self._publish(changes)
        self._apply(changes)
        return changes

    def run(self, stream: SymbolStream, inbox: Inbox, stop: threading.Event) -> None:
        """Decide until stop is set; an error goes to the event queue."""
        outage = Outage(log)
        try:
            while not stop.is_set():
                try:
                    self._run_once(stream, inbox)
                except Unavailable as error:
                    outage.report("the followed symbols stay as they are: %s", error)
                    stop.wait(RETRY_S)
                else:
                    outage.end("the followed symbols can change")
        except Exception as error:  # of any kind: the worker raises it, on the main thread
            inbox.events.put(ThreadFailure(error))
        finally:
            self._control.close()

    def run_listing(self, events: EventQueue, stop: threading.Event) -> None:
        """Request lists until stop is set; an error goes to the event queue."""
        try:
            with closing(self._open_rest()) as rest:
                while not stop.wait(self._options.refresh_s):
                    self._request_lists(rest)
        except Exception as error:  # of any kind: the worker raises it, on the main thread
            events.put(ThreadFailure(error))

    def _run_once(self, stream: SymbolStream, inbox: Inbox) -> None:
        # 1. Take what is new. Without it there is nothing to decide.
        has_wishes = self._control.poll(POLL_S)
        ended, readings = list(_drain(inbox.ended)), list(_drain(self._readings))
        if not (has_wishes or ended or readings or self._left):
            return
        self._end(ended, stream)
        for reading in readings:
            self._take(reading)
        # 2. Decide. Members are recorded before they are followed: what is in the log is then
        #    known after a restart, whatever the exchange lists at that time.
        changes = self._followed.pending_changes()
        self._publish(changes)
        self._apply(changes)
        # 3. Tell the others.
        if changes.joining:
            log.info("following %d more symbols: %s", len(changes.joining), _names(changes.joining))
            stream.follow(list(changes.joining))
        if changes.joining or changes.observed:
            inbox.events.put(changes)

    def _read_first_list(self) -> str:
        """Read the exchange's list; return why that is not possible, empty if it is."""
        try:
            with closing(self._open_rest()) as rest:
                self._take(self._fetch(rest))
        except Unavailable as error:
            return str(error)
        return ""

    def _request_lists(self, rest: RestClient) -> None:
        try:
            self._readings.put(self._fetch(rest))
            self._lists_outage.end("the exchange lists its symbols")
        except Unavailable as error:
            self._lists_outage.report("the followed symbols stay as they are: %s", error)

    def _fetch(self, rest: RestClient) -> ListedSymbols:
        listed = rest.list_symbols()
        if not self._options.needs_tickers or time.monotonic() < self._next_tickers_s:
            return ListedSymbols(listed)
        tickers = rest.fetch_tickers()
        self._next_tickers_s = time.monotonic() + TICKERS_S
        return ListedSymbols(listed, tickers)

    def _take(self, reading: ListedSymbols) -> None:
        if not self._followed.on_listing(reading.symbols, time.monotonic()):
            log.warning("the exchange listed only %d symbols: ignored", len(reading.symbols))
        if reading.tickers:
            self._followed.on_tickers(reading.tickers)

    def _end(self, ended: Sequence[str], stream: SymbolStream) -> None:
        now_ms = time.time_ns() // 1_000_000
        for symbol in ended:
            log.info("%s is followed no more", symbol)
            self._followed.on_ended(symbol)
            stream.unfollow([symbol])
            self._left.append(SymbolControl(symbol, "left", now_ms))

    def _publish(self, changes: SymbolsChanged) -> None:
        now_ms = time.time_ns() // 1_000_000
        members = self._followed.control.members
        joined = [
            SymbolControl(symbol, "joined", now_ms, reason)
            for symbol, reason in changes.joining.items()
            if symbol not in members
        ]
        if self._left or joined:
            self._control.publish([*self._left, *joined])
            self._left.clear()

    def _apply(self, changes: SymbolsChanged) -> None:
        self._followed.apply(changes)
        self.listing = Listing(tuple(self._followed.followed), self._followed.listed)


def _drain(source: "queue.SimpleQueue[T]") -> Iterable[T]:
    while not source.empty():
        yield source.get()


def _names(symbols: Iterable[str]) -> str:
    names = sorted(symbols)
    return ", ".join(names[:5]) + (" ..." if len(names) > 5 else "")
