"""The producer's metrics and readiness."""

from collections import Counter
from collections.abc import Mapping, Sequence

from services.producer.market_tracker import MarketTracker
from services.producer.ports import Exchange
from services.producer.sequencer import CorrectedCandle, LogEntry, ReceivedCandle, UnreadableKline
from services.producer.streams.status import StreamStatus
from shared.adapters.prometheus import Telemetry
from shared.core.records import Gap, SymbolStatus


class ProducerMetrics:
    """Metrics of one producer, and the reason while it is not ready."""

    def __init__(self, telemetry: Telemetry) -> None:
        """Register every metric at zero."""
        self._telemetry = telemetry
        counter, gauge = telemetry.counter, telemetry.gauge
        self._candles = counter("candles_total", "Candles published.", "source")
        self._statuses = counter(
            "symbol_statuses_total", "Status records of symbols published.", "status"
        )
        self._gaps = counter("gaps_total", "Gap records published.")
        self._corrections = {
            "fill": counter("fills_total", "Candles published after their gap."),
            "amendment": counter("amendments_total", "Candles published with another value."),
        }
        self._dead_letters = counter(
            "dead_letters_total", "Klines that could not be read.", "reason"
        )
        self._latency_s = telemetry.histogram(
            "publish_seconds", "Time from a kline's arrival to its commit."
        )
        self._behind = gauge(
            "symbols_behind", "Symbols with a closed candle that is not in the log."
        )
        self._symbols = gauge("symbols", "Symbols followed.")
        self._connected = gauge(
            "stream_connected", "1 while the stream carries at least 90 % of the symbols."
        )
        self._connections = gauge("stream_connections", "Connections of the stream.")
        self._carried = gauge("stream_symbols", "Symbols that the stream carries.")
        self._left_out = gauge(
            "stream_symbols_left_out", "Symbols that the exchange refuses a stream of."
        )
        self._attempts = gauge("stream_attempts", "Connections attempted since the start.")
        self._ends = gauge("stream_ends", "Connections ended since the start.", "reason")
        self._repeated = gauge(
            "stream_repeated_klines", "Closed klines that came on two connections at once."
        )
        self._overflowed = gauge(
            "stream_overflowed_klines", "Klines that the event queue had no room for."
        )
        self._weight = gauge(
            "rest_weight_used", "REST weight used in this minute, as counted by the exchange."
        )
        self._without_market = counter(
            "candles_without_market_total", "Candles published without the market's move."
        )
        self._market_symbols = gauge("market_symbols", "Symbols that make up the market.")
        self._price_age_s = gauge(
            "market_price_age_seconds", "Median age of the prices in the newest market's move."
        )
        self._reconciled = counter("reconciled_candles_total", "Candles compared with REST.")
        self._implausible = counter(
            "exchange_times_implausible_total",
            "Times told by the exchange that were not believed.",
            "witness",
        )
        self._reported_compared, self._reported_implausible = 0, Counter[str]()
        self.stale = counter("stale_klines_total", "Klines dropped because the log has them.")
        self.suppressed = counter(
            "dead_letters_suppressed_total", "Unreadable klines that are in no dead letter."
        )
        self.aborts = counter("aborts_total", "Transactions aborted or of unknown outcome.")
        self.rest_failures = counter(
            "rest_failures_total", "REST requests without a usable response."
        )

    def count_published(self, entries: Sequence[LogEntry], now_ms: int) -> None:
        """Count committed entries."""
        for entry in entries:
            if isinstance(entry, ReceivedCandle):
                self._candles.labels(entry.source).inc()
                self._without_market.inc(entry.market is None)
                self._latency_s.observe(max(0, now_ms - entry.arrival_ms) / 1000)
            elif isinstance(entry, Gap):
                self._gaps.inc()
            elif isinstance(entry, SymbolStatus):
                self._statuses.labels(entry.status).inc()
            elif isinstance(entry, CorrectedCandle):
                self._corrections[entry.kind].inc()
            elif isinstance(entry, UnreadableKline):
                self._dead_letters.labels(entry.reason).inc()

    def report_progress(self, symbols: int, behind: int, pending: Sequence[str]) -> None:
        """Report how far the log is.

        Args:
            symbols: the number of symbols.
            behind: the number of symbols with a closed candle that is not in the log.
            pending: symbols whose history has not been fetched since the start.
        """
        self._symbols.set(symbols)
        self._behind.set(behind)
        self._telemetry.not_ready = (
            f"fetching the history of {len(pending)} symbols, such as {pending[0]}"
            if pending
            else None
        )

    def report_finality(self, compared: int, implausible: Mapping[str, int]) -> None:
        """Report how many candles were compared with REST, and the times that were not believed."""
        self._reconciled.inc(compared - self._reported_compared)
        self._reported_compared = compared
        for witness, count in implausible.items():
            self._implausible.labels(witness).inc(count - self._reported_implausible[witness])
            self._reported_implausible[witness] = count

    def report_market(self, market: MarketTracker) -> None:
        """Report what the market's move is made of."""
        self._market_symbols.set(market.symbols)
        self._price_age_s.set(market.price_age_s)

    def report_unavailable(self, reason: str) -> None:
        """Report why nothing is published for a while."""
        self._telemetry.not_ready = reason

    def report_exchange(self, stream: StreamStatus, exchange: Exchange) -> None:
        """Report the state of the connections to the exchange."""
        self._connected.set(stream.is_connected)
        self._connections.set(stream.connections)
        self._carried.set(stream.carried)
        self._left_out.set(len(stream.left_out))
        self._attempts.set(stream.attempts)
        self._repeated.set(stream.repeated)
        self._overflowed.set(stream.overflowed)
        for reason, ended in stream.ends.items():
            self._ends.labels(reason).set(ended)
        self._weight.set(exchange.used_weight)
        if not stream.is_connected and self._telemetry.not_ready is None:
            self._telemetry.not_ready = (
                f"the stream carries {stream.carried} of {stream.wanted} symbols"
            )
