"""The exchanges that can be chosen by the setting EXCHANGE."""

import threading
from collections.abc import Callable, Mapping
from typing import Final

from services.producer.exchanges.binance.exchange import BinanceExchange
from services.producer.ports import Exchange

# An exchange is made of the interval to follow, EXCHANGE_REST_URL and EXCHANGE_STREAM_URL (None:
# the public address), and the event that ends every wait of the exchange.
ExchangeFactory = Callable[[str, str | None, str | None, threading.Event], Exchange]

EXCHANGES: Final[Mapping[str, ExchangeFactory]] = {"binance": BinanceExchange}
