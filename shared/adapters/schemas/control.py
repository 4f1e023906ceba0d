"""Records of the topic `control`: who is wanted and followed, bans, progress of a copy."""

from typing import Annotated, Final, Literal

from pydantic import Field, TypeAdapter, ValidationError

from shared.adapters.schemas import wire
from shared.core.control import (
    ControlRecord,
    CopyProgress,
    ExchangeBan,
    SkippedPrediction,
    SymbolAction,
    SymbolControl,
)

MAX_CONTROL_BYTES: Final = 32_768  # a copy of 1,000 partitions
MAX_REASON: Final = 200  # characters
LAST_OFFSET: Final = 2**63 - 1

PartitionText = Annotated[str, Field(pattern=r"^[0-9]{1,4}$")]
Exchange = Annotated[str, Field(pattern=r"^[a-z0-9_-]{1,40}$")]


class SymbolControlMessage(wire.Wire):
    """A user's wish (follow, unfollow), or what the producer did (joined, left)."""

    schema_: wire.SchemaNumber = wire.schema_field()
    type: SymbolAction = Field(
        description="follow, unfollow: the user wants the symbol, or no more, whatever SYMBOLS"
        " says. joined, left: the producer follows it from here on, or no longer."
    )
    symbol: wire.Symbol = Field(description="The symbol; the record's key too.")
    interval: str = Field(description="The deployment's interval, such as 5m.")
    time_ms: wire.TimeMs = Field(description="When it was written, ms since 1970 UTC.")
    reason: Annotated[str, Field(max_length=MAX_REASON)] = Field(
        default="", description="Why the producer follows it, or no longer."
    )


class BanMessage(wire.Wire):
    """Until when the exchange takes no request of this address."""

    schema_: wire.SchemaNumber = wire.schema_field()
    type: Literal["ban"]
    exchange: Exchange = Field(description="Name of the exchange, such as binance.")
    until_ms: wire.TimeMs = Field(description="No request is sent before, ms since 1970 UTC.")


class CopyMessage(wire.Wire):
    """How far another deployment's topic was copied into this one by `ulstm copy`."""

    schema_: wire.SchemaNumber = wire.schema_field()
    type: Literal["copy"]
    source: Annotated[str, Field(max_length=MAX_REASON)] = Field(
        description="The topic's name there, such as klines.5m."
    )
    source_id: Annotated[str, Field(pattern=r"^[A-Za-z0-9+/=_-]{1,40}$")] = Field(
        description="Kafka's id of that topic."
    )
    interval: str = Field(description="The deployment's interval, such as 5m.")
    next_offsets: dict[PartitionText, Annotated[int, Field(ge=0)]] = Field(
        description="By partition of that topic: the offset to go on from."
    )


class SkipMessage(wire.Wire):
    """A record on `predictions` that no predictor of this deployment wrote, as an operator says.

    It stays there; recovery, `ulstm verify` and `ulstm replay` pass over it.
    """

    schema_: wire.SchemaNumber = wire.schema_field()
    type: Literal["skip"]
    interval: str = Field(description="The deployment's interval, such as 5m.")
    partition: Annotated[int, Field(ge=0, le=9_999)] = Field(description="Of `predictions`.")
    offset: Annotated[int, Field(ge=0, le=LAST_OFFSET)] = Field(description="Of the record.")
    time_ms: wire.TimeMs = Field(description="When it was written, ms since 1970 UTC.")
    reason: Annotated[str, Field(min_length=1, max_length=MAX_REASON)] = Field(
        description="Why the record counts as foreign."
    )


AnyControl = SymbolControlMessage | BanMessage | CopyMessage | SkipMessage
ControlMessage = Annotated[AnyControl, Field(discriminator="type")]
_control: TypeAdapter[AnyControl] = TypeAdapter(ControlMessage)


def encode_control(record: ControlRecord, interval: str) -> bytes:
    """Return the canonical bytes of a record of a deployment's control topic."""
    return wire.canonical_json(_to_message(record, interval).model_dump(by_alias=True))


def _to_message(record: ControlRecord, interval: str) -> AnyControl:
    match record:
        case ExchangeBan():
            return BanMessage(type="ban", exchange=record.exchange, until_ms=record.until_ms)
        case CopyProgress():
            return CopyMessage(
                type="copy",
                source=record.source[:MAX_REASON],
                source_id=record.source_id,
                interval=interval,
                next_offsets={str(p): offset for p, offset in record.next_offsets.items()},
            )
        case SkippedPrediction():
            return SkipMessage(
                type="skip",
                interval=interval,
                partition=record.partition,
                offset=record.offset,
                time_ms=record.time_ms,
                reason=record.reason[:MAX_REASON],
            )
        case SymbolControl():
            return SymbolControlMessage(
                type=record.action,
                symbol=record.symbol,
                interval=interval,
                time_ms=record.time_ms,
                reason=record.reason[:MAX_REASON],
            )


def decode_control(value: bytes | None, interval: str) -> ControlRecord | None:
    """Return the record of a message's bytes; None if it is of another interval's candles.

    Raises:
        BadInput: it is no record of this topic.
    """
    checked = wire.check_size(value, MAX_CONTROL_BYTES, "a control record")
    try:
        message = _control.validate_json(checked)
    except ValidationError as error:
        raise wire.to_bad_input(error) from error
    if isinstance(message, BanMessage):
        return ExchangeBan(message.exchange, message.until_ms)
    if message.interval != interval:
        return None
    if isinstance(message, CopyMessage):
        offsets = {int(partition): at for partition, at in message.next_offsets.items()}
        return CopyProgress(message.source, message.source_id, offsets)
    if isinstance(message, SkipMessage):
        return SkippedPrediction(message.partition, message.offset, message.time_ms, message.reason)
    return SymbolControl(message.symbol, message.type, message.time_ms, message.reason)
