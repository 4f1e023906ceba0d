"""The producer's metrics and readiness."""

from collections.abc import Mapping, Sequence

from services.producer.sequencer import LogEntry, ReceivedCandle, SymbolCursor, UnreadableKline
from shared.adapters.prometheus import Telemetry
from shared.core.records import Gap


class ProducerMetrics:
    """Metrics of one producer, and the reason while it is not ready."""

    def __init__(self, telemetry: Telemetry, interval_ms: int) -> None:
        """Register every metric at zero."""
        self._telemetry, self._interval_ms = telemetry, interval_ms
        self._candles = telemetry.counter("candles_total", "Candles published.", "source")
        self._gaps = telemetry.counter("gaps_total", "Gap records published.")
        self._dead_letters = telemetry.counter(
            "dead_letters_total", "Klines that could not be read.", "reason"
        )
        self._latency_s = telemetry.histogram(
            "publish_seconds", "Time from a kline's arrival to its commit."
        )
        self._behind = telemetry.gauge(
            "symbols_behind", "Symbols with a closed candle that is not in the log."
        )
        self._symbols = telemetry.gauge("symbols", "Symbols followed.")
        self._connected = telemetry.gauge("stream_connected", "1 while the stream is connected.")
        self._reconnects = telemetry.gauge("stream_reconnects", "Reconnections of the stream.")
        self._weight = telemetry.gauge(
            "rest_weight_used", "REST weight used in this minute, as counted by the exchange."
        )
        self.stale = telemetry.counter(
            "stale_klines_total", "Klines dropped because the log has them."
        )
        self.aborts = telemetry.counter(
            "aborts_total", "Transactions aborted or of unknown outcome."
        )
        self.rest_failures = telemetry.counter(
            "rest_failures_total", "REST requests without a usable response."
        )

    def count_published(self, entries: Sequence[LogEntry], now_ms: int) -> None:
        """Count committed entries."""
        for entry in entries:
            if isinstance(entry, ReceivedCandle):
                self._candles.labels(entry.source).inc()
                self._latency_s.observe(max(0, now_ms - entry.arrival_ms) / 1000)
            elif isinstance(entry, Gap):
                self._gaps.inc()
            elif isinstance(entry, UnreadableKline):
                self._dead_letters.labels(entry.reason).inc()

    def report_progress(
        self, pending: Sequence[str], cursors: Mapping[str, SymbolCursor], server_ms: int
    ) -> None:
        """Report how far the log is.

        Args:
            pending: symbols whose history has not been fetched since the start.
            cursors: the cursor of every symbol.
            server_ms: the exchange's time.
        """
        self._symbols.set(len(cursors))
        self._behind.set(
            sum(server_ms >= c.next_open_time_ms + self._interval_ms for c in cursors.values())
        )
        self._telemetry.not_ready = (
            f"fetching the history of {len(pending)} symbols, such as {pending[0]}"
            if pending
            else None
        )

    def report_unavailable(self, reason: str) -> None:
        """Report why nothing is published for a while."""
        self._telemetry.not_ready = reason

    def report_exchange(self, *, connected: bool, reconnects: int, used_weight: int) -> None:
        """Report the state of the connections to the exchange."""
        self._connected.set(connected)
        self._reconnects.set(reconnects)
        self._weight.set(used_weight)
        if not connected and self._telemetry.not_ready is None:
            self._telemetry.not_ready = "the stream is not connected"
