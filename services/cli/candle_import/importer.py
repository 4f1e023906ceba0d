"""Decide on each recorded candle which records of the log it leads to."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import Final

from services.cli.candle_import.log_comparison import Corrections
from services.cli.candle_import.time_blocks import BlockSlice
from shared.adapters.kafka.producer import ProducerRecord
from shared.adapters.recording import CandleRow
from shared.adapters.schemas.klines import encode_correction, encode_gap, encode_status
from shared.core.records import Gap, SymbolStatus
from shared.core.topics import Topics, interval_ms, partition_for
from shared.log.positions import SymbolPosition

_LISTED_REASON: Final = "imported"


@dataclass(slots=True)
class ImportSummary:
    """The counts of an import."""

    candles: int = 0
    gaps: int = 0
    fills: int = 0
    amendments: int = 0
    already_there: int = 0
    symbols: set[str] = field(default_factory=set)


class CandleImporter:
    """Decides on each row, in the order of open times, which records it leads to."""

    def __init__(
        self,
        topics: Topics,
        positions: Mapping[str, SymbolPosition],
        corrections: Corrections,
        now_ms: int,
    ) -> None:
        """Begin with the contents of the log.

        Args:
            topics: of the deployment.
            positions: by symbol: where it is in the log.
            corrections: what the log lacks before its end.
            now_ms: the time of the import, for the records' headers.
        """
        self._topics, self._step_ms = topics, interval_ms(topics.interval)
        self._next_ms = {symbol: each.next_open_time_ms for symbol, each in positions.items()}
        self._ended = {
            symbol for symbol, each in positions.items() if each.status and each.status.ends_symbol
        }
        self._begins_anew = {symbol for symbol, each in positions.items() if each.is_new}
        self._corrections = corrections
        self._partition = lru_cache(None)(partial(partition_for, partitions=topics.partitions))
        self._headers = [("source", b"import"), ("arrival_ms", str(now_ms).encode())]
        self.summary = ImportSummary()

    def records(self, row: CandleRow, market: str) -> Iterator[ProducerRecord]:
        """Yield the records of a row: none, a candle, a gap and a candle, or a correction.

        Args:
            row: the next row.
            market: the field `market` of its record, with a comma behind it, or nothing.
        """
        next_ms = self._next_ms.get(row.symbol)
        self.summary.symbols.add(row.symbol)
        if next_ms is not None and row.open_time_ms < next_ms:
            yield from self._correct(row, market)
            return
        if next_ms is None or row.symbol in self._ended:
            yield self._listed(row)
        if next_ms is not None and row.open_time_ms > next_ms:
            yield from self._gap(row.symbol, next_ms, row.open_time_ms)
        self._next_ms[row.symbol] = row.open_time_ms + self._step_ms
        self.summary.candles += 1
        yield self._candle(row, candle_bytes(row, self._topics.interval, market))

    def skip_known(self, part: BlockSlice) -> bool:
        """Count candles that are all in the log, and say so: they need not be looked at one by one.

        Args:
            part: the next candles of a symbol.
        """
        symbol, corrections = part.block.symbol, self._corrections
        last_ms = int(part.open_time_ms[-1])
        is_known = last_ms < self._next_ms.get(symbol, 0) and not corrections.any_through(
            symbol, last_ms
        )
        if is_known:
            self.summary.symbols.add(symbol)
            self.summary.already_there += len(part.open_time_ms)
        return is_known

    def _correct(self, row: CandleRow, market: str) -> Iterator[ProducerRecord]:
        """Yield the correction of a row that opens before the log's end, if there is one.

        It is taken off the list: another file may have the same candle.
        """
        symbol, time_ms, interval = row.symbol, row.open_time_ms, self._topics.interval
        if self._corrections.fills.take(symbol, time_ms):
            self.summary.fills += 1
            value = candle_bytes(row, interval, market)
            yield self._candle(row, encode_correction(value, "fill"))
        elif self._corrections.amendments.take(symbol, time_ms):
            self.summary.amendments += 1
            # Without the market's move: readers keep that of the candle.
            value = candle_bytes(row, interval)
            yield self._candle(row, encode_correction(value, "amendment"))
        elif not self._corrections.older.has(symbol, time_ms):
            self.summary.already_there += 1

    def _listed(self, row: CandleRow) -> ProducerRecord:
        """Return the record that a symbol begins with.

        Nothing before it matters, so a predictor that has read the end of the log alone need not
        look for the symbol before that.
        """
        self._ended.discard(row.symbol)
        status = SymbolStatus(row.symbol, row.open_time_ms, "listed", _LISTED_REASON)
        value = encode_status(status, self._topics.interval)
        return self._record(row.symbol, row.open_time_ms - 1, value)

    def _gap(self, symbol: str, next_ms: int, until_ms: int) -> Iterator[ProducerRecord]:
        if symbol in self._begins_anew:
            self._begins_anew.discard(symbol)
            return
        self.summary.gaps += 1
        value = encode_gap(Gap(symbol, next_ms, until_ms), self._topics.interval)
        yield self._record(symbol, until_ms - 1, value)

    def _candle(self, row: CandleRow, value: bytes) -> ProducerRecord:
        return self._record(row.symbol, row.open_time_ms + self._step_ms - 1, value)

    def _record(self, symbol: str, time_ms: int, value: bytes) -> ProducerRecord:
        partition = self._partition(symbol)
        return ProducerRecord(
            self._topics.klines, partition, symbol.encode(), value, time_ms, self._headers
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
