"""What to do with entries that Kafka refuses for good.

One entry that is refused while the others are taken becomes a dead letter, and its candle a gap: it
would block all candles that come after it. Where Kafka refuses whatever comes, nothing is given up:
the entries are kept and offered again, less and less often.
"""

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import islice
from typing import Final

from services.producer.backfill.sequencer import (
    CorrectedCandle,
    KlineOrigin,
    LogEntry,
    ReceivedCandle,
    UnreadableKline,
)
from shared.adapters.kafka.errors import Aborted, Refused
from shared.adapters.retry import RefusalBackoff
from shared.core.records import Gap

log = logging.getLogger(__name__)

MAX_HELD: Final = 20_000  # entries; more come again by REST
_SHORT_LETTER: Final = 1_000  # bytes of an original that is too long
MAX_DEAD_LETTERS: Final = 10  # of one run: what refuses more than that is no fault of a record

Write = Callable[[Sequence[LogEntry]], None]


class RefusedEntries:
    """The entries that Kafka refused, until they may be offered again."""

    def __init__(self) -> None:
        """Begin without one."""
        self._held: list[LogEntry] = []
        self._backoff = RefusalBackoff()

    @property
    def reason(self) -> str:
        """Why entries are refused; empty if none are."""
        return self._backoff.reason

    def must_wait(self, now_s: float) -> bool:
        """Say whether it is too early to offer them again."""
        return self._backoff.remaining_s(now_s) > 0.0

    def keep(self, entries: Iterable[LogEntry], error: Refused, now_s: float) -> bool:
        """Keep refused entries; return False if they are too many and must be fetched again."""
        if self._backoff.on_refused(str(error), now_s):
            log.error("%s; nothing is written until then", error)
        self._held = list(islice(entries, MAX_HELD + 1))
        if len(self._held) <= MAX_HELD:
            return True
        self._held = []
        return False

    def take(self) -> list[LogEntry]:
        """Remove and return the entries, in their order."""
        held, self._held = self._held, []
        return held

    def on_accepted(self) -> None:
        """Note that Kafka takes entries again."""
        self._backoff.on_accepted()


class RefusalIsolation:
    """Finds the one entry that Kafka refuses, and writes the others around it."""

    def __init__(self, write: Write, interval_ms: int) -> None:
        """Take the function that writes entries in one transaction, and the interval."""
        self._write_entries, self._interval_ms, self._letters = write, interval_ms, 0
        self._accepted = False

    def write(self, entries: Sequence[LogEntry]) -> None:
        """Write entries; one that Kafka refuses alone becomes a dead letter.

        Raises:
            Refused: nothing was written.
            Aborted: a part was written; the log tells.
        """
        try:
            self._write_entries(entries)
        except Refused as refusal:
            if not refusal.concerns_record or self._letters >= MAX_DEAD_LETTERS:
                raise
            self._accepted = False
            try:
                self._write_around(_by_symbol(entries), refusal)
            except Refused as error:
                if self._accepted:
                    raise Aborted(str(error)) from error
                raise

    def _write_around(self, groups: list[list[LogEntry]], refusal: Refused) -> None:
        """Write groups of entries that are refused together; halve them until one is left.

        Symbols do not depend on each other, so both halves are tried. Where both are refused, and
        nothing was taken before, one record is not the cause.
        """
        if len(groups) == 1:
            self._write_symbol(groups[0], refusal)
            return
        middle = len(groups) // 2
        refused = [
            half for half in (groups[:middle], groups[middle:]) if not self._try(_flat(half))
        ]
        if not self._accepted:
            raise refusal
        for half in refused:
            self._write_around(half, refusal)

    def _write_symbol(self, entries: list[LogEntry], refusal: Refused) -> None:
        """Write a symbol's entries in their order, around the one that is refused."""
        first, count = 0, len(entries)
        while count > 1:  # the culprit is among `count` entries from `first` on
            half = count // 2
            if self._try(entries[first : first + half]):
                first, count = first + half, count - half
            else:
                count = half
        culprit = entries[first : first + 1]
        if self._try(culprit):  # it was the number of the records
            self._write_entries(entries[first + 1 :])
            return
        # Nothing shows that the broker takes any record, or it refuses too many.
        if not self._accepted or self._letters >= MAX_DEAD_LETTERS:
            raise refusal
        self._letters += 1
        log.error("Kafka refuses one record, which becomes a dead letter: %s", refusal)
        instead = in_place_of(culprit[0], self._interval_ms, refusal)
        self._write_entries([*instead, *entries[first + 1 :]])

    def _try(self, entries: Sequence[LogEntry]) -> bool:
        try:
            self._write_entries(entries)
        except Refused:
            return False
        self._accepted = True
        return True


def _by_symbol(entries: Sequence[LogEntry]) -> list[list[LogEntry]]:
    groups: dict[str, list[LogEntry]] = {}
    for entry in entries:
        groups.setdefault(entry.symbol, []).append(entry)
    return list(groups.values())


def _flat(groups: Iterable[Sequence[LogEntry]]) -> list[LogEntry]:
    return [entry for group in groups for entry in group]


def in_place_of(entry: LogEntry, interval_ms: int, refusal: Refused) -> list[LogEntry]:
    """Return the replacement of an entry that Kafka refuses: dead letter and gap.

    Raises:
        Refused: nothing can stand for it.
    """
    reason, message = "refused_by_kafka", str(refusal)
    match entry:
        case ReceivedCandle(symbol, open_ms):
            origin = KlineOrigin(entry.value, entry.source, entry.arrival_ms)
            return [
                Gap(symbol, open_ms, open_ms + interval_ms),
                UnreadableKline(symbol, open_ms, reason, message, origin),
            ]
        case CorrectedCandle():  # the log keeps what it has
            candle = entry.candle
            origin = KlineOrigin(candle.value, candle.source, candle.arrival_ms)
            return [UnreadableKline(candle.symbol, candle.open_time_ms, reason, message, origin)]
        case UnreadableKline(symbol, open_ms):
            origin = replace(entry.origin, original=entry.origin.original[:_SHORT_LETTER])
            return [UnreadableKline(symbol, open_ms, entry.reason, entry.message, origin)]
        case _:
            raise refusal
