"""Export the predictor's metrics and its readiness."""

import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Final, Literal

from services.predictor.partition_task import PartitionTask, TaskStatus
from services.predictor.state_metrics import StateMetrics
from shared.adapters.prometheus import Telemetry
from shared.log.record_processor import BatchResult

AbortReason = Literal["refused", "aborted", "unknown_outcome", "no_membership"]
ABORT_REASONS: Final[tuple[AbortReason, ...]] = (
    "refused",
    "aborted",
    "unknown_outcome",
    "no_membership",
)
BATCH_RECORDS: Final = (1, 8, 32, 128, 512, 2_000, 10_000)
RECOVERY_SECONDS: Final = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)
# A candle that seems to have closed in the future, or so long ago, has another clock: a simulated
# exchange's.
LONGEST_LATENCY_S: Final = 86_400.0


class PredictorMetrics:
    """Metrics and readiness of a replica."""

    def __init__(
        self,
        telemetry: Telemetry,
        interval_ms: int = 300_000,
        partitions: int = 1,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        """Register the metrics.

        Args:
            telemetry: serves them.
            interval_ms: a candle's length.
            partitions: of the deployment, all replicas together.
            wall_clock: seconds since 1970.
        """
        self._telemetry, self._wall_clock = telemetry, wall_clock
        counter = telemetry.counter
        telemetry.gauge("interval_seconds", "Length of a candle.").set(interval_ms / 1000)
        self._candles = counter("candles_total", "Candles processed.")
        self._predictions = counter("predictions_total", "Predictions committed.")
        self._actionable = counter(
            "actionable_predictions_total", "Predictions committed that are actionable."
        )
        self._resets = counter(
            "resets_total", "Symbols set back to the model's weights after a step not finite."
        )
        self._dead_letters = counter(
            "dead_letters_total", "Records written to the dead-letters topic.", "reason"
        )
        self._aborts = counter("aborts_total", "Batches whose work was dropped.", "reason")
        for reason in ABORT_REASONS:
            self._aborts.labels(reason)
        self._rebalances = counter(
            "rebalances_total", "Rebalances that changed this replica's symbol groups.", "event"
        )
        self._batch_s = telemetry.histogram(
            "batch_seconds", "From a batch polled to its transaction committed."
        )
        self._batch_records = telemetry.histogram(
            "batch_records", "Records polled at once.", buckets=BATCH_RECORDS
        )
        self._close_to_commit_s = telemetry.bulk_histogram(
            "close_to_commit_seconds",
            "From a candle's close to its prediction committed, by this machine's clock.",
        )
        self._recovery_s = telemetry.histogram(
            "recovery_seconds",
            "From a symbol group assigned to its state restored, by where that came from.",
            "source",
            buckets=RECOVERY_SECONDS,
        )
        self._commit_time = telemetry.gauge(
            "last_commit_timestamp_seconds", "When predictions were last committed."
        )
        self._newest_close = telemetry.labelled_gauge(
            "newest_close_timestamp_seconds",
            "Close of the newest candle predicted from, by symbol group.",
            "partition",
        )
        self._newest_close_s: dict[str, float] = {}
        self._lag = telemetry.labelled_gauge(
            "lag_records", "Records behind the end of the log, by symbol group.", "partition"
        )
        self._groups = telemetry.gauge("groups", "Symbol groups whose state is in memory here.")
        expected = telemetry.gauge("groups_expected", "Symbol groups that the deployment has.")
        expected.set(partitions)
        self._refused = telemetry.gauge(
            "refused_partitions", "Partitions assigned here that SYMBOL_GROUPS does not allow."
        )
        self._held = telemetry.labelled_gauge(
            "held_groups",
            "1 for each symbol group that stands until a person acts; `/health/ready` says why.",
            "partition",
        )
        self._redis_up = telemetry.gauge(
            "redis_up", "0 after a call to Redis that failed, until the next save; else 1."
        )
        self._redis_up.set(1)
        self._save_s = telemetry.histogram(
            "redis_save_seconds", "Time to save the changed states to Redis."
        )
        self._save_failures = counter("redis_save_failures_total", "Saves to Redis that failed.")
        self._states = StateMetrics(telemetry)

    def count_poll(self, records: int) -> None:
        """Count the records of a poll that returned any."""
        self._batch_records.observe(records)

    def count_commit(self, results: Mapping[int, BatchResult], seconds: float) -> None:
        """Count the results of a batch, by partition, committed so long after its poll."""
        wall_s = self._wall_clock()
        self._batch_s.observe(seconds)
        closes_ms = Counter[int]()
        for partition, result in results.items():
            predictions = result.predictions
            self._candles.inc(result.candles)
            self._predictions.inc(len(predictions))
            self._actionable.inc(sum(each.actionable for each in predictions))
            self._resets.inc(sum(each.was_reset for each in predictions))
            for dead_letter in result.dead_letters:
                self._dead_letters.labels(dead_letter.reason).inc()
            if predictions:
                self._commit_time.set(wall_s)
                closes_ms.update(each.open_time_ms for each in predictions)
                self._newest_close_s[str(partition)] = predictions[-1].open_time_ms / 1000
        for close_ms, count in closes_ms.items():
            latency_s = wall_s - close_ms / 1000
            if 0.0 <= latency_s < LONGEST_LATENCY_S:
                self._close_to_commit_s.observe(latency_s, count)

    def count_abort(self, reason: AbortReason) -> None:
        """Count a batch whose work was dropped."""
        self._aborts.labels(reason).inc()

    def count_rebalance(self, event: Literal["assigned", "revoked"]) -> None:
        """Count a rebalance."""
        self._rebalances.labels(event).inc()

    def count_recovery(self, source: Literal["redis", "log"], seconds: float) -> None:
        """Count a symbol group that was restored."""
        self._recovery_s.labels(source).observe(seconds)

    def count_save(self, seconds: float) -> None:
        """Count a save to Redis that succeeded."""
        self._redis_up.set(1)
        self._save_s.observe(seconds)

    def count_save_failure(self) -> None:
        """Count a save to Redis that failed."""
        self._save_failures.inc()
        self.report_redis_away()

    def report_redis_away(self) -> None:
        """Report that Redis does not answer."""
        self._redis_up.set(0)

    def report_tasks(self, tasks: Collection[PartitionTask], problem: str | None) -> None:
        """Show the running and the held partitions, and the reason for not being ready.

        Args:
            tasks: of this replica.
            problem: what is wrong besides them, or None.
        """
        self._groups.set(sum(task.is_restored for task in tasks))
        self._refused.set(sum(task.status is TaskStatus.REFUSED for task in tasks))
        self._held.show({str(task.partition): 1 for task in tasks if task.is_held})
        self._telemetry.not_ready = "; ".join(filter(None, (problem, _task_problem(tasks)))) or None

    def report_states(
        self, tasks: Collection[PartitionTask], lags: Mapping[int, int | None]
    ) -> None:
        """Show how far the partitions are and what their states hold: about 1 µs a symbol.

        Args:
            tasks: of this replica.
            lags: the records that each partition is behind; None: not known.
        """
        restored = [task for task in tasks if task.is_restored]
        self._states.report(restored)
        known = {str(partition): lag for partition, lag in lags.items() if lag is not None}
        self._lag.show(known)
        held = {str(task.partition) for task in restored}
        self._newest_close_s = {p: s for p, s in self._newest_close_s.items() if p in held}
        self._newest_close.show(self._newest_close_s)


def _task_problem(tasks: Iterable[PartitionTask]) -> str | None:
    stopped = {TaskStatus.WAITING, TaskStatus.REFUSED}
    blocked = [task.reason for task in tasks if task.status in stopped or task.is_held]
    if blocked:
        return "; ".join(dict.fromkeys(blocked))
    restoring = sorted(t.partition for t in tasks if t.status is TaskStatus.RESTORING)
    return f"restoring symbol groups {restoring}" if restoring else None
