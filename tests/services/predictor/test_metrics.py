"""What a replica exports of its work, from the records it processes to the states it holds."""

from services.predictor.metrics import LONGEST_LATENCY_S, PredictorMetrics
from shared.adapters.prometheus import Telemetry
from shared.adapters.schemas.klines import encode_record
from shared.core.online.interval_scores import COVERAGES
from tests.services.predictor.task_harness import MODEL, PROMOTION, SYMBOLS, TaskHarness
from tests.support.builders import START_MS, STEP_MS, a_walk, candle_bytes

WINDOW = MODEL.card.architecture.window_length
LAST = WINDOW + 3  # number of the newest candle: predictions are of the one after


class PredictingReplica:
    """A partition with a promoted model and some predictions, and the metrics of its replica."""

    def __init__(self, wall_s: float = (START_MS + (LAST + 1) * STEP_MS) / 1000 + 0.2) -> None:
        self.telemetry, self.harness = Telemetry("t"), TaskHarness()
        self.metrics = PredictorMetrics(self.telemetry, STEP_MS, 1, lambda: wall_s)
        self.harness.task.restore_next_block()
        self.commit(encode_record(PROMOTION))
        for symbol in SYMBOLS:
            for at, close in enumerate(a_walk(LAST + 1)):
                self.commit(candle_bytes(at, symbol, f"{close:.6f}"))

    def commit(self, value: bytes) -> None:
        task = self.harness.task
        result = task.process([self.harness.record(value)])
        self.metrics.count_commit({0: result}, 0.01)
        task.apply(result)

    def value(self, name: str, **labels: str) -> float | None:
        return self.telemetry.registry.get_sample_value(f"ulstm_t_{name}", labels)


def test_the_newest_close_and_the_latency_are_those_of_the_predictions_committed() -> None:
    replica = PredictingReplica()

    replica.metrics.report_states([replica.harness.task], {})

    predictions = replica.value("predictions_total")
    assert predictions == (LAST + 2 - WINDOW) * len(SYMBOLS)
    assert replica.value("close_to_commit_seconds_count") == predictions
    assert replica.value("close_to_commit_seconds_bucket", le="0.25") == len(SYMBOLS)
    newest_s = (START_MS + (LAST + 1) * STEP_MS) / 1000
    assert replica.value("newest_close_timestamp_seconds", partition="0") == newest_s
    assert replica.value("last_commit_timestamp_seconds") == newest_s + 0.2


def test_candles_of_another_clock_have_no_latency() -> None:
    earlier, later = (
        PredictingReplica(0.0),
        PredictingReplica(START_MS / 1000 + 2 * LONGEST_LATENCY_S),
    )

    assert earlier.value("close_to_commit_seconds_count") == 0
    assert later.value("close_to_commit_seconds_count") == 0


def test_scores_and_bounds_are_sums_over_all_symbols() -> None:
    replica = PredictingReplica()
    task = replica.harness.task

    replica.metrics.report_states([task], {})

    states = task.state.symbols.values()
    assert replica.value("symbols") == len(SYMBOLS)
    assert replica.value("model_info", version=MODEL.version) == 1
    assert replica.value("scored_predictions") == sum(state.scores.n for state in states) > 0
    error_zero = sum(state.scores.squared_error_zero for state in states)
    assert replica.value("squared_error_zero") == error_zero > 0
    outcomes = replica.value("interval_outcomes")
    covered = [replica.value("covered_outcomes", coverage=str(each)) for each in COVERAGES]
    assert [*covered, outcomes] == sorted([*covered, outcomes], key=float)  # type: ignore[arg-type]


def test_a_partition_that_was_lost_shows_no_lag() -> None:
    replica = PredictingReplica()
    task = replica.harness.task

    replica.metrics.report_states([task], {0: 7})
    assert replica.value("lag_records", partition="0") == 7
    replica.metrics.report_states([task], {0: None})
    assert replica.value("lag_records", partition="0") is None

    replica.metrics.report_states([], {})
    assert replica.value("lag_records", partition="0") is None
    assert replica.value("newest_close_timestamp_seconds", partition="0") is None
