"""The symbols that browsers look at, each kept up to date once for all of them."""

import asyncio
import logging
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field

from services.dashboard.ports import HistorySource, RecordFollower, RecordsBySymbol
from services.dashboard.web.event_hub import EventHub, encode_event
from shared.adapters.schemas.wire import dump_plain
from shared.core.errors import UlstmError
from shared.core.online.prediction import Prediction
from shared.core.records import Record

log = logging.getLogger(__name__)

Records = Sequence[Record | Prediction]


@dataclass(slots=True)
class _Watched:
    """A symbol that somebody looks at. Its newest day is read while new records wait."""

    opening: asyncio.Task[None]
    follower: RecordFollower | None = None
    waiting: list[Record | Prediction] = field(default_factory=list)


class SymbolFollowers:
    """Adds new records to the watched symbols' newest day, and publishes what that changes."""

    def __init__(self, history: HistorySource, hub: EventHub, threads: Executor) -> None:
        """Take what opens a symbol, the browsers, and the threads to read on."""
        self._history, self._hub, self._threads = history, hub, threads
        self._watched: dict[str, _Watched] = {}

    def add(self, records: RecordsBySymbol) -> None:
        """Add new records of watched symbols; forget the symbols that nobody watches."""
        for symbol in self._watched.keys() - self._hub.watched_symbols:
            self._watched.pop(symbol).opening.cancel()
        for symbol, new in records.items():
            if symbol in self._hub.watched_symbols:
                self._add(symbol, new)

    def open(self, symbol: str) -> None:
        """Begin to follow a symbol, unless it is followed already."""
        if symbol not in self._watched:
            task = asyncio.get_running_loop().create_task(self._open(symbol))
            self._watched[symbol] = _Watched(task)

    def close(self) -> None:
        """Forget all symbols."""
        for watched in self._watched.values():
            watched.opening.cancel()
        self._watched.clear()

    def _add(self, symbol: str, records: Records) -> None:
        watched = self._watched.get(symbol)
        if watched is None:
            self.open(symbol)  # it could not be opened before; these records are in the log
        elif watched.follower is None:
            watched.waiting.extend(records)
        else:
            self._follow(symbol, watched.follower, records)

    async def _open(self, symbol: str) -> None:
        loop = asyncio.get_running_loop()
        try:
            follower = await loop.run_in_executor(self._threads, self._history.follow, symbol)
        except UlstmError as error:
            # The page asks for the history as well, and is told why there is none.
            log.warning("following %s: %s", symbol, error)
            self._watched.pop(symbol, None)
            return
        watched = self._watched[symbol]
        watched.follower = follower
        self._follow(symbol, follower, watched.waiting)
        watched.waiting = []

    def _follow(self, symbol: str, follower: RecordFollower, records: Records) -> None:
        for record in records:
            if isinstance(record, Prediction):
                follower.add_prediction(record)
            else:
                follower.add_record(record)
        increment = follower.take_increment()
        if increment is not None:
            self._hub.publish(encode_event("symbol", dump_plain(increment)), symbol)
