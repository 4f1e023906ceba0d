"""Metrics of the connections to the exchange: streams, REST and its bans."""

from services.producer.ports import Exchange
from services.producer.streams.status import StreamStatus
from shared.adapters.prometheus import Telemetry


class ExchangeMetrics:
    """What the exchange gives this producer, and what it is asked for."""

    def __init__(self, telemetry: Telemetry) -> None:
        """Register every metric at zero."""
        gauge, total = telemetry.gauge, telemetry.running_total
        self._connected = gauge(
            "stream_connected", "1 while the stream carries at least 90 % of the symbols."
        )
        self._connections = gauge("stream_connections", "Connections of the stream.")
        self._carried = gauge("stream_symbols", "Symbols that the stream carries.")
        self._left_out = gauge(
            "stream_symbols_left_out", "Symbols that the exchange refuses a stream of."
        )
        self._attempts = total("stream_connects_total", "Connections attempted.")
        self._ends = total("stream_ends_total", "Connections that have ended.", "reason")
        self._repeated = total(
            "stream_repeated_klines_total", "Closed klines that came on two connections at once."
        )
        self._overflowed = total(
            "stream_overflowed_klines_total", "Klines that the event queue had no room for."
        )
        self._weight = gauge(
            "rest_weight_used", "REST weight used in this minute, as counted by the exchange."
        )
        self._allowed = gauge(
            "rest_weight_allowed", "REST weight that may be used in a minute, all callers together."
        )
        self._ban_s = gauge(
            "rest_ban_remaining_seconds", "Until the exchange's ban of this address ends; 0: none."
        )

    def report(self, stream: StreamStatus, exchange: Exchange) -> None:
        """Report the state of the connections."""
        self._connected.set(stream.is_connected)
        self._connections.set(stream.connections)
        self._carried.set(stream.carried)
        self._left_out.set(len(stream.left_out))
        self._attempts.update(stream.attempts)
        self._ends.update_all(stream.ends)
        self._repeated.update(stream.repeated)
        self._overflowed.update(stream.overflowed)
        self._weight.set(exchange.used_weight)
        self._allowed.set(exchange.allowed_weight)
        self._ban_s.set(exchange.ban_s)
