"""Settings of the exchange simulator."""

import re
from pathlib import Path

from pydantic import Field, field_validator
from pydantic_settings import SettingsConfigDict

from shared.adapters.env_settings import EnvSettings, Interval, LogLevel, Port
from shared.adapters.logs import LogFormat
from shared.core.symbols import is_symbol


class SimulatorSettings(EnvSettings):
    """Settings of the exchange simulator.

    A field's variable is EXCHANGE_ and its name in capitals; INTERVAL and LOG_LEVEL, which all
    services share, have no prefix.
    """

    model_config = SettingsConfigDict(env_prefix="EXCHANGE_", populate_by_name=True)

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: Port = Field(0, description="Port to listen on; 0: any free one.")
    port_file: Path | None = Field(None, description="File to write the port to, once listening.")
    speed: float = Field(
        1.0, gt=0, le=100_000, description="Speed of the exchange's clock; 1: real time."
    )
    candles: Path | None = Field(
        None, description="Folder of recorded candles; empty: synthetic candles."
    )
    symbols: str = Field(
        "", description="Number of symbols, or their names, comma-separated; empty: all, or 20."
    )
    seed: int = Field(1, ge=0, lt=2**63, description="Seed of the synthetic candles.")
    history: int | None = Field(
        None,
        ge=0,
        le=10_000_000,
        description="Candles before the start; empty: half of a recording, 2,016 synthetic ones.",
    )
    start_ms: int | None = Field(
        None,
        ge=0,
        le=253_402_300_799_999,
        description="Exchange's time at the start; empty: after HISTORY candles.",
    )
    interval: Interval = Field("5m", validation_alias="interval", description="Length of a candle.")
    faults: Path | None = Field(
        None, description="JSON file of faults to make; empty: an exchange without faults."
    )
    weight_per_minute: int = Field(
        6000, ge=100, le=10_000_000, description="Request weight that REST allows in a real minute."
    )
    push_interval_s: float = Field(
        0.25,
        ge=0.01,
        le=3600,
        description="Real seconds between two pushes of an open candle, at least.",
    )
    log_level: LogLevel = Field(
        "INFO", validation_alias="log_level", description="Least severe message to log."
    )
    log_format: LogFormat = Field(
        "console",
        validation_alias="log_format",
        description="Log lines for people, or one JSON object a line.",
    )

    @field_validator("symbols")
    @classmethod
    def _count_or_list(cls, text: str) -> str:
        if _is_count(text):
            if not 1 <= int(text) <= 5000:
                raise ValueError("a count is 1 to 5000")
        elif text and not all(map(is_symbol, text.split(","))):
            raise ValueError("give a count such as 20, or symbols such as BTCUSDT,ETHUSDT")
        return text

    @property
    def symbol_count(self) -> int | None:
        """The number of symbols; None if they are listed or the setting is empty."""
        return int(self.symbols) if _is_count(self.symbols) else None

    @property
    def symbol_list(self) -> tuple[str, ...]:
        """The symbols listed; empty if they are counted or the setting is empty."""
        return (
            ()
            if _is_count(self.symbols)
            else tuple(dict.fromkeys(filter(None, self.symbols.split(","))))
        )


def _is_count(text: str) -> bool:
    return re.fullmatch(r"[0-9]+", text) is not None
