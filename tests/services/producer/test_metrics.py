"""What the producer exports of its symbols and of the exchange."""

from dataclasses import dataclass, field

from services.producer.metrics import ProducerMetrics
from services.producer.ports import (
    BanStore,
    OnError,
    OnEvent,
    RestClient,
    StreamConnection,
    StreamLimits,
)
from services.producer.rest.requests import Priority
from services.producer.streams.status import StreamStatus
from services.producer.symbols.symbol_standing import SymbolFacts
from shared.adapters.prometheus import Telemetry

STEP_MS = 300_000


@dataclass
class CountingExchange:
    """An exchange that says how much it was asked for, and gives nothing."""

    used_weight: int = 0
    allowed_weight: float = 3_600.0
    klines_per_minute: float = 1_800.0
    ban_s: float = 0.0
    stream_limits: StreamLimits = field(default_factory=lambda: StreamLimits(1, 1.0))

    def open_rest(self) -> RestClient:
        raise NotImplementedError

    def reserve_klines(self, priority: Priority) -> float:
        raise NotImplementedError

    def open_stream(self, on_event: OnEvent, on_error: OnError) -> StreamConnection:
        raise NotImplementedError

    def keep_bans(self, bans: BanStore) -> None:
        raise NotImplementedError


def test_candles_that_have_closed_and_are_not_in_the_log_are_counted() -> None:
    telemetry = Telemetry("t")
    metrics = ProducerMetrics(telemetry, STEP_MS)
    facts = [
        SymbolFacts("AAAUSDT", 10 * STEP_MS),
        SymbolFacts("BBBUSDT", 7 * STEP_MS, is_behind=True),
        SymbolFacts("CCCUSDT", 9 * STEP_MS, is_behind=True),
    ]

    metrics.report_symbols(facts, 10 * STEP_MS + 1, 0, 0.0)

    sample = telemetry.registry.get_sample_value
    assert sample("ulstm_t_symbols") == 3
    assert sample("ulstm_t_symbols_behind") == 2
    assert sample("ulstm_t_candles_behind") == 3 + 1


def test_the_exchange_is_shown_as_it_is_now_and_its_totals_never_fall() -> None:
    telemetry = Telemetry("t")
    metrics = ProducerMetrics(telemetry, STEP_MS)
    status = StreamStatus(1, 3, 3, attempts=4, ends={"silent": 2}, repeated=7)

    metrics.report_exchange(status, CountingExchange(used_weight=40, ban_s=12.5))
    metrics.report_exchange(status, CountingExchange(used_weight=60))

    sample = telemetry.registry.get_sample_value
    assert sample("ulstm_t_stream_connected") == 1
    assert sample("ulstm_t_stream_connects_total") == 4
    assert sample("ulstm_t_stream_ends_total", {"reason": "silent"}) == 2
    assert sample("ulstm_t_stream_repeated_klines_total") == 7
    assert sample("ulstm_t_rest_weight_used") == 60
    assert sample("ulstm_t_rest_weight_allowed") == 3_600
    assert sample("ulstm_t_rest_ban_remaining_seconds") == 0
