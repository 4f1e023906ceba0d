"""Settings of the exchange simulator."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from shared.core.errors import BadSetting
from shared.core.topics import interval_ms

PREFIX = "EXCHANGE_"
UNPREFIXED = ("interval", "log_level")  # shared with the other services
SYMBOL = r"[A-Z0-9]{2,30}"


class SimulatorSettings(BaseModel):
    """Settings of the exchange simulator.

    A field's variable is EXCHANGE_ and its name in capitals; INTERVAL and LOG_LEVEL, which all
    services share, have no prefix.
    """

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 0
    port_file: Path | None = None
    speed: Annotated[float, Field(gt=0, le=100_000)] = 1.0
    candles: Path | None = None
    symbols: str = ""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 1
    history: Annotated[int, Field(ge=0, le=10_000_000)] | None = None
    start_ms: Annotated[int, Field(ge=0, le=253_402_300_799_999)] | None = None
    interval: str = "5m"
    log_level: Annotated[str, Field(pattern=r"^(DEBUG|INFO|WARNING|ERROR)$")] = "INFO"

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Self:
        """Read each field from its variable; an empty one counts as not set.

        Raises:
            BadSetting: a value is invalid; the message names the setting, the value and the rule.
        """
        given = {
            name: value
            for name in cls.model_fields
            if (value := environ.get(_variable(name), "")) != ""
        }
        try:
            settings = cls.model_validate(given)
        except ValidationError as error:
            raise BadSetting(_named(error)) from None
        interval_ms(settings.interval)
        return settings

    @field_validator("symbols")
    @classmethod
    def _count_or_list(cls, text: str) -> str:
        if re.fullmatch(r"[0-9]+", text):
            if not 1 <= int(text) <= 2000:
                raise ValueError("a count is 1 to 2000")
        elif not re.fullmatch(rf"({SYMBOL}(,{SYMBOL})*)?", text):
            raise ValueError("give a count such as 20, or symbols such as BTCUSDT,ETHUSDT")
        return text

    @property
    def symbol_count(self) -> int | None:
        """The number of symbols; None if they are listed or the setting is empty."""
        return int(self.symbols) if self.symbols.isdigit() else None

    @property
    def symbol_list(self) -> tuple[str, ...]:
        """The symbols listed; empty if they are counted or the setting is empty."""
        return (
            ()
            if self.symbols.isdigit()
            else tuple(dict.fromkeys(filter(None, self.symbols.split(","))))
        )


def _variable(name: str) -> str:
    return name.upper() if name in UNPREFIXED else PREFIX + name.upper()


def _named(error: ValidationError) -> str:
    return "; ".join(
        f"{_variable(str(fault['loc'][0]))} is {fault['input']!r}: {fault['msg']}"
        for fault in error.errors(include_url=False)
    )
