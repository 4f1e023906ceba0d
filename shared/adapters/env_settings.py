"""Settings from the environment: read once, refused with the setting's name."""

from collections.abc import Mapping
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from shared.adapters.schemas import KlineCodec
from shared.core.errors import BadSetting
from shared.core.topics import Topics, interval_ms

Port = Annotated[int, Field(ge=0, le=65535)]


class ServiceSettings(BaseModel):
    """What every service is told; each service adds its own fields. A field's variable is its name in capitals."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    kafka_bootstrap_servers: str = "127.0.0.1:9092"
    redis_url: Annotated[str, Field(pattern=r"^(redis|rediss|unix)://")] = (
        "redis://127.0.0.1:6379/0"
    )
    interval: str = "5m"
    symbol_groups: Annotated[int, Field(ge=1, le=1000)] = 6
    topic_prefix: Annotated[str, Field(pattern=r"^[a-z0-9._-]*$")] = ""
    topic_replicas: Annotated[int, Field(ge=1, le=9)] = 1
    log_level: Annotated[str, Field(pattern=r"^(DEBUG|INFO|WARNING|ERROR)$")] = "INFO"

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Self:
        """Read each field from the variable of the same name in capitals; an empty one counts as not given.

        Raises:
            BadSetting: a value is refused; the message names the setting, the value and what is allowed.
        """
        given = {
            name: environ[name.upper()]
            for name in cls.model_fields
            if environ.get(name.upper(), "") != ""
        }
        try:
            settings = cls.model_validate(given)
        except ValidationError as error:
            raise BadSetting(_named(error)) from error
        interval_ms(settings.interval)
        return settings

    @property
    def topics(self) -> Topics:
        """The topics these settings name."""
        return Topics(self.interval, self.symbol_groups, self.topic_prefix, self.topic_replicas)

    @property
    def codec(self) -> KlineCodec:
        """The codec of the klines topic these settings name."""
        return KlineCodec(self.interval, interval_ms(self.interval), self.symbol_groups)


def parse_symbols(text: str) -> tuple[str, ...]:
    """Return the symbols of a comma-separated list, in capitals.

    Raises:
        BadSetting: one is no symbol or comes twice.
    """
    symbols = tuple(part.strip().upper() for part in text.split(",") if part.strip())
    for symbol in symbols:
        if not (symbol.isascii() and symbol.isalnum() and 2 <= len(symbol) <= 30):
            message = (
                f"SYMBOLS has {symbol!r}; a symbol is 2 to 30 letters and digits, such as BTCUSDT"
            )
            raise BadSetting(message)
    if len(set(symbols)) != len(symbols):
        message = f"SYMBOLS names a symbol twice: {text}"
        raise BadSetting(message)
    return symbols


def _named(error: ValidationError) -> str:
    return "; ".join(
        f"{str(fault['loc'][0]).upper() if fault['loc'] else 'settings'} is {fault['input']!r}: {fault['msg']}"
        for fault in error.errors(include_url=False)
    )
