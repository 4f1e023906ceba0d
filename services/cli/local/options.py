"""The options of `ulstm up`."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from shared.core.errors import BadSetting


class KlineSource(StrEnum):
    """The exchange that klines come from."""

    STANDIN = "standin"
    BINANCE = "binance"


@dataclass(frozen=True, slots=True)
class UpOptions:
    """What to start, and for how long."""

    exchange: KlineSource
    candles: Path | None  # a folder of recorded candles; None: synthetic ones
    speed: float  # of the simulator's clock
    symbols: str  # a number (simulator), or names
    replicas: int  # of the predictor
    data: Path | None  # None: a folder that is removed at the end
    seconds: float  # 0: until a signal

    def check(self) -> None:
        """Refuse options that contradict each other.

        Raises:
            BadSetting: the message names the option and what to give instead.
        """
        if self.exchange is KlineSource.BINANCE and self.symbols.isdigit():
            message = (
                f"--symbols is {self.symbols}; with --exchange binance name them, such as"
                " BTCUSDT,ETHUSDT"
            )
            raise BadSetting(message)
        if self.candles is not None and not self.candles.is_dir():
            message = f"--candles is {self.candles}, which is no folder of recorded candles"
            raise BadSetting(message)

    @property
    def source(self) -> str:
        """The source of the klines, in words."""
        if self.exchange is KlineSource.BINANCE:
            return "Binance"
        candles = f"candles recorded in {self.candles}" if self.candles else "SYNTHETIC candles"
        return f"{candles}, clock x {self.speed:g}"
