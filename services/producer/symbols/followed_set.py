"""Decide which symbols are followed, and which changes of status are certain. PURE.

What an exchange leaves out of its list proves nothing by itself: lists are cut short, come from
caches, are refused. A symbol is delisted only if it was absent in several credible lists over some
time, and gives no candle either. Names of the setting and of the user are wanted for ever: one that
is delisted joins again as soon as it is listed again.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from services.producer.events import ObservedStatus, SymbolsChanged
from services.producer.ports import DayTicker, ListedSymbol
from services.producer.symbols.selection import SymbolSelection, find_traded, rank_most_traded
from shared.core.control import ControlState
from shared.core.records import StatusName

MIN_ABSENCES: Final = 3  # lists that a delisted symbol is missing in
MISSING_SHARE: Final = 0.1  # of the symbols known, that a credible list may lack
MIN_MISSING: Final = 2  # which it may lack in any case
SHORT_LISTS_S: Final = 3_600.0  # after which a shorter list is the truth


@dataclass(slots=True)
class _Absence:
    since_s: float
    lists: int = 0


@dataclass(slots=True)
class FollowedSet:
    """The symbols wanted, those followed, and what is certain about each.

    `pending_changes` says what is to be done; `apply` records that it is being done, and `on_ended`
    that a symbol's closing status is in the log. Times in seconds are the monotonic clock's.

    Attributes:
        selection: the setting.
        delisted_after_s: how long a symbol must be absent to be delisted.
        control: the wishes of the user, and the members: what was followed before the start.
        listed: the exchange's last credible list; empty before the first.
    """

    selection: SymbolSelection
    delisted_after_s: float
    control: ControlState
    listed: Mapping[str, ListedSymbol] = field(default_factory=dict)
    followed: dict[str, str] = field(default_factory=dict)  # with the reason
    _ranked: tuple[str, ...] | None = None
    _absences: dict[str, _Absence] = field(default_factory=dict)
    _delisted: set[str] = field(default_factory=set)
    _reported: dict[str, StatusName] = field(default_factory=dict)
    _short_since_s: float | None = None

    def on_listing(self, listed: Mapping[str, ListedSymbol], now_s: float) -> bool:
        """Take a list of the exchange's symbols; return False if what it lacks proves nothing."""
        is_credible = self._is_credible(listed, now_s)
        self.listed = listed if is_credible else {**self.listed, **listed}
        self._delisted -= listed.keys()
        for symbol in [each for each in self._absences if each in listed]:
            del self._absences[symbol]
        if is_credible:
            for symbol in self._wanted().keys() - listed.keys():
                self._note_absence(symbol, now_s)
        return is_credible

    def on_tickers(self, tickers: Iterable[DayTicker]) -> None:
        """Take the last 24 hours of each symbol, for the most traded ones."""
        if self.selection.most_traded:
            before = self._most_traded()
            self._ranked = rank_most_traded(self.selection, self.listed, tickers, before)

    def pending_changes(self) -> SymbolsChanged:
        """Return the symbols to follow, and the statuses to write, that are not under way yet."""
        wanted = self._wanted()
        current = {s: reason for s, reason in wanted.items() if s not in self._delisted}
        # A member that the user removed while no producer ran still has to be ended in the log.
        ending = {s: "" for s in self.control.members if not self.control.is_wanted(s, True)}
        joining = {s: why for s, why in (ending | current).items() if s not in self.followed}
        observed = [
            each
            for symbol in self.followed | joining
            if (each := self._observe(symbol, wanted)) is not None
            and self._reported.get(symbol) != each.status
        ]
        return SymbolsChanged(joining, tuple(observed))

    def apply(self, changes: SymbolsChanged) -> None:
        """Record that changes are under way."""
        self.followed |= changes.joining
        self._reported |= {each.symbol: each.status for each in changes.observed}

    def on_ended(self, symbol: str) -> None:
        """Record that a symbol's closing status is in the log: it is followed no more."""
        self.control.members.pop(symbol, None)
        self.followed.pop(symbol, None)
        self._reported.pop(symbol, None)

    def find_unwanted_members(self) -> list[str]:
        """Return what was followed before the start and is in no setting any longer, sorted."""
        wanted = self._wanted()
        return sorted(
            symbol
            for symbol in self.control.members
            if symbol not in wanted and self.control.is_wanted(symbol, True)
        )

    def _wanted(self) -> dict[str, str]:
        """Return the symbols wanted, each with the reason, also those that are delisted."""
        selection, wishes = self.selection, self.control.wishes
        chosen: Iterable[str] = selection.names
        if selection.wants_all:
            # What was traded once is followed until it is delisted, even while it is halted.
            chosen = dict.fromkeys((*self.control.members, *self.followed))
            chosen = dict.fromkeys((*chosen, *find_traded(self.listed)))
        elif selection.most_traded:
            chosen = self._most_traded()
        wanted = dict.fromkeys(chosen, selection.reason)
        wanted |= {s: "added by the user" for s in wishes if self.control.is_wanted(s, False)}
        return {s: why for s, why in wanted.items() if self.control.is_wanted(s, True)}

    def _most_traded(self) -> tuple[str, ...]:
        if self._ranked is not None:
            return self._ranked
        wishes = self.control.wishes
        return tuple(symbol for symbol in self.control.members if symbol not in wishes)

    def _observe(self, symbol: str, wanted: Mapping[str, str]) -> ObservedStatus | None:
        """Return what is certain about a followed symbol; None while nothing is."""
        if not self.control.is_wanted(symbol, True):
            return ObservedStatus(symbol, "removed", "the user removed it")
        if symbol in self._delisted:
            reason = "the exchange no longer lists it"
            return ObservedStatus(symbol, "delisted", reason, self.delisted_after_s)
        if symbol not in wanted:
            return ObservedStatus(symbol, "removed", f"no longer {self.selection.reason}")
        listed = self.listed.get(symbol)
        if listed is None:
            return None
        if listed.is_traded:
            return ObservedStatus(symbol, "resumed", "the exchange trades it")
        return ObservedStatus(symbol, "halted", f"the exchange's status is {listed.status}")

    def _note_absence(self, symbol: str, now_s: float) -> None:
        absence = self._absences.setdefault(symbol, _Absence(now_s))
        absence.lists += 1
        if absence.lists >= MIN_ABSENCES and now_s - absence.since_s >= self.delisted_after_s:
            self._delisted.add(symbol)

    def _is_credible(self, listed: Mapping[str, ListedSymbol], now_s: float) -> bool:
        known = self.listed or self.control.members
        missing = len(known.keys() - listed.keys())
        if listed and missing <= max(MIN_MISSING, MISSING_SHARE * len(known)):
            self._short_since_s = None
            return True
        self._short_since_s = now_s if self._short_since_s is None else self._short_since_s
        return bool(listed) and now_s - self._short_since_s >= SHORT_LISTS_S
