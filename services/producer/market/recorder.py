"""Decide which market's move belongs to each candle. PURE: it has no clock and does no I/O."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import chain
from math import inf
from typing import Final, TypeVar

from services.producer.backfill.sequencer import LogEntry, ReceivedCandle
from services.producer.market.price_book import PriceBook
from shared.core.market import BasketDefinition, move_of_changes
from shared.core.records import MarketMove

T = TypeVar("T")

MAX_MOVES: Final = 8_192  # moments whose move is kept
# The share of the market's symbols that is enough to know: some are halted or not listed yet.
ENOUGH: Final = 0.9


@dataclass(frozen=True, slots=True)
class _Measured:
    move: MarketMove
    closes: int  # of REST, that it was measured with


class MarketRecorder:
    """Adds the market's move to candles when they are written.

    The move of a candle that has just closed is measured anew for each transaction, since newer
    prices are heard all the time. That of an older one is measured once, and again only when REST
    has given more closes, so that all symbols that are back-filled together get the same.
    """

    def __init__(self, book: PriceBook, definition: BasketDefinition | None) -> None:
        """Start with the baskets in force now; they also serve for candles before now."""
        self._book, self._baskets, self._next_baskets = book, definition, definition
        self._baskets_from_ms = 0
        self._moves: dict[int, _Measured] = {}
        self._logged: dict[int, MarketMove] = {}
        self.learnt_from_ms: float = inf  # what the log has from this open time on is known

    def adopt(self, definition: BasketDefinition | None) -> None:
        """Use a definition of baskets for the candles that open after the newest one."""
        if self._book.newest_open_ms >= self._baskets_from_ms:
            self._baskets = self._next_baskets
        self._next_baskets = definition
        self._baskets_from_ms = self._book.newest_open_ms + self._book.interval_ms

    def learn(self, from_ms: int, logged: Mapping[int, MarketMove]) -> None:
        """Use the moves that the log has, by open time, from one on: other symbols have them."""
        self.learnt_from_ms = min(self.learnt_from_ms, from_ms)
        self._logged = dict(logged)

    def record(self, entries: Iterable[LogEntry]) -> list[LogEntry]:
        """Return the entries with the market's move in each candle for which it is known."""
        moves: dict[int, MarketMove | None] = {}
        recorded: list[LogEntry] = []
        for entry in entries:
            if isinstance(entry, ReceivedCandle):
                open_ms = entry.open_time_ms
                if open_ms not in moves:
                    moves[open_ms] = self._move(open_ms)
                recorded.append(replace(entry, market=moves[open_ms]))
            else:
                recorded.append(entry)
        return recorded

    def is_recorded(self, open_ms: int) -> bool:
        """Return whether another symbol's candle has the move of enough of the market already."""
        measured = self._moves.get(open_ms)
        known = 0 if measured is None else measured.move.symbols
        return open_ms in self._logged or known >= self._enough

    def is_heard(self, open_ms: int) -> bool:
        """Return whether the prices of enough of the market are known in a candle."""
        return open_ms in self._logged or self._book.count_known(open_ms) >= self._enough

    @property
    def _enough(self) -> float:
        return ENOUGH * len(self._book.symbols)

    def _move(self, open_ms: int) -> MarketMove | None:
        """Return the move in a candle; None if neither the median nor a basket's is known."""
        logged = self._logged.get(open_ms)
        move = self._measure(open_ms) if logged is None else logged
        is_known = any(each is not None for each in chain((move.change,), move.basket_changes))
        return move if is_known else None

    def _measure(self, open_ms: int) -> MarketMove:
        closes, measured = self._book.count_closes(open_ms), self._moves.get(open_ms)
        is_past = open_ms < self._book.newest_open_ms
        if measured is not None and is_past and closes <= measured.closes:
            return measured.move
        baskets = self._next_baskets if open_ms >= self._baskets_from_ms else self._baskets
        changes = self._book.changes_ppb(open_ms)
        move = move_of_changes(changes, tuple(self._book.symbols), baskets)
        if measured is not None and is_past and move.symbols < measured.move.symbols:
            return measured.move  # the prices of the others are forgotten by now
        self._moves[open_ms] = _Measured(move, closes)
        _keep_newest(self._moves)
        return move


def _keep_newest(moves: dict[int, T]) -> None:
    """Drop what was added first, so that a long back-fill keeps memory bounded."""
    while len(moves) > MAX_MOVES:
        del moves[next(iter(moves))]
