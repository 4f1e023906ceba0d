"""What the log has of each symbol's newest candles, and which candles it lacks. PURE.

Values are kept as fingerprints, about 150 bytes each; a candle's bytes are turned into one only
when it is compared, since all symbols close at the same moment.
"""

import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from math import inf
from typing import Final, NamedTuple

from shared.core.records import Gap

MAX_CANDLES: Final = 100_000  # of all symbols together: about 25 MB
MIN_CANDLES_OF_SYMBOL, MAX_CANDLES_OF_SYMBOL = 16, 90
MAX_HOLES_OF_SYMBOL: Final = 64
FIELDS: Final = (
    "open", "high", "low", "close", "volume", "quote_volume", "trades", "taker_buy_volume",
    "taker_buy_quote_volume",
)  # fmt: skip


class Fingerprint(NamedTuple):
    """A digest of a candle's numbers, whatever way they are written, and which of them it has."""

    fields: int  # a bit for each of FIELDS
    digest: bytes


def fingerprint(value: bytes, fields: int | None = None) -> Fingerprint:
    """Return the fingerprint of a candle's bytes.

    >>> fingerprint(b'{"close":"3300"}') == fingerprint(b'{"close":"3300.00000000"}')
    True

    Args:
        value: the bytes of its record.
        fields: the fields to look at, a bit for each of FIELDS; None: those that it has.
    """
    message = json.loads(value)
    if fields is None:
        fields = sum(1 << bit for bit, name in enumerate(FIELDS) if name in message)
    digest = blake2b(digest_size=12)
    for bit, name in enumerate(FIELDS):
        if fields >> bit & 1:
            digest.update(_plain(message.get(name)) + b"|")
    return Fingerprint(fields, digest.digest())


def _plain(number: object) -> bytes:
    text = str(number)
    return (text.rstrip("0").rstrip(".") if "." in text else text).encode()


@dataclass(frozen=True, slots=True)
class TailCandle:
    """A candle of the log, with its newest value and the number of times it was corrected."""

    symbol: str
    open_time_ms: int
    value: Fingerprint
    amendments: int = 0


@dataclass(frozen=True, slots=True)
class LogTail:
    """The newest candles, and the gaps of a week: those that were filled since too."""

    candles: list[TailCandle] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)


@dataclass(slots=True)
class _KnownCandle:
    value: bytes | Fingerprint
    compare_from_ms: int
    amendments: int = 0

    def fingerprint(self) -> Fingerprint:
        if isinstance(self.value, bytes):
            self.value = fingerprint(self.value)
        return self.value


@dataclass(slots=True)
class Hole:
    """A span of open times without a candle; the second is not part of it.

    `next_check_ms` and `checks` say when the exchange is asked for it again, and how often it was.
    """

    from_ms: int
    until_ms: int
    next_check_ms: int = 0
    checks: int = 0


@dataclass(slots=True)
class _SymbolLog:
    candles: dict[int, _KnownCandle] = field(default_factory=dict)
    holes: list[Hole] = field(default_factory=list)


class CandleMemory:
    """The newest candles of each symbol in the log, and its holes. Open times are in ms."""

    def __init__(self, interval_ms: int) -> None:
        """Start with nothing."""
        self._interval_ms = interval_ms
        self._symbols: dict[str, _SymbolLog] = defaultdict(_SymbolLog)

    def add(
        self,
        symbol: str,
        open_ms: int,
        value: bytes | Fingerprint,
        compare_from_ms: int,
        amendments: int = 0,
    ) -> None:
        """Store a candle of the log, or its new value; the oldest ones are dropped.

        Args:
            symbol: the symbol.
            open_ms: its open time.
            value: the bytes of its record, or their fingerprint.
            compare_from_ms: the exchange's time from which on REST's value counts.
            amendments: how often it has been amended.
        """
        known = self._symbols[symbol]
        known.candles[open_ms] = _KnownCandle(value, compare_from_ms, amendments)
        while len(known.candles) > self.candles_of_symbol:
            del known.candles[min(known.candles)]
        step_ms = self._interval_ms
        known.holes = [part for hole in known.holes for part in _without(hole, open_ms, step_ms)]

    def add_hole(self, symbol: str, from_ms: int, until_ms: int, check_ms: int) -> None:
        """Store a gap of the log, in parts that a page of klines covers; candles inside stay."""
        known, step_ms = self._symbols[symbol], self._interval_ms
        parts = range(from_ms, until_ms, MAX_CANDLES_OF_SYMBOL * step_ms)
        holes = [
            Hole(first, min(until_ms, first + parts.step), check_ms)
            for first in parts[-MAX_HOLES_OF_SYMBOL:]
        ]
        for open_ms in known.candles:
            holes = [part for each in holes for part in _without(each, open_ms, step_ms)]
        known.holes = sorted([*known.holes, *holes], key=lambda each: each.from_ms)
        del known.holes[:-MAX_HOLES_OF_SYMBOL]

    def forget(self, symbol: str, open_ms: int | None = None) -> None:
        """Drop a symbol, or one candle whose value is in doubt."""
        if open_ms is None:
            self._symbols.pop(symbol, None)
        elif symbol in self._symbols:
            self._symbols[symbol].candles.pop(open_ms, None)

    def differs(self, symbol: str, open_ms: int, value: bytes) -> bool:
        """Return whether the log has another value of a candle; False if it is not known."""
        logged = self._candles(symbol).get(open_ms)
        if logged is None or logged.value == value:
            return False
        own = logged.fingerprint()
        return fingerprint(value, own.fields) != own

    def has(self, symbol: str, open_ms: int) -> bool:
        """Return whether the log's value of a candle is known."""
        return open_ms in self._candles(symbol)

    def amendments(self, symbol: str, open_ms: int) -> int:
        """Return how often a candle has been amended."""
        logged = self._candles(symbol).get(open_ms)
        return 0 if logged is None else logged.amendments

    def lacks(self, symbol: str, open_ms: int) -> bool:
        """Return whether a candle lies in a hole."""
        return any(each.from_ms <= open_ms < each.until_ms for each in self.holes(symbol))

    def holes(self, symbol: str) -> list[Hole]:
        """Return the holes of a symbol, ascending."""
        return self._symbols[symbol].holes if symbol in self._symbols else []

    def drop_hole(self, symbol: str, hole: Hole) -> None:
        """Give a hole up."""
        self._symbols[symbol].holes.remove(hole)

    def compare_from_ms(self, symbol: str, open_ms: int) -> float:
        """Return the time from which on REST's value of a candle counts; never if not known."""
        logged = self._candles(symbol).get(open_ms)
        return inf if logged is None else logged.compare_from_ms

    def first_open_ms(self, symbol: str) -> int | None:
        """Return the open time of the oldest candle known; None without one."""
        return min(self._candles(symbol), default=None)

    @property
    def candles_of_symbol(self) -> int:
        """How many candles of a symbol are kept."""
        share = MAX_CANDLES // max(1, len(self._symbols))
        return max(MIN_CANDLES_OF_SYMBOL, min(MAX_CANDLES_OF_SYMBOL, share))

    def _candles(self, symbol: str) -> Mapping[int, _KnownCandle]:
        return self._symbols[symbol].candles if symbol in self._symbols else {}


def _without(hole: Hole, open_ms: int, step_ms: int) -> list[Hole]:
    """Return the rest of a hole without one of its candles."""
    if not hole.from_ms <= open_ms < hole.until_ms:
        return [hole]
    parts = [(hole.from_ms, open_ms), (open_ms + step_ms, hole.until_ms)]
    return [
        Hole(first, end, hole.next_check_ms, hole.checks) for first, end in parts if first < end
    ]
