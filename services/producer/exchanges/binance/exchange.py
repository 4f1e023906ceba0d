"""Binance, as the producer needs it."""

import threading
from typing import Final

from services.producer.exchanges.binance.rest_client import KLINES_WEIGHT, BinanceRestClient
from services.producer.exchanges.binance.stream_connection import BinanceStreamConnection
from services.producer.ports import BanStore, OnError, OnEvent, RestLimits, StreamLimits
from services.producer.rest.requests import Priority
from services.producer.rest.weight_budget import WeightBudget

REST_URL: Final = "https://data-api.binance.vision"  # market data only, needs no key
STREAM_URL: Final = "wss://data-stream.binance.vision"


class BinanceExchange:
    """Binance's public market data of the spot market."""

    # Binance allows 1,024 streams, and ends a connection after 24 h, unannounced.
    stream_limits = StreamLimits(max_symbols=1000, max_age_s=23 * 3600.0)

    def __init__(
        self,
        interval: str,
        rest_url: str | None,
        stream_url: str | None,
        limits: RestLimits,
        stop: threading.Event,
    ) -> None:
        """Store the addresses; clients connect when they are opened."""
        self._interval = interval
        self._rest_url, self._stream_url = rest_url or REST_URL, stream_url or STREAM_URL
        self._deadline_s = limits.deadline_s
        self._budget = WeightBudget(limits.weight_share, stop)

    @property
    def used_weight(self) -> int:
        """The request weight used in this minute, as Binance counts it."""
        return self._budget.used

    @property
    def allowed_weight(self) -> float:
        """The request weight that may be used in a minute, by all behind the same address."""
        return self._budget.allowed

    @property
    def ban_s(self) -> float:
        """The seconds until Binance's ban of this address ends; 0: there is none."""
        return self._budget.ban_s

    def open_rest(self) -> BinanceRestClient:
        """Return a REST client for one thread; all clients share one weight budget."""
        return BinanceRestClient(self._rest_url, self._interval, self._deadline_s, self._budget)

    def reserve_klines(self, priority: Priority) -> float:
        """Reserve one request for klines and return 0, or return the seconds until then."""
        return self._budget.reserve(KLINES_WEIGHT, priority)

    @property
    def klines_per_minute(self) -> float:
        """The requests for klines that may be sent in a minute, if there were no others."""
        return self._budget.allowed / KLINES_WEIGHT

    def keep_bans(self, bans: BanStore) -> None:
        """Wait out the ban that is stored, and store each new one; see `Exchange.keep_bans`."""
        self._budget.keep_bans(bans)

    def open_stream(self, on_event: OnEvent, on_error: OnError) -> BinanceStreamConnection:
        """Begin to connect to the streams; see `Exchange.open_stream`."""
        return BinanceStreamConnection(self._stream_url, self._interval, on_event, on_error)
