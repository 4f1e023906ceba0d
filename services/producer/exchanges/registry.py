"""The exchanges that can be chosen by the setting EXCHANGE."""

import threading
from collections.abc import Mapping
from typing import Final, Protocol

from services.producer.exchanges.binance.exchange import BinanceExchange
from services.producer.ports import Exchange


class ExchangeFactory(Protocol):
    """The constructor of an exchange."""

    def __call__(
        self, interval: str, rest_url: str | None, stream_url: str | None, stop: threading.Event
    ) -> Exchange:
        """Return the exchange.

        Args:
            interval: the interval to follow, such as 5m.
            rest_url: EXCHANGE_REST_URL; None means the exchange's public address.
            stream_url: EXCHANGE_STREAM_URL; None likewise.
            stop: ends every wait of the exchange's own.
        """


EXCHANGES: Final[Mapping[str, ExchangeFactory]] = {"binance": BinanceExchange}
DEFAULT_EXCHANGE: Final = "binance"
