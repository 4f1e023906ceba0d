"""The exchanges that can be chosen by the setting EXCHANGE."""

import threading
from collections.abc import Callable, Mapping
from typing import Final

from services.producer.exchanges.binance.exchange import BinanceExchange
from services.producer.ports import Exchange, RestLimits

# An exchange is made of the interval to follow, EXCHANGE_REST_URL and EXCHANGE_STREAM_URL (None:
# the public address), how its REST service is used, and the event that ends every wait.
ExchangeFactory = Callable[[str, str | None, str | None, RestLimits, threading.Event], Exchange]

EXCHANGES: Final[Mapping[str, ExchangeFactory]] = {"binance": BinanceExchange}
