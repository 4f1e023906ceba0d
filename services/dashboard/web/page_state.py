"""The overview as every browser has it; it belongs to the event loop."""

import asyncio
from collections.abc import Sequence
from typing import Final

from services.dashboard.live.columns import COLUMNS
from services.dashboard.live.updates import BoardUpdate
from services.dashboard.ports import LogFacts
from services.dashboard.web.event_hub import RESET, EventHub, encode_event
from shared.adapters.schemas.wire import dump_plain

_COLUMNS: Final = dump_plain(COLUMNS)


class PageState:
    """Keeps the encoded rows, and hands changes to the browsers. A row is kept once, as bytes."""

    def __init__(self, hub: EventHub) -> None:
        """Begin with nothing to show to the hub's browsers."""
        self._hub = hub
        self._rows: dict[str, bytes] = {}
        self._summary = b"null"
        self.facts = LogFacts()
        self._has_begun = asyncio.Event()  # there is a summary, be it that all is loading

    def apply(self, update: BoardUpdate) -> None:
        """Take over an update and hand it to the browsers."""
        if update.is_new_board and self._rows:
            self._rows.clear()
            self._hub.publish(RESET)
        self._rows |= update.rows
        self._summary, self.facts = update.summary, update.facts
        self._has_begun.set()
        if not self._hub.browsers:
            return
        self._hub.publish(encode_event("overview", _changes(update)))
        if update.has_new_champion:
            self._hub.publish(encode_event("models"))

    async def overview(self) -> bytes:
        """Return the body of `/api/overview`; right after the start, wait for the first summary."""
        await self._has_begun.wait()
        rows = _as_list(list(self._rows.values()))
        return b'{"columns":%b,"rows":%b,"summary":%b}' % (_COLUMNS, rows, self._summary)


def _changes(update: BoardUpdate) -> bytes:
    rows = _as_list(list(update.rows.values()))
    return b'{"rows":%b,"summary":%b}' % (rows, update.summary)


def _as_list(encoded: Sequence[bytes]) -> bytes:
    return b"[%b]" % b",".join(encoded)
