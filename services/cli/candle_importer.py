"""Turn recorded candles into the records that the log lacks. Pure: nothing is read or written."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from shared.adapters.kafka.producer import ProducerRecord
from shared.adapters.recording import CandleRow
from shared.adapters.schemas.klines import GapMessage, build_candle_message, encode_record
from shared.core.arrays import Float64s
from shared.core.errors import BadInput
from shared.core.sequence import OPEN, OPEN_TIME, SEQUENCE_COLUMNS
from shared.core.topics import Topics, interval_ms, partition_for

# Characters of a number that needs no further check: it is less than 1e15.
_SAFE_LENGTH: Final = 15
_EMPTY: Final = np.empty((0, SEQUENCE_COLUMNS))


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
        """Begin with what the log has.

        Args:
            topics: of the deployment.
            next_ms: by symbol: the open time in ms that the log must continue with.
            in_log: by symbol: the log's candles that the recordings overlap, (n, columns).
            now_ms: the time of the import, for the records' headers.
        """
        self._topics, self._step_ms = topics, interval_ms(topics.interval)
        self._log_ends_ms, self._in_log = next_ms, in_log
        self._next_ms = dict(next_ms)
        self._last: dict[str, CandleRow] = {}
        self._headers = [("source", b"import"), ("arrival_ms", str(now_ms).encode())]
        self.summary = ImportSummary()

    def records(self, row: CandleRow) -> Iterator[ProducerRecord]:
        """Yield the records of a row: none, a candle, or a gap and a candle.

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
            value = gap_bytes(row, next_ms, self._topics.interval)
            yield self._record(row.symbol, row.open_time_ms - 1, value)
        self._next_ms[row.symbol] = row.open_time_ms + self._step_ms
        self._last[row.symbol] = row
        self.summary.candles += 1
        value = candle_bytes(row, self._topics.interval)
        if max(map(len, row[2:7])) > _SAFE_LENGTH or row.volume.startswith("-"):
            self._check_as_reader(row)
        yield self._record(row.symbol, row.open_time_ms + self._step_ms - 1, value)

    def _record(self, symbol: str, time_ms: int, value: bytes) -> ProducerRecord:
        partition = partition_for(symbol, self._topics.partitions)
        return ProducerRecord(
            self._topics.klines, partition, symbol.encode(), value, time_ms, self._headers
        )

    def _check_as_reader(self, row: CandleRow) -> None:
        """Refuse what readers of the log would: a very long number, or -0."""
        fields = {name: value for name, value in row._asdict().items() if value is not None}
        try:
            build_candle_message(self._step_ms, interval=self._topics.interval, **fields)
        except BadInput as error:
            message = f"{_describe(row)}: {error}; correct it or leave it out"
            raise BadInput(error.reason, message) from error

    def _check_repeated(self, row: CandleRow) -> None:
        """Check that a row agrees with the log, or with an earlier row."""
        if row.open_time_ms < self._log_ends_ms.get(row.symbol, 0):
            self._check_against_log(row)
        elif row != self._last[row.symbol]:
            message = (
                f"{_describe(row)} comes twice with different values; leave one of the files out"
            )
            raise BadInput("contradiction", message)

    def _check_against_log(self, row: CandleRow) -> None:
        sequence = self._in_log.get(row.symbol, _EMPTY)
        if len(sequence) and row.open_time_ms < sequence[0, OPEN_TIME]:
            message = (
                f"{_describe(row)} is older than the first one in the log"
                f" ({int(sequence[0, OPEN_TIME])} ms); the log only grows at its end: import"
                " history into a new deployment (TOPIC_PREFIX) before anything else"
            )
            raise BadInput("older_than_the_log", message)
        at = int(np.searchsorted(sequence[:, OPEN_TIME], row.open_time_ms))
        if at == len(sequence) or sequence[at, OPEN_TIME] != row.open_time_ms:
            message = (
                f"{_describe(row)} is in the file, and the log has a gap there; the log keeps what"
                " it has"
            )
            raise BadInput("contradiction", message)
        ours, theirs = sequence[at, OPEN:].tolist(), [float(text) for text in row[2:7]]
        if ours != theirs:
            message = (
                f"{_describe(row)} has {theirs} in the file and {ours} in the log (open, high, low,"
                " close, volume); the log keeps what it has"
            )
            raise BadInput("contradiction", message)


def candle_bytes(row: CandleRow, interval: str) -> bytes:
    """Return the canonical bytes of a checked row.

    They are those of encode_record, without building a pydantic model for each of millions of rows.
    """
    optional = (
        ("quote_volume", _quote(row.quote_volume)),
        ("taker_buy_quote_volume", _quote(row.taker_buy_quote_volume)),
        ("taker_buy_volume", _quote(row.taker_buy_volume)),
        ("trades", None if row.trades is None else str(row.trades)),
    )
    quote, taker_quote, taker, trades = (
        f'"{name}":{text},' if text is not None else "" for name, text in optional
    )
    return (
        f'{{"close":"{row.close}","high":"{row.high}","interval":"{interval}",'
        f'"low":"{row.low}","open":"{row.open}","open_time_ms":{row.open_time_ms},{quote}'
        f'"schema":1,"symbol":"{row.symbol}",{taker_quote}{taker}{trades}'
        f'"type":"candle","volume":"{row.volume}"}}'
    ).encode()


def gap_bytes(row: CandleRow, next_ms: int, interval: str) -> bytes:
    """Return the canonical bytes of the gap before a row."""
    gap = GapMessage(
        type="gap",
        symbol=row.symbol,
        interval=interval,
        from_open_time_ms=next_ms,
        until_open_time_ms=row.open_time_ms,
    )
    return encode_record(gap)


def _quote(text: str | None) -> str | None:
    return None if text is None else f'"{text}"'


def _describe(row: CandleRow) -> str:
    return f"candle of {row.symbol} at open time {row.open_time_ms} ms"
