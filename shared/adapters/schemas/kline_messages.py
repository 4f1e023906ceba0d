"""Messages of the topic `klines` and the values that they stand for."""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, Field, TypeAdapter, ValidationError

from shared.adapters.schemas import wire
from shared.adapters.schemas.market_messages import MarketMessage, to_market_move
from shared.core.errors import BadInput
from shared.core.records import (
    Amendment,
    Candle,
    Fill,
    Record,
    StatusName,
    check_candle,
)

MAX_REASON_LENGTH: Final = 200  # characters
LARGEST_PRICE: Final = 1e15

CorrectionKind = Literal["amendment", "fill"]
RECORD_OF: Final[Mapping[str, Callable[[Candle], Record]]] = {
    "candle": lambda candle: candle,
    "amendment": Amendment,
    "fill": Fill,
}
Decimals = Annotated[str, Field(pattern=r"^[0-9]{1,20}(\.[0-9]{1,20})?$")]
# The readers' other rules of a price are checked with float64: see `to_candle`.
Price = Annotated[
    Decimals, Field(json_schema_extra={"pattern": r"^(?=.*[1-9])[0-9]{1,20}(\.[0-9]{1,20})?$"})
]


class CandleMessage(wire.Wire):
    """A closed kline, or a correction. Prices and volumes are the exchange's decimal strings.

    Prices are at most 1e15, `low` is the lowest and `high` the highest of the four, `open_time_ms`
    is a multiple of the interval. What the source did not tell is left out.
    """

    schema_: wire.SchemaNumber = wire.schema_field()
    type: Literal["candle", "amendment", "fill"] = Field(
        description="candle: a closed kline. amendment: other values of a candle of the log. fill:"
        " a candle that comes after a gap had been written for it."
    )
    symbol: wire.Symbol = Field(description="The symbol; the record's key too.")
    interval: str = Field(description="The candle's interval, such as 5m.")
    open_time_ms: wire.TimeMs = Field(description="Opening of the candle, ms since 1970 UTC.")
    open: Price = Field(description="First price, in quote currency.")
    high: Price = Field(description="Highest price, in quote currency.")
    low: Price = Field(description="Lowest price, in quote currency.")
    close: Price = Field(description="Last price, in quote currency.")
    volume: Decimals = Field(description="Amount traded, in base currency.")
    quote_volume: Decimals | None = Field(
        default=None, description="Amount traded, in quote currency."
    )
    trades: Annotated[int, Field(ge=0, lt=10**15)] | None = Field(
        default=None, description="Number of trades."
    )
    taker_buy_volume: Decimals | None = Field(
        default=None, description="Amount that takers bought, in base currency."
    )
    taker_buy_quote_volume: Decimals | None = Field(
        default=None, description="Amount that takers bought, in quote currency."
    )
    market: MarketMessage | None = Field(
        default=None, description="What the market did during the candle."
    )


class GapMessage(wire.Wire):
    """A span without candles on the exchange. It may be filled later.

    Both times are multiples of the interval, the first is the earlier one.
    """

    schema_: wire.SchemaNumber = wire.schema_field()
    type: Literal["gap"]
    symbol: wire.Symbol = Field(description="The symbol; the record's key too.")
    interval: str = Field(description="The candles' interval, such as 5m.")
    from_open_time_ms: wire.TimeMs = Field(
        description="Opening of the first missing candle, ms since 1970 UTC."
    )
    until_open_time_ms: wire.TimeMs = Field(
        description="Opening of the first candle that is there again, ms since 1970 UTC."
    )


def _check_printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("a reason is one line of printable characters")
    return text


Reason = Annotated[
    str,
    Field(
        min_length=1,
        max_length=MAX_REASON_LENGTH,
        json_schema_extra={"pattern": wire.PRINTABLE_PATTERN},
    ),
    AfterValidator(_check_printable),
]


class StatusMessage(wire.Wire):
    """A symbol's status from the candle on that opens, or would open, at `time_ms`."""

    schema_: wire.SchemaNumber = wire.schema_field()
    type: Literal["status"]
    symbol: wire.Symbol = Field(description="The symbol; the record's key too.")
    interval: str = Field(description="The candles' interval, such as 5m.")
    time_ms: wire.TimeMs = Field(
        description="From which open time on, ms since 1970 UTC; a multiple of the interval."
    )
    status: StatusName = Field(
        description="listed: the symbol is new, or begins anew. halted, resumed: the exchange has"
        " stopped trading it, or trades it again. delisted, removed: the exchange, or the user, has"
        " ended it; a later candle begins it like a new symbol."
    )
    reason: Reason = Field(description="Why, one line of printable characters.")


class PromotionMessage(wire.Wire):
    """The model version from here on, for processes of this numeric profile.

    The same record lies in every partition, each at a place of its own among the candles.
    """

    schema_: wire.SchemaNumber = wire.schema_field()
    type: Literal["promotion"]
    model_version: wire.Version = Field(description="Key of the bundle on `models`.")
    bundle_sha256: wire.Sha256 = Field(description="SHA-256 of the bundle's bytes.")
    numeric_profile: wire.NumericProfile = Field(
        description="Which bits the kernel computes; processes of another profile wait."
    )


KlineMessage = CandleMessage | GapMessage | StatusMessage | PromotionMessage
KLINE: TypeAdapter[KlineMessage] = TypeAdapter(Annotated[KlineMessage, Field(discriminator="type")])


def to_candle(message: CandleMessage) -> Candle:
    """Return the candle of a message, its prices as float64.

    Raises:
        BadInput: a price is zero or beyond what a float64 holds.
    """
    prices = [float(p) for p in (message.open, message.high, message.low, message.close)]
    for price in prices:
        if not 0 < price <= LARGEST_PRICE:
            raise BadInput("bad_price", f"price {price} of {message.symbol} is not in (0, 1e15]")
    opened, high, low, close = prices
    return Candle(
        message.symbol,
        message.open_time_ms,
        opened,
        high,
        low,
        close,
        float(message.volume),
        _to_float(message.quote_volume),
        message.trades,
        _to_float(message.taker_buy_volume),
        None if message.market is None else to_market_move(message.market),
    )


def _to_float(text: str | None) -> float | None:
    return None if text is None else float(text)


def build_candle_message(interval_ms: int, **fields: Any) -> CandleMessage:
    """Return the candle message of an exchange's fields, after every check that a reader makes.

    Raises:
        BadInput: a field is invalid.
    """
    try:
        message = CandleMessage(type="candle", **fields)
    except ValidationError as error:
        raise wire.to_bad_input(error) from error
    check_candle(to_candle(message), interval_ms)
    return message
