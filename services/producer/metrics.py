"""The producer's metrics and readiness."""

from collections.abc import Mapping, Sequence

from services.producer.backfill.sequencer import (
    CorrectedCandle,
    LogEntry,
    ReceivedCandle,
    UnreadableKline,
)
from services.producer.exchange_metrics import ExchangeMetrics
from services.producer.finality.clock_estimate import ClockReading
from services.producer.market.tracker import MarketTracker
from services.producer.ports import Exchange
from services.producer.streams.status import StreamStatus
from services.producer.symbols.symbol_standing import StandingBook, SymbolFacts
from shared.adapters.prometheus import Telemetry
from shared.core.records import Gap, SymbolStatus


class ProducerMetrics:
    """Metrics of one producer, and the reason while it is not ready."""

    def __init__(self, telemetry: Telemetry, interval_ms: int = 300_000) -> None:
        """Register every metric at zero; `interval_ms` is a candle's length."""
        self._telemetry, self._interval_ms = telemetry, interval_ms
        self._book, self._without_stream = StandingBook(interval_ms), dict[str, str]()
        telemetry.add_page("/symbols", self._book.to_json)
        counter, gauge = telemetry.counter, telemetry.gauge
        self._exchange = ExchangeMetrics(telemetry)
        gauge("interval_seconds", "Length of a candle.").set(interval_ms / 1000)
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
        self._arrival_s = telemetry.histogram(
            "close_to_arrival_seconds",
            "Time from a candle's close, by the exchange's clock, to its arrival by stream.",
        )
        self._readable_s = telemetry.histogram(
            "arrival_to_readable_seconds", "Time from a candle's arrival to its commit."
        )
        self._behind = gauge(
            "symbols_behind", "Symbols with a closed candle that is not in the log."
        )
        self._candles_behind = gauge(
            "candles_behind", "Closed candles that are not in the log, of all symbols together."
        )
        self._held = gauge(
            "held_symbols", "Symbols whose REST response waits for the market's move."
        )
        self._symbols = gauge("symbols", "Symbols followed.")
        self._standings = gauge("symbol_standings", "Symbols by standing.", "standing")
        self._lag_s = gauge(
            "worst_lag_seconds", "Exchange's time since the close of the candle most overdue."
        )
        self._without_market = counter(
            "candles_without_market_total", "Candles published without the market's move."
        )
        self._market_symbols = gauge("market_symbols", "Symbols that make up the market.")
        self._price_age_s = gauge(
            "market_price_age_seconds", "Median age of the prices in the newest market's move."
        )
        self._reconciled = telemetry.running_total(
            "reconciled_candles_total", "Candles compared with REST."
        )
        self._implausible = telemetry.running_total(
            "exchange_times_implausible_total",
            "Times told by the exchange that were not believed.",
            "witness",
        )
        self.stale = counter("stale_klines_total", "Klines dropped because the log has them.")
        self.suppressed = counter(
            "dead_letters_suppressed_total", "Unreadable klines that are in no dead letter."
        )
        self.aborts = counter("aborts_total", "Transactions aborted or of unknown outcome.")
        self.rest_failures = counter(
            "rest_failures_total", "REST requests without a usable response."
        )

    def count_published(
        self, entries: Sequence[LogEntry], wall_ms: int, exchange: ClockReading
    ) -> None:
        """Count committed entries.

        Args:
            entries: what was committed.
            wall_ms: this machine's clock.
            exchange: the exchange's clock at the same time.
        """
        for entry in entries:
            if isinstance(entry, ReceivedCandle):
                self._candles.labels(entry.source).inc()
                self._without_market.inc(entry.market is None)
                self._observe_latencies(entry, wall_ms, exchange)
            elif isinstance(entry, Gap):
                self._gaps.inc()
            elif isinstance(entry, SymbolStatus):
                self._statuses.labels(entry.status).inc()
            elif isinstance(entry, CorrectedCandle):
                self._corrections[entry.kind].inc()
            elif isinstance(entry, UnreadableKline):
                self._dead_letters.labels(entry.reason).inc()

    def report_symbols(
        self, facts: Sequence[SymbolFacts], server_ms: int, wall_ms: int, now_s: float
    ) -> None:
        """Report how far the log is, and whether candles of most symbols arrive.

        Args:
            facts: what is known of each symbol.
            server_ms: the exchange's time.
            wall_ms: this machine's clock.
            now_s: the monotonic clock.
        """
        self._book.update(facts, self._without_stream, wall_ms, now_s)
        self._symbols.set(len(facts))
        behind = [each for each in facts if each.is_behind]
        self._behind.set(len(behind))
        self._candles_behind.set(
            sum(max(1, (server_ms - f.next_open_time_ms) // self._interval_ms) for f in behind)
        )
        self._lag_s.set(self._book.worst_lag_s(server_ms))
        for name, count in self._book.counts().items():
            self._standings.labels(name).set(count)
        self._telemetry.not_ready = self._book.not_ready_reason()

    def report_finality(self, compared: int, implausible: Mapping[str, int]) -> None:
        """Report how many candles were compared with REST, and the times that were not believed."""
        self._reconciled.update(compared)
        self._implausible.update_all(implausible)

    def report_market(self, market: MarketTracker) -> None:
        """Report what the market's move is made of."""
        self._market_symbols.set(market.symbols)
        self._held.set(len(market.held_symbols))
        self._price_age_s.set(market.price_age_s)

    def report_unavailable(self, reason: str) -> None:
        """Report why nothing is published for a while."""
        self._telemetry.not_ready = reason

    def report_exchange(self, stream: StreamStatus, exchange: Exchange) -> None:
        """Report the state of the connections to the exchange."""
        self._exchange.report(stream, exchange)
        self._without_stream = dict(stream.left_out)

    def _observe_latencies(
        self, candle: ReceivedCandle, wall_ms: int, exchange: ClockReading
    ) -> None:
        readable_ms = max(0, wall_ms - candle.arrival_ms)
        self._readable_s.observe(readable_ms / 1000)
        if candle.source == "stream" and exchange.now_ms:
            closed_ms = exchange.now_ms - candle.open_time_ms - self._interval_ms
            self._arrival_s.observe(max(0.0, closed_ms / exchange.rate - readable_ms) / 1000)
