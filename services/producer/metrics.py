"""What the producer tells about itself."""

from collections.abc import Mapping, Sequence

from services.producer.sequencer import LogEntry, ReceivedCandle, SymbolCursor, UnreadableKline
from shared.adapters.prometheus import Telemetry
from shared.core.records import Gap


class ProducerMetrics:
    """Counters of one producer, and why it is not ready."""

    def __init__(self, telemetry: Telemetry, step_ms: int) -> None:
        """Start with nothing counted."""
        self._telemetry, self._step_ms = telemetry, step_ms
        self._candles = telemetry.counter("candles_total", "Candles published.", "source")
        self._gaps = telemetry.counter("gaps_total", "Gap records published.")
        self._letters = telemetry.counter("dead_letters_total", "Klines set aside.", "reason")
        self._latency_s = telemetry.histogram(
            "publish_seconds", "From a kline's arrival to its commit."
        )
        self._behind = telemetry.gauge(
            "symbols_behind", "Symbols with a closed candle that is not in the log."
        )
        self._followed = telemetry.gauge("symbols", "Symbols followed.")
        self._connected = telemetry.gauge("stream_connected", "1 while the stream is connected.")
        self._reconnects = telemetry.gauge(
            "stream_reconnects", "How often the stream was connected again."
        )
        self._weight = telemetry.gauge(
            "rest_weight_used", "REST weight used in this minute, as the exchange counts."
        )
        self.stale = telemetry.counter(
            "stale_klines_total", "Klines dropped: the log has them already."
        )
        self.aborts = telemetry.counter(
            "aborts_total", "Transactions taken back or of unknown outcome."
        )
        self.unanswered = telemetry.counter(
            "rest_failures_total", "Questions to REST without an answer."
        )

    def published(self, entries: Sequence[LogEntry], now_ms: int) -> None:
        """Count what was committed."""
        for entry in entries:
            if isinstance(entry, ReceivedCandle):
                self._candles.labels(entry.source).inc()
                self._latency_s.observe(max(0, now_ms - entry.arrival_ms) / 1000)
            elif isinstance(entry, Gap):
                self._gaps.inc()
            elif isinstance(entry, UnreadableKline):
                self._letters.labels(entry.reason).inc()

    def standing(
        self, awaited: Sequence[str], places: Mapping[str, SymbolCursor], exchange_ms: int
    ) -> None:
        """Tell where the symbols stand.

        Args:
            awaited: symbols whose history has not been fetched since the start.
            places: of all symbols.
            exchange_ms: exchange time.
        """
        self._followed.set(len(places))
        self._behind.set(
            sum(exchange_ms >= place.next_ms + self._step_ms for place in places.values())
        )
        if awaited:
            self._telemetry.not_ready = (
                f"fetching the history of {len(awaited)} symbols, such as {awaited[0]}"
            )
        else:
            self._telemetry.not_ready = None

    def unavailable(self, why: str) -> None:
        """Tell why nothing is published for a while."""
        self._telemetry.not_ready = why

    def exchange(self, *, connected: bool, reconnects: int, weight: int) -> None:
        """Tell how it goes with the exchange."""
        self._connected.set(connected)
        self._reconnects.set(reconnects)
        self._weight.set(weight)
        if not connected and self._telemetry.not_ready is None:
            self._telemetry.not_ready = "the stream is not connected"
