"""What the topic `klines` says about each symbol, read as any consumer would read it."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from shared.adapters.kafka.connection import KafkaConnection
from shared.adapters.kafka.reader import Reader
from shared.core.topics import Topics

ENDS: Final = ("delisted", "removed")
MAX_PROBLEMS: Final = 5  # of one symbol in a message


class CandleFields(NamedTuple):
    """Everything that a record says about a candle, as text."""

    open: str
    high: str
    low: str
    close: str
    volume: str
    quote_volume: str
    trades: str
    taker_buy_volume: str
    taker_buy_quote_volume: str


@dataclass(slots=True)
class SymbolLog:
    """The records of one symbol, applied in order."""

    symbol: str
    step_ms: int
    candles: dict[int, CandleFields] = field(default_factory=dict)
    gaps: list[tuple[int, int]] = field(default_factory=list)
    statuses: list[tuple[int, str]] = field(default_factory=list)
    fills: int = 0
    amendments: int = 0
    problems: list[str] = field(default_factory=list)
    next_ms: int | None = None
    is_ended: bool = False

    def apply(self, record: dict[str, Any]) -> None:
        kind = record["type"]
        if kind == "candle":
            self._append(record["open_time_ms"], record["open_time_ms"] + self.step_ms, kind)
            self.candles[record["open_time_ms"]] = _fields(record)
        elif kind == "gap":
            begin_ms, end_ms = record["from_open_time_ms"], record["until_open_time_ms"]
            if begin_ms % self.step_ms or end_ms % self.step_ms:
                self.problems.append(f"a gap from {begin_ms} to {end_ms} is off the grid")
            self._append(begin_ms, end_ms, kind)
            self.gaps.append((begin_ms, end_ms))
        elif kind in ("fill", "amendment"):
            self._correct(record, kind)
        elif kind == "status":
            self.statuses.append((record["time_ms"], record["status"]))
            self.is_ended = record["status"] in ENDS
            self.next_ms = None if self.is_ended else self.next_ms

    @property
    def first_ms(self) -> int | None:
        """Return the first open time of the log."""
        begins = [*self.candles, *(begin_ms for begin_ms, _ in self.gaps)]
        return min(begins, default=None)

    def _append(self, begin_ms: int, end_ms: int, kind: str) -> None:
        if self.next_ms is not None and begin_ms != self.next_ms:
            self._report(f"{kind} at {begin_ms}, expected {self.next_ms}")
        self.is_ended = False
        self.next_ms = end_ms

    def _correct(self, record: dict[str, Any], kind: str) -> None:
        open_ms, fields = record["open_time_ms"], _fields(record)
        known = self.candles.get(open_ms)
        if (known is None) != (kind == "fill") or known == fields:
            self._report(f"{kind} at {open_ms}, where the log has {known}")
        is_fill = kind == "fill"
        self.fills, self.amendments = self.fills + is_fill, self.amendments + (not is_fill)
        self.candles[open_ms] = fields

    def _report(self, problem: str) -> None:
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(f"{self.symbol}: {problem}")


def _fields(record: dict[str, Any]) -> CandleFields:
    return CandleFields(*(str(record.get(name)) for name in CandleFields._fields))


class LogReader:
    """Reads a deployment's candles and dead letters as they come."""

    def __init__(self, kafka: KafkaConnection, topics: Topics, step_ms: int) -> None:
        self._step_ms, self._partitions = step_ms, topics.partitions
        self._klines = Reader(kafka, topics.klines)
        self._letters = Reader(kafka, topics.dead_letters, headers=True)
        self._next_offsets = dict.fromkeys(range(topics.partitions), 0)
        self._next_letter = 0
        self.symbols: dict[str, SymbolLog] = {}
        self.dead_letters: list[dict[str, bytes]] = []

    def __enter__(self) -> "LogReader":
        return self

    def __exit__(self, *_: object) -> None:
        self._klines.__exit__()
        self._letters.__exit__()

    def poll(self) -> None:
        """Apply every record that has been committed since the last poll."""
        for partition in self._next_offsets:
            for value in self._new_values(partition):
                record = json.loads(value)
                if symbol := record.get("symbol"):
                    log = self.symbols.setdefault(symbol, SymbolLog(symbol, self._step_ms))
                    log.apply(record)
        for block in self._letters.read(0, self._next_letter):
            for letter in block:
                self.dead_letters.append(dict(letter.headers or {}))
                self._next_letter = letter.offset + 1

    def _new_values(self, partition: int) -> Iterator[bytes]:
        for block in self._klines.read(partition, self._next_offsets[partition]):
            for record in block:
                self._next_offsets[partition] = record.offset + 1
                yield record.value or b"{}"
