"""The records of the klines topic as values."""

from dataclasses import dataclass
from typing import Final, Literal

from shared.core.errors import BadInput

StatusName = Literal["listed", "halted", "resumed", "delisted", "removed"]
_ENDS: Final = frozenset(("delisted", "removed"))


@dataclass(frozen=True, slots=True)
class MarketMove:
    """The market's move during a candle: medians of changes from the close before, as fractions.

    None is unknown: fewer symbols than a quorum had a price.
    """

    change: float | None
    symbols: int  # whose changes the median is of
    baskets: str | None = None  # version of the definition of the baskets
    basket_changes: tuple[float | None, ...] = ()  # in the order of the definition


@dataclass(frozen=True, slots=True)
class Candle:
    """A closed kline that was checked: it is final. Prices are in the quote currency.

    What the source did not tell is None: unknown, not zero.
    """

    symbol: str
    open_time_ms: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    quote_volume: float | None = None
    trades: int | None = None
    taker_buy_volume: float | None = None
    market: MarketMove | None = None


@dataclass(frozen=True, slots=True)
class Gap:
    """The exchange had no candles of a symbol between two open times; the second is excluded.

    It may give them later: see Fill.
    """

    symbol: str
    from_open_time_ms: int
    until_open_time_ms: int


@dataclass(frozen=True, slots=True)
class Amendment:
    """The exchange changed a candle after it had closed."""

    candle: Candle


@dataclass(frozen=True, slots=True)
class Fill:
    """The exchange gave a candle after its gap had been written."""

    candle: Candle


@dataclass(frozen=True, slots=True)
class SymbolStatus:
    """What the exchange, or the user, did with a symbol.

    It holds from the open time `time_ms` on: of the first candle that the symbol has (listed,
    resumed), or no longer has (halted; delisted by the exchange; removed by the user).
    """

    symbol: str
    time_ms: int
    status: StatusName
    reason: str

    @property
    def ends_symbol(self) -> bool:
        """Whether the symbol is predicted no more."""
        return self.status in _ENDS

    @property
    def resets_symbol(self) -> bool:
        """Whether nothing before matters any more: the next candle begins the symbol anew."""
        return self.ends_symbol or self.status == "listed"


@dataclass(frozen=True, slots=True)
class Promotion:
    """From here on, this model version predicts every symbol of the partition.

    Only processes with the numeric profile named here predict until the next promotion.
    """

    model_version: str
    bundle_sha256: str
    numeric_profile: str


Correction = Amendment | Fill
Record = Candle | Gap | Amendment | Fill | SymbolStatus | Promotion


def symbol_of(record: Record) -> str | None:
    """Return the symbol of a record; None of a promotion, which concerns all symbols."""
    if isinstance(record, Promotion):
        return None
    return record.candle.symbol if isinstance(record, Amendment | Fill) else record.symbol


def covered_span_ms(value: Candle | Gap, step_ms: int) -> tuple[int, int]:
    """Return the open times [from, until) of a record: its symbol's next one opens at `until`."""
    if isinstance(value, Gap):
        return value.from_open_time_ms, value.until_open_time_ms
    return value.open_time_ms, value.open_time_ms + step_ms


def check_candle(candle: Candle, step_ms: int) -> None:
    """Check a candle whose numbers are finite and positive already.

    Raises:
        BadInput: the open time is not on the interval's grid, or high and low contradict open and
            close.
    """
    if candle.open_time_ms % step_ms:
        message = (
            f"open time {candle.open_time_ms} ms is not a multiple of the interval {step_ms} ms"
        )
        raise BadInput("off_grid", message)
    top, bottom = max(candle.open, candle.close), min(candle.open, candle.close)
    if candle.high < top or candle.low > bottom:
        message = (
            f"high {candle.high} and low {candle.low} do not enclose open {candle.open} and close"
            f" {candle.close}"
        )
        raise BadInput("inconsistent_prices", message)
