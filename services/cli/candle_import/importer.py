"""Decide on each recorded candle which records of the log it leads to."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from shared.adapters.kafka.producer import ProducerRecord
from shared.adapters.recording import CandleRow
from shared.adapters.schemas.klines import build_candle_message, encode_gap
from shared.core.arrays import Float64s
from shared.core.errors import BadInput
from shared.core.records import Gap
from shared.core.sequence import EXCHANGE_COLUMNS, OPEN, OPEN_TIME
from shared.core.topics import Topics, interval_ms, partition_for

# Characters of a number that needs no further check: it is less than 1e15.
_SAFE_LENGTH: Final = 15
# Of a volume that readers check less: 20 digits at most before and after the point.
_SAFE_VOLUME_LENGTH: Final = 21
_EMPTY: Final = np.empty((0, EXCHANGE_COLUMNS))


@dataclass(slots=True)
class ImportSummary:
    """The counts of an import."""

    candles: int = 0
    gaps: int = 0
    already_there: int = 0
    symbols: set[str] = field(default_factory=set)


class CandleImporter:
    """Decides on each row, in the order of open times, which records it leads to."""

    def __init__(
        self,
        topics: Topics,
        next_ms: Mapping[str, int],
        in_log: Mapping[str, Float64s],
        now_ms: int,
    ) -> None:
        """Begin with the contents of the log.

        Args:
            topics: of the deployment.
            next_ms: by symbol: the open time in ms that the log must continue with.
            in_log: by symbol: the log's candles that the recordings overlap, (n, 6 or more).
            now_ms: the time of the import, for the records' headers.
        """
        self._topics, self._step_ms = topics, interval_ms(topics.interval)
        self._log_ends_ms, self._in_log = next_ms, in_log
        self._next_ms = dict(next_ms)
        self._last: dict[str, CandleRow] = {}
        self._headers = [("source", b"import"), ("arrival_ms", str(now_ms).encode())]
        self.summary = ImportSummary()

    def records(self, row: CandleRow, market: str) -> Iterator[ProducerRecord]:
        """Yield the records of a row: none, a candle, or a gap and a candle.

        Args:
            row: the next row.
            market: the field `market` of its record, with a comma behind it, or nothing.

        Raises:
            BadInput: the row contradicts the log or an earlier row.
        """
        next_ms = self._next_ms.get(row.symbol)
        self.summary.symbols.add(row.symbol)
        if next_ms is not None and row.open_time_ms < next_ms:
            self._check_repeated(row)
            self.summary.already_there += 1
            return
        if next_ms is not None and row.open_time_ms > next_ms:
            self.summary.gaps += 1
            gap = Gap(row.symbol, next_ms, row.open_time_ms)
            value = encode_gap(gap, self._topics.interval)
            yield self._record(row.symbol, row.open_time_ms - 1, value)
        self._next_ms[row.symbol] = row.open_time_ms + self._step_ms
        self._last[row.symbol] = row
        self.summary.candles += 1
        if _may_be_rejected(row):
            self._check_as_reader(row)
        value = candle_bytes(row, self._topics.interval, market)
        yield self._record(row.symbol, row.open_time_ms + self._step_ms - 1, value)

    def _record(self, symbol: str, time_ms: int, value: bytes) -> ProducerRecord:
        partition = partition_for(symbol, self._topics.partitions)
        return ProducerRecord(
            self._topics.klines, partition, symbol.encode(), value, time_ms, self._headers
        )

    def _check_as_reader(self, row: CandleRow) -> None:
        """Refuse a row that readers of the log would reject: a very long number, or -0."""
        try:
            build_candle_message(self._step_ms, interval=self._topics.interval, **row._asdict())
        except BadInput as error:
            message = f"{_describe(row)}: {error}; correct it or leave it out"
            raise BadInput(error.reason, message) from error

    def _check_repeated(self, row: CandleRow) -> None:
        """Check that a row agrees with the log, or with an earlier row."""
        if row.open_time_ms < self._log_ends_ms.get(row.symbol, 0):
            self._check_against_log(row)
        elif not _has_same_values(row, self._last[row.symbol]):
            raise BadInput(
                "contradiction",
                f"{_describe(row)} comes twice with different values (open, high, low, close,"
                " volume); leave one of the files out",
            )

    def _check_against_log(self, row: CandleRow) -> None:
        sequence = self._in_log.get(row.symbol, _EMPTY)
        if len(sequence) and row.open_time_ms < sequence[0, OPEN_TIME]:
            raise BadInput(
                "older_than_the_log",
                f"{_describe(row)} is older than the first one in the log"
                f" ({int(sequence[0, OPEN_TIME])} ms); the log only grows at its end: import"
                " history into a new deployment (TOPIC_PREFIX) before anything else",
            )
        at = int(np.searchsorted(sequence[:, OPEN_TIME], row.open_time_ms))
        if at == len(sequence) or sequence[at, OPEN_TIME] != row.open_time_ms:
            raise BadInput(
                "contradiction",
                f"{_describe(row)} is in the file, and the log has a gap there; the log keeps what"
                " it has",
            )
        ours, theirs = (
            sequence[at, OPEN:EXCHANGE_COLUMNS].tolist(),
            [float(text) for text in row[2:7]],
        )
        if ours != theirs:
            raise BadInput(
                "contradiction",
                f"{_describe(row)} has {theirs} in the file and {ours} in the log (open, high, low,"
                " close, volume); the log keeps what it has",
            )


def candle_bytes(row: CandleRow, interval: str, market: str = "") -> bytes:
    """Return the canonical bytes of a checked row.

    They are those of encode_record, without building a pydantic model for each of millions of rows.

    Args:
        row: the row.
        interval: of the topic.
        market: the record's field `market`, with a comma behind it, or nothing.
    """
    quote = _quoted("quote_volume", row.quote_volume)
    taker_quote = _quoted("taker_buy_quote_volume", row.taker_buy_quote_volume)
    taker = _quoted("taker_buy_volume", row.taker_buy_volume)
    trades = "" if row.trades is None else f'"trades":{row.trades},'
    return (
        f'{{"close":"{row.close}","high":"{row.high}","interval":"{interval}",'
        f'"low":"{row.low}",{market}"open":"{row.open}","open_time_ms":{row.open_time_ms},{quote}'
        f'"schema":1,"symbol":"{row.symbol}",{taker_quote}{taker}{trades}'
        f'"type":"candle","volume":"{row.volume}"}}'
    ).encode()


def _quoted(name: str, text: str | None) -> str:
    return "" if text is None else f'"{name}":"{text}",'


def _has_same_values(row: CandleRow, other: CandleRow) -> bool:
    """Return whether two rows have the same numbers, however they are written, where both do."""
    pairs = zip(row[2:], other[2:], strict=True)
    return all(a is None or b is None or a == b or float(a) == float(b) for a, b in pairs)


def _describe(row: CandleRow) -> str:
    return f"candle of {row.symbol} at open time {row.open_time_ms} ms"


def _may_be_rejected(row: CandleRow) -> bool:
    volumes = (row.quote_volume, row.taker_buy_volume, row.taker_buy_quote_volume)
    return (
        max(map(len, row[2:7])) > _SAFE_LENGTH
        or row.volume.startswith("-")
        or any(text is not None and len(text) > _SAFE_VOLUME_LENGTH for text in volumes)
    )
