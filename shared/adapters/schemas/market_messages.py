"""The market's move in a candle's message, and the value that it stands for."""

from functools import lru_cache
from typing import Annotated, Final, Self

from pydantic import ConfigDict, Field, JsonValue, TypeAdapter, model_validator

from shared.adapters.schemas import wire
from shared.core.market import to_fraction, to_ppb
from shared.core.records import MarketMove
from shared.core.sequence import MAX_BASKETS

_CACHED_MOVES: Final = 256  # records of one moment, which share it, lie close to each other
Ppb = Annotated[int, Field(ge=-999_999_999, le=10**12)]


_WITH_OR_WITHOUT_BASKETS: Final[JsonValue] = [
    {
        "required": ["baskets", "basket_changes_ppb"],
        "properties": {"baskets": {"type": "string"}, "basket_changes_ppb": {"type": "array"}},
    },
    {"properties": {"baskets": {"type": "null"}, "basket_changes_ppb": {"type": "null"}}},
]


class MarketMessage(wire.Wire):
    """The market's move during a candle, in parts per billion of the close before.

    Whole numbers are the same in every reader of JSON. What is unknown is left out, or null in a
    list.
    """

    model_config = ConfigDict(json_schema_extra={"anyOf": _WITH_OR_WITHOUT_BASKETS})

    change_ppb: Ppb | None = Field(
        default=None, description="Median change of the market's symbols, parts per billion."
    )
    symbols: Annotated[int, Field(ge=0, le=1_000_000)] = Field(
        description="How many symbols the median is of."
    )
    baskets: wire.BasketsVersion | None = Field(
        default=None, description="Version of the definition of the baskets, on `models`."
    )
    basket_changes_ppb: Annotated[list[Ppb | None], Field(max_length=MAX_BASKETS)] | None = Field(
        default=None,
        description="Median change of each basket in the definition's order, parts per billion;"
        " null: too few of its symbols had a price.",
    )

    @model_validator(mode="after")
    def _check_version(self) -> Self:
        if (self.baskets is None) != (self.basket_changes_ppb is None):
            raise ValueError("baskets and basket_changes_ppb go together: the version names them")
        return self


def to_market_message(move: MarketMove) -> MarketMessage:
    """Return the message of a market's move, rounded to whole parts per billion."""
    has_baskets = move.baskets is not None
    return MarketMessage(
        change_ppb=_to_ppb(move.change),
        symbols=move.symbols,
        baskets=move.baskets,
        basket_changes_ppb=[_to_ppb(c) for c in move.basket_changes] if has_baskets else None,
    )


_market: TypeAdapter[MarketMessage] = TypeAdapter(MarketMessage)


@lru_cache(_CACHED_MOVES)
def parse_market(text: str) -> MarketMove:
    """Return the market's move of its JSON, as one object for the candles that share it."""
    return to_market_move(_market.validate_json(text))


def to_market_move(message: MarketMessage) -> MarketMove:
    """Return the market's move of a message, its changes as fractions."""
    changes = message.basket_changes_ppb or ()
    return MarketMove(
        _from_ppb(message.change_ppb),
        message.symbols,
        message.baskets,
        tuple(_from_ppb(change) for change in changes),
    )


def _to_ppb(change: float | None) -> int | None:
    return None if change is None else to_ppb(change)


def _from_ppb(change_ppb: int | None) -> float | None:
    return None if change_ppb is None else to_fraction(change_ppb)
