"""Settings of the producer."""

from typing import Annotated

from pydantic import AfterValidator, Field

from services.producer.backfill.doubtful_candles import GapLimits
from services.producer.exchanges.registry import EXCHANGES
from services.producer.market.selection import PriceSymbols, parse_price_symbols
from services.producer.ports import RestLimits
from services.producer.symbols.selection import SymbolSelection, parse_symbol_selection
from shared.adapters.env_settings import ServiceSettings
from shared.core.errors import BadSetting


def _check_symbols(text: str) -> str:
    if parse_symbol_selection(text) is None:
        raise BadSetting(
            f"SYMBOLS is {text!r}; name symbols, such as BTCUSDT,ETHUSDT, or use all, or"
            " top:200:USDT for the most traded"
        )
    return text


def _check_exchange(name: str) -> str:
    if name not in EXCHANGES:
        raise BadSetting(f"EXCHANGE is {name!r}; choose one of {', '.join(EXCHANGES)}")
    return name


def _check_market_symbols(text: str) -> str:
    if parse_price_symbols(text) is None:
        raise BadSetting(
            f"MARKET_SYMBOLS is {text!r}; use top:40 for the 40 most traded, names such as"
            " BTCUSDT,ETHUSDT, or none"
        )
    return text


class ProducerSettings(ServiceSettings):
    """Settings of the producer."""

    symbols: Annotated[str, AfterValidator(_check_symbols)] = Field(
        description="Symbols to follow: names, comma-separated; `all` that are traded; or"
        " `top:200:USDT`, the most traded of a quote asset. `ulstm symbols` changes them."
    )
    listing_refresh_s: float = Field(
        60.0,
        gt=0,
        le=3600,
        description="Seconds between two lists of the exchange's symbols, by which new ones join.",
    )
    delisted_after_s: float = Field(
        600.0,
        ge=0,
        le=86_400,
        description="Seconds for which a symbol must be missing in the exchange's lists, three at"
        " least, and then have no candle, to be delisted.",
    )
    exchange: Annotated[str, AfterValidator(_check_exchange)] = Field(
        "binance", description="The exchange: a folder of `services/producer/exchanges/`."
    )
    exchange_rest_url: str | None = Field(
        None, pattern=r"^https?://[^/]+$", description="REST address; empty: the public one."
    )
    exchange_stream_url: str | None = Field(
        None, pattern=r"^wss?://[^/]+$", description="Stream address; empty: the public one."
    )
    backfill_candles: int = Field(
        2000, ge=1, le=1_000_000, description="Candles to fetch of a symbol that is new to the log."
    )
    market_symbols: Annotated[str, AfterValidator(_check_market_symbols)] = Field(
        "top:40",
        description="Symbols whose prices alone are followed, for the market's move: `top:N` most"
        " traded in the main quote asset, names, or `none`.",
    )
    market_price_max_age_s: float = Field(
        60.0,
        ge=0,
        le=3600,
        description="How old, in seconds of the exchange's time, a price may be in the market's"
        " move if the stream was interrupted since.",
    )
    stream_silence_s: float = Field(
        60.0, gt=0, le=3600, description="Seconds without a message before reconnecting the stream."
    )
    close_grace_s: float = Field(
        3.0, ge=0, le=300, description="Seconds a close may be late before REST is asked for it."
    )
    gap_after_s: float = Field(
        120.0,
        ge=0,
        le=86_400,
        description="Seconds, and three requests, for which REST must deny a candle before it is a"
        " gap: exchanges repair what they lack within a minute or two.",
    )
    outage_gap_after_s: float = Field(
        600.0,
        ge=0,
        le=86_400,
        description="The same where at least half of the symbols lack the candle, as after an"
        " outage.",
    )
    reconcile_after_s: float = Field(
        900.0,
        ge=0,
        le=86_400,
        description="Seconds of the exchange's time after its close at which a candle is compared"
        " with REST; a difference becomes an amendment. 0: never.",
    )
    rest_threads: int = Field(4, ge=1, le=16, description="Concurrent requests to REST.")
    rest_deadline_s: float = Field(
        15.0, gt=0, le=300, description="Seconds until a response of REST must be complete."
    )
    rest_weight_share: float = Field(
        0.6,
        gt=0,
        le=0.9,
        description="How much of the exchange's request limit may be used in any minute, counting"
        " what others use behind the same address.",
    )

    @property
    def selection(self) -> SymbolSelection:
        """The symbols to follow."""
        return parse_symbol_selection(self.symbols) or SymbolSelection()

    @property
    def rest_limits(self) -> RestLimits:
        """How the exchange's REST service is used."""
        return RestLimits(self.rest_deadline_s, self.rest_weight_share)

    @property
    def price_symbols(self) -> PriceSymbols:
        """The symbols whose prices alone are followed."""
        return parse_price_symbols(self.market_symbols) or PriceSymbols()

    @property
    def gap_limits(self) -> GapLimits:
        """How long a candle must be denied before it is a gap."""
        return GapLimits(self.gap_after_s, self.outage_gap_after_s)

    @property
    def market_price_max_age_ms(self) -> int:
        """The largest age of a price of an interrupted stream, in milliseconds."""
        return int(self.market_price_max_age_s * 1000)
