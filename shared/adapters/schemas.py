"""The wire shape of each topic: bytes <-> values. Doubt ends here."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from shared.core.dataclass_fields import dataclass_fields
from shared.core.errors import BadInput
from shared.core.online.prediction import Outcome, Prediction
from shared.core.online.scores import Scores
from shared.core.records import Amendment, Candle, Gap, Promotion, Record, check_candle
from shared.core.topics import partition_for

SCHEMA = 1
MAX_RECORD_BYTES = 4096  # a candle takes about 300

_PRICE = r"^[0-9]{1,20}(\.[0-9]{1,20})?$"
_LARGEST_PRICE: Final = 1e15
_LAST_MS: Final = 253_402_300_799_999  # of the year 9999
Symbol = Annotated[str, Field(pattern=r"^[A-Z0-9]{2,30}$")]
TimeMs = Annotated[int, Field(ge=0, le=_LAST_MS)]
Decimals = Annotated[str, Field(pattern=_PRICE)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Version = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,79}$")]
NumericProfile = Annotated[str, Field(pattern=r"^[0-9]{1,9}-[A-Za-z0-9]{1,64}$")]


class Wire(BaseModel):
    """Read firmly, and tolerantly only towards fields that a later version may add."""

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore", allow_inf_nan=False)


class CandleMessage(Wire):
    """A closed kline. Prices and volumes are the exchange's own decimal strings."""

    schema_: Literal[1] = Field(default=1, alias="schema")
    type: Literal["candle", "amendment"]
    symbol: Symbol
    interval: str
    open_time_ms: TimeMs
    open: Decimals
    high: Decimals
    low: Decimals
    close: Decimals
    volume: Decimals
    quote_volume: Decimals | None = None
    trades: Annotated[int, Field(ge=0)] | None = None
    taker_buy_volume: Decimals | None = None
    taker_buy_quote_volume: Decimals | None = None


class GapMessage(Wire):
    """The exchange has no candles from one open time up to, not including, another."""

    schema_: Literal[1] = Field(default=1, alias="schema")
    type: Literal["gap"]
    symbol: Symbol
    interval: str
    from_open_time_ms: TimeMs
    until_open_time_ms: TimeMs


class PromotionMessage(Wire):
    """From here on, this model version, by processes of this numeric profile."""

    schema_: Literal[1] = Field(default=1, alias="schema")
    type: Literal["promotion"]
    model_version: Version
    bundle_sha256: Sha256
    numeric_profile: NumericProfile | None = None


KlineMessage = Annotated[CandleMessage | GapMessage | PromotionMessage, Field(discriminator="type")]
_kline: TypeAdapter[CandleMessage | GapMessage | PromotionMessage] = TypeAdapter(KlineMessage)

# A candle's bytes as `encode_record` writes them. Nothing else may match; what does not is left to CandleMessage.
_PLAIN_CANDLE: Final = re.compile(
    r"""
    \{"close":"(DECIMALS)",
    "high":"(DECIMALS)",
    "interval":"([0-9a-z]{1,5})",
    "low":"(DECIMALS)",
    "open":"(DECIMALS)",
    "open_time_ms":(0|[1-9][0-9]{0,14}),
    (?:"quote_volume":"DECIMALS",)?
    "schema":1,
    "symbol":"([A-Z0-9]{2,30})",
    (?:"taker_buy_quote_volume":"DECIMALS",)?
    (?:"taker_buy_volume":"DECIMALS",)?
    (?:"trades":(?:0|[1-9][0-9]{0,17}),)?
    "type":"candle",
    "volume":"(DECIMALS)"\}
    """.replace("DECIMALS", r"[0-9]{1,20}+(?:\.[0-9]{1,20}+)?+"),
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class KlineCodec:
    """Decodes what lies on one deployment's klines topic."""

    interval: str
    interval_ms: int
    partitions: int

    def decode(self, value: bytes | None, group: int) -> Record:
        """Return the record of a message's bytes.

        Args:
            value: the message's value.
            group: the partition it lies in.

        Raises:
            BadInput: it is no record of this topic; the reason says why.
        """
        return self._plain_candle(value, group) or self._checked(value, group)

    def _plain_candle(self, value: bytes | None, group: int) -> Candle | None:
        """Return the candle of its usual bytes: a shorter way to what `_checked` returns. None: that has to look."""
        found = None if value is None else _PLAIN_CANDLE.fullmatch(value.decode("latin-1"))
        if found is None:
            return None
        close, high, interval, low, opened, time, symbol, volume = found.groups()
        candle = Candle(
            symbol, int(time), float(opened), float(high), float(low), float(close), float(volume)
        )
        is_right = (
            interval == self.interval
            and group == partition_for(symbol, self.partitions)
            and candle.open_time_ms <= _LAST_MS
            and candle.open_time_ms % self.interval_ms == 0
            and 0 < candle.low <= candle.open <= candle.high <= _LARGEST_PRICE
            and candle.low <= candle.close <= candle.high
        )
        return candle if is_right else None

    def _checked(self, value: bytes | None, group: int) -> Record:
        """Return the record of any bytes."""
        message = self._parsed(value)
        if isinstance(message, PromotionMessage):
            return Promotion(message.model_version, message.bundle_sha256, message.numeric_profile)
        if message.interval != self.interval:
            text = f"interval {message.interval!r} in a topic of {self.interval!r}; publish it to its own topic"
            raise BadInput("wrong_interval", text)
        if group != partition_for(message.symbol, self.partitions):
            right = partition_for(message.symbol, self.partitions)
            text = f"{message.symbol} lies in symbol group {group}; crc32 of the symbol puts it into {right}"
            raise BadInput("wrong_group", text)
        if isinstance(message, GapMessage):
            return self._gap(message)
        candle = to_candle(message)
        check_candle(candle, self.interval_ms)
        return candle if message.type == "candle" else Amendment(candle)

    def _gap(self, message: GapMessage) -> Gap:
        start, end = message.from_open_time_ms, message.until_open_time_ms
        if start % self.interval_ms or end % self.interval_ms or start >= end:
            text = (
                f"gap from {start} to {end} ms is not a span on the grid of {self.interval_ms} ms"
            )
            raise BadInput("off_grid", text)
        return Gap(message.symbol, start, end)

    @staticmethod
    def _parsed(value: bytes | None) -> CandleMessage | GapMessage | PromotionMessage:
        if value is None or len(value) > MAX_RECORD_BYTES:
            size = "no value" if value is None else f"{len(value)} bytes"
            message = f"a record has {size}; allowed: 1 to {MAX_RECORD_BYTES} bytes"
            raise BadInput("bad_size", message)
        try:
            return _kline.validate_json(value)
        except ValidationError as error:
            raise _bad_input(error) from error


def to_candle(message: CandleMessage) -> Candle:
    """Return the candle of a message whose strings are decimals.

    Raises:
        BadInput: a price is zero or beyond what a float64 holds.
    """
    prices = [float(p) for p in (message.open, message.high, message.low, message.close)]
    for price in prices:
        if not 0 < price <= _LARGEST_PRICE:
            text = f"price {price} of {message.symbol} is not in (0, 1e15]"
            raise BadInput("bad_price", text)
    opened, high, low, close = prices
    return Candle(
        message.symbol, message.open_time_ms, opened, high, low, close, float(message.volume)
    )


def encode_record(message: CandleMessage | GapMessage | PromotionMessage) -> bytes:
    """Return the canonical bytes of a kline log record."""
    return canonical_json(message.model_dump(by_alias=True, exclude_none=True))


def build_candle_message(interval_ms: int, **fields: Any) -> CandleMessage:
    """Return a candle message of an exchange's fields, checked as a reader of the log will check it.

    Raises:
        BadInput: it is none.
    """
    try:
        message = CandleMessage(type="candle", **fields)
    except ValidationError as error:
        raise _bad_input(error) from error
    check_candle(to_candle(message), interval_ms)
    return message


def canonical_json(value: Mapping[str, Any]) -> bytes:
    """Return canonical JSON: sorted keys, no spaces, shortest round-trip floats, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def encode_prediction(prediction: Prediction) -> bytes:
    """Return the canonical bytes of a prediction.

    Raises:
        ValueError: it was made without its state's digest, so it is not one to publish.
    """
    if prediction.state_digest is None:
        message = f"the prediction of {prediction.symbol} from offset {prediction.source_offset} has no state digest"
        raise ValueError(message)
    previous = None if prediction.previous is None else dataclass_fields(prediction.previous)
    fields = {
        **dataclass_fields(prediction),
        "schema": SCHEMA,
        "previous": previous,
        "scores": dataclass_fields(prediction.scores),
    }
    return canonical_json(fields)


class _ScoresMessage(Wire):
    n: int
    squared_error: float
    squared_error_zero: float
    absolute_error: float
    absolute_error_zero: float
    sign_hits: int
    moves: int
    squared_error_calibrated: float = 0.0


class _OutcomeMessage(Wire):
    open_time_ms: TimeMs
    model_version: Version
    predicted_change: float
    calibrated_change: float = 0.0  # versions before 2 did not calibrate
    outcome_change: float | None


class PredictionMessage(Wire):
    """A prediction, as downstream readers find it."""

    schema_: Literal[1] = Field(default=1, alias="schema")
    symbol: Symbol
    interval: str
    open_time_ms: TimeMs
    close: float
    predicted_change: float
    predicted_close: float
    # Versions before 2 did not calibrate; their bytes are compared by those versions.
    change_scale: float = 0.0
    calibration: float = 0.0
    calibrated_change: float = 0.0
    calibrated_close: float = 0.0
    actionable: bool = False
    model_version: Version
    steps: int
    loss: float | None
    was_reset: bool
    previous: _OutcomeMessage | None
    scores: _ScoresMessage
    source_offset: int
    promotion_offset: int
    state_digest: Sha256
    numeric_profile: str


def decode_prediction(value: bytes | None) -> Prediction:
    """Return the prediction of a message's bytes.

    Raises:
        BadInput: they are none.
    """
    try:
        message = PredictionMessage.model_validate_json(value or b"")
    except ValidationError as error:
        raise _bad_input(error) from error
    fields = dict(vars(message))  # iterating the model gives the same, at several times the cost
    del fields["schema_"]
    fields["previous"] = None if message.previous is None else Outcome(**vars(message.previous))
    fields["scores"] = Scores(**vars(message.scores))
    return Prediction(**fields)


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """What could not be read: its bytes, its place and why. No clock, so a replay gives the same."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    reason: str
    message: str


def dead_letter_headers(letter: DeadLetter) -> list[tuple[str, bytes]]:
    """Return place and reason as headers; the original bytes stay the record's key and value."""
    fields = {
        "schema": str(SCHEMA),
        "topic": letter.topic,
        "partition": str(letter.partition),
        "offset": str(letter.offset),
        "reason": letter.reason,
        "message": letter.message[:1000],
    }
    return [(name, text.encode()) for name, text in fields.items()]


def decode_dead_letter(
    headers: Mapping[str, bytes], key: bytes | None, value: bytes | None
) -> DeadLetter:
    """Return the letter of a record on the dead-letters topic; what its headers do not say is empty, or -1."""
    said = {name: data.decode("utf-8", "backslashreplace") for name, data in headers.items()}
    partition, offset = (_place_number(said.get(name, "")) for name in ("partition", "offset"))
    return DeadLetter(
        said.get("topic", ""),
        partition,
        offset,
        key,
        value,
        said.get("reason", ""),
        said.get("message", ""),
    )


def dead_letter_offset(headers: Mapping[str, bytes], topic: str, partition: int) -> int | None:
    """Return the offset that a dead letter names in a partition: None if it names another, -1 if it names no offset."""
    if (
        headers.get("topic") != topic.encode()
        or headers.get("partition") != str(partition).encode()
    ):
        return None
    offset = headers.get("offset", b"")
    return int(offset) if offset.isdigit() else -1


def _place_number(text: str) -> int:
    return int(text) if re.fullmatch(r"[0-9]{1,18}", text) else -1


def _bad_input(error: ValidationError) -> BadInput:
    """Name the first fault, and how many there are."""
    faults = error.errors(include_url=False, include_context=False)
    first = faults[0]
    where = ".".join(str(part) for part in first["loc"]) or "record"
    value = repr(first.get("input"))[:80]
    more = f" (and {len(faults) - 1} more faults)" if len(faults) > 1 else ""
    reason = "not_json" if first["type"] == "json_invalid" else "bad_field"
    if where.endswith("schema") or first["type"].startswith("union_tag"):
        reason = "unknown_schema"
    return BadInput(reason, f"{where}: {first['msg']}, got {value}{more}")
