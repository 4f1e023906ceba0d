"""Settings of the producer."""

from typing import Annotated, Final

from pydantic import AfterValidator, Field

from services.producer.exchanges.registry import DEFAULT_EXCHANGE, EXCHANGES
from shared.adapters.env_settings import Port, ServiceSettings, parse_symbols
from shared.core.errors import BadSetting

ALL: Final = "all"


def _check_symbols(text: str) -> str:
    if text.strip().lower() != ALL and not parse_symbols(text):
        raise BadSetting(f"SYMBOLS is {text!r}; name symbols, such as BTCUSDT,ETHUSDT, or use all")
    return text


def _check_exchange(name: str) -> str:
    if name not in EXCHANGES:
        raise BadSetting(f"EXCHANGE is {name!r}; choose one of {', '.join(EXCHANGES)}")
    return name


class ProducerSettings(ServiceSettings):
    """Settings of the producer. An address that is None is the exchange's own public one."""

    symbols: Annotated[str, AfterValidator(_check_symbols)]
    exchange: Annotated[str, AfterValidator(_check_exchange)] = DEFAULT_EXCHANGE
    exchange_rest_url: Annotated[str, Field(pattern=r"^https?://[^/]+$")] | None = None
    exchange_stream_url: Annotated[str, Field(pattern=r"^wss?://[^/]+$")] | None = None
    backfill_candles: Annotated[int, Field(ge=1, le=1_000_000)] = 2000
    metrics_host: str = "127.0.0.1"
    metrics_port: Port = 0
    stream_silence_s: Annotated[float, Field(gt=0, le=3600)] = 60.0
    close_grace_s: Annotated[float, Field(ge=0, le=300)] = 3.0
    rest_threads: Annotated[int, Field(ge=1, le=16)] = 4

    @property
    def named_symbols(self) -> tuple[str, ...] | None:
        """The symbols to follow; None means all that are traded."""
        return None if self.symbols.strip().lower() == ALL else parse_symbols(self.symbols)
