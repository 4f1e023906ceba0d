"""The standing of each symbol: whether its candles arrive, and why not. PURE.

`since_ms` is when the standing began, by this machine's clock; what it is about, the symbol's next
candle, has the exchange's time.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal, get_args

StandingName = Literal["following", "no_stream", "history", "late", "doubtful", "halted", "refused"]
NAMES: Final[tuple[StandingName, ...]] = get_args(StandingName)
WAITING: Final = frozenset(("history", "late", "doubtful"))
EXCUSED: Final = frozenset(("halted", "refused"))  # the exchange has no candles of it
LATE_S: Final = 10.0  # without the candle that has closed
READY_SHARE: Final = 0.9  # of the symbols that are not excused


@dataclass(frozen=True, slots=True)
class SymbolFacts:
    """What the worker knows of a symbol.

    Attributes:
        symbol: the symbol.
        next_open_time_ms: open time of the candle that must be appended next.
        is_behind: that candle has closed.
        is_backfilled: the history has been fetched to its end since the start.
        is_doubtful: REST denies that candle, which is not certain yet.
        is_halted: the log says that the symbol is halted.
        refusal: why REST refuses the symbol; empty if it does not.
    """

    symbol: str
    next_open_time_ms: int
    is_behind: bool = False
    is_backfilled: bool = True
    is_doubtful: bool = False
    is_halted: bool = False
    refusal: str = ""


@dataclass(frozen=True, slots=True)
class SymbolStanding:
    """A symbol's standing, since when (ms), and why; `next_open_time_ms` is the candle awaited."""

    symbol: str
    standing: StandingName
    since_ms: int
    next_open_time_ms: int
    reason: str = ""


class StandingBook:
    """The standing of each symbol, and since when. Times in seconds are the monotonic clock's."""

    def __init__(self, interval_ms: int) -> None:
        """Start without a symbol; `interval_ms` lies between two open times."""
        self._interval_ms = interval_ms
        self._behind_since: dict[str, tuple[int, float]] = {}  # the candle, and since when
        self.standings: Mapping[str, SymbolStanding] = {}

    def update(
        self,
        facts: Sequence[SymbolFacts],
        without_stream: Mapping[str, str],
        wall_ms: int,
        now_s: float,
    ) -> None:
        """Take what is known now.

        Args:
            facts: of every symbol followed.
            without_stream: why the exchange gives no stream, by symbol.
            wall_ms: this machine's clock.
            now_s: the monotonic clock.
        """
        self._note_behind(facts, now_s)
        before = self.standings
        standings = {}
        for each in facts:
            name, reason = self._judge(each, without_stream.get(each.symbol, ""), now_s)
            known = before.get(each.symbol)
            has_changed = known is None or known.standing != name
            since_ms = wall_ms if known is None or has_changed else known.since_ms
            standings[each.symbol] = SymbolStanding(
                each.symbol, name, since_ms, each.next_open_time_ms, reason
            )
        self.standings = standings  # replaced as a whole: other threads read it

    def counts(self) -> dict[StandingName, int]:
        """Return the number of symbols of each standing."""
        found = Counter(each.standing for each in self.standings.values())
        return {name: found[name] for name in NAMES}

    def worst_lag_s(self, server_ms: int) -> float:
        """Return the exchange's seconds since the close of the candle that is most overdue."""
        awaited = (
            each.next_open_time_ms
            for each in self.standings.values()
            if each.standing not in EXCUSED
        )
        oldest_ms = min(awaited, default=server_ms)
        return max(0, server_ms - oldest_ms - self._interval_ms) / 1000

    def not_ready_reason(self) -> str | None:
        """Return why candles of most symbols do not arrive; None if they do."""
        standings = list(self.standings.values())
        active = [each for each in standings if each.standing not in EXCUSED]
        waiting = [each for each in active if each.standing in WAITING]
        if not standings:
            return "no symbol is followed"
        if not active:
            return _describe(f"all {len(standings)}", standings)
        if len(active) - len(waiting) >= READY_SHARE * len(active):
            return None
        return _describe(f"{len(waiting)} of {len(active)}", waiting)

    def to_json(self) -> dict[str, Any]:
        """Return the counts, and the symbols whose candles do not arrive first."""
        standings = sorted(
            self.standings.values(), key=lambda each: (each.standing == "following", each.symbol)
        )
        return {"counts": self.counts(), "symbols": [asdict(each) for each in standings]}

    def _note_behind(self, facts: Iterable[SymbolFacts], now_s: float) -> None:
        known = self._behind_since
        self._behind_since = {
            each.symbol: known[each.symbol]
            if known.get(each.symbol, (None, 0.0))[0] == each.next_open_time_ms
            else (each.next_open_time_ms, now_s)
            for each in facts
            if each.is_behind
        }

    def _judge(self, facts: SymbolFacts, no_stream: str, now_s: float) -> tuple[StandingName, str]:
        behind_s = now_s - self._behind_since.get(facts.symbol, (0, now_s))[1]
        if facts.refusal:
            return "refused", facts.refusal
        if facts.is_halted:
            return "halted", "the exchange does not trade it"
        if facts.is_doubtful:
            return "doubtful", "REST denies its next candle: waiting until that is certain"
        if not facts.is_backfilled:
            return "history", "its history is being fetched"
        if behind_s >= LATE_S:
            return "late", "its next candle has closed and has not arrived"
        return ("no_stream", no_stream) if no_stream else ("following", "")


def _describe(count: str, standings: Sequence[SymbolStanding]) -> str:
    first = standings[0]
    return f"{count} symbols lack candles, such as {first.symbol}: {first.reason}"
