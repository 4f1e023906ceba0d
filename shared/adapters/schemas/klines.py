"""Records of the topic `klines`: candles and their corrections, gaps, statuses, promotions."""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from pydantic import ValidationError

from shared.adapters.schemas import wire
from shared.adapters.schemas.kline_messages import (
    KLINE,
    LARGEST_PRICE,
    RECORD_OF,
    CorrectionKind,
    GapMessage,
    KlineMessage,
    PromotionMessage,
    StatusMessage,
    to_candle,
)
from shared.adapters.schemas.market_messages import parse_market, to_market_message
from shared.core.dataclass_fields import dataclass_fields
from shared.core.errors import BadInput
from shared.core.records import (
    Candle,
    Gap,
    MarketMove,
    Promotion,
    Record,
    SymbolStatus,
    check_candle,
)
from shared.core.symbols import is_symbol
from shared.core.topics import partition_for

MAX_RECORD_BYTES = 4096  # a candle takes about 300, with the market about 500

# The bytes of a candle or a correction as `encode_record` writes them. Most records are candles,
# and a pattern reads them several times faster than pydantic. What does not match is left to it.
_PLAIN_CANDLE: Final = re.compile(
    r"""
    \{"close":"(DECIMALS)",
    "high":"(DECIMALS)",
    "interval":"([0-9a-z]{1,5})",
    "low":"(DECIMALS)",
    (?:"market":(\{[^{}\x80-\U0010ffff]{0,400}\}),)?
    "open":"(DECIMALS)",
    "open_time_ms":(0|[1-9][0-9]{0,14}),
    (?:"quote_volume":"(DECIMALS)",)?
    "schema":1,
    "symbol":"([^"\\]{1,50})",
    (?:"taker_buy_quote_volume":"DECIMALS",)?
    (?:"taker_buy_volume":"(DECIMALS)",)?
    (?:"trades":(0|[1-9][0-9]{0,14}),)?
    "type":"(candle|amendment|fill)",
    "volume":"(DECIMALS)"\}
    """.replace("DECIMALS", r"[0-9]{1,20}+(?:\.[0-9]{1,20}+)?+"),
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class KlineCodec:
    """Decodes the records of one deployment's klines topic."""

    interval: str
    interval_ms: int
    partitions: int

    def decode(self, value: bytes | None, partition: int) -> Record:
        """Return the record of a message's bytes.

        Args:
            value: the message's value.
            partition: the partition it lies in.

        Raises:
            BadInput: it is no record of this topic.
        """
        return self._match_candle(value, partition) or self._validate(value, partition)

    def try_decode(self, value: bytes | None, partition: int) -> Record | BadInput:
        """Return the record of a message's bytes, or the error of bytes that are none."""
        try:
            return self.decode(value, partition)
        except BadInput as error:
            return error

    def _match_candle(self, value: bytes | None, partition: int) -> Record | None:
        """Return the candle or correction of canonical bytes; None if `_validate` must decide."""
        # What is not UTF-8 is replaced by a character that no symbol has.
        if value is None or len(value) > MAX_RECORD_BYTES:
            return None
        found = _PLAIN_CANDLE.fullmatch(value.decode(errors="replace"))
        if found is None:
            return None
        close, high, interval, low, market, opened, time, *more = found.groups()
        quote, symbol, taker, trades, kind, volume = more
        try:
            move = None if market is None else parse_market(market)
        except ValidationError:
            return None
        candle = Candle(
            symbol,
            int(time),
            float(opened),
            float(high),
            float(low),
            float(close),
            float(volume),
            None if quote is None else float(quote),
            None if trades is None else int(trades),
            None if taker is None else float(taker),
            move,
        )
        is_right = (
            interval == self.interval
            and is_symbol(symbol)
            and partition == partition_for(symbol, self.partitions)
            and candle.open_time_ms <= wire.LAST_MS
            and candle.open_time_ms % self.interval_ms == 0
            and 0 < candle.low <= candle.open <= candle.high <= LARGEST_PRICE
            and candle.low <= candle.close <= candle.high
        )
        return RECORD_OF[kind](candle) if is_right else None

    def _validate(self, value: bytes | None, partition: int) -> Record:
        """Return the record of any bytes."""
        message = self._parse(value)
        if isinstance(message, PromotionMessage):
            return Promotion(message.model_version, message.bundle_sha256, message.numeric_profile)
        if message.interval != self.interval:
            text = (
                f"interval {message.interval!r} in a topic of {self.interval!r};"
                " publish it to its own topic"
            )
            raise BadInput("wrong_interval", text)
        right = partition_for(message.symbol, self.partitions)
        if partition != right:
            text = (
                f"{message.symbol} lies in symbol group {partition};"
                f" crc32 of the symbol puts it into {right}"
            )
            raise BadInput("wrong_group", text)
        if isinstance(message, GapMessage):
            return self._to_gap(message)
        if isinstance(message, StatusMessage):
            return self._to_status(message)
        candle = to_candle(message)
        check_candle(candle, self.interval_ms)
        return RECORD_OF[message.type](candle)

    def _to_gap(self, message: GapMessage) -> Gap:
        start, end = message.from_open_time_ms, message.until_open_time_ms
        if start % self.interval_ms or end % self.interval_ms or start >= end:
            text = (
                f"gap from {start} to {end} ms is not a span on the grid of {self.interval_ms} ms"
            )
            raise BadInput("off_grid", text)
        return Gap(message.symbol, start, end)

    def _to_status(self, message: StatusMessage) -> SymbolStatus:
        time_ms = message.time_ms
        if time_ms % self.interval_ms:
            text = f"status at {time_ms} ms is not on the grid of {self.interval_ms} ms"
            raise BadInput("off_grid", text)
        return SymbolStatus(message.symbol, time_ms, message.status, message.reason)

    @staticmethod
    def _parse(value: bytes | None) -> KlineMessage:
        checked = wire.check_size(value, MAX_RECORD_BYTES)
        try:
            return KLINE.validate_json(checked)
        except ValidationError as error:
            raise wire.to_bad_input(error) from error


def encode_market(move: MarketMove) -> str:
    """Return the canonical JSON of a record's field `market`."""
    fields = to_market_message(move).model_dump(exclude_none=True)
    return wire.canonical_json(fields).decode()


def encode_record(message: KlineMessage) -> bytes:
    """Return the canonical bytes of a kline log record."""
    return wire.canonical_json(message.model_dump(by_alias=True, exclude_none=True))


def add_market(value: bytes, move: MarketMove) -> bytes:
    """Return a candle's canonical bytes with the market's move, which they do not have yet.

    All candles of a moment share a move, so this costs far less than encoding each of them anew.
    """
    head, key, tail = value.partition(b'"open":')  # the key that follows "market" in order
    return b'%b"market":%b,%b%b' % (head, _encode_market(move), key, tail)


@lru_cache(maxsize=4_096)
def _encode_market(move: MarketMove) -> bytes:
    return wire.canonical_json(to_market_message(move).model_dump(exclude_none=True))


def encode_correction(candle: bytes, kind: CorrectionKind) -> bytes:
    """Return the canonical bytes of a correction, of a candle's canonical bytes."""
    head, key, tail = candle.rpartition(b'"type":"candle"')
    if not key:
        raise ValueError(f"not the bytes of a candle: {candle[:80]!r}")
    return b'%b"type":"%b"%b' % (head, kind.encode(), tail)


def to_fill(candle: bytes) -> bytes:
    """Return the canonical bytes of a fill, of any bytes that a reader takes for a candle."""
    return encode_correction(encode_record(KLINE.validate_json(candle)), "fill")


def encode_status(status: SymbolStatus, interval: str) -> bytes:
    """Return the canonical bytes of a symbol's status in a topic of this interval.

    Raises:
        BadInput: a field is invalid, such as a reason that is too long.
    """
    fields = dataclass_fields(status)
    try:
        return encode_record(StatusMessage(type="status", interval=interval, **fields))
    except ValidationError as error:
        raise wire.to_bad_input(error) from error


def encode_gap(gap: Gap, interval: str) -> bytes:
    """Return the canonical bytes of a gap in a topic of this interval."""
    return encode_record(GapMessage(type="gap", interval=interval, **dataclass_fields(gap)))
