"""Export the predictor's metrics and its readiness."""

from collections.abc import Collection, Iterable

from services.predictor.partition_task import PartitionTask, TaskStatus
from shared.adapters.prometheus import Telemetry
from shared.log.record_processor import BatchResult


class PredictorMetrics:
    """Metrics and readiness of a replica."""

    def __init__(self, telemetry: Telemetry) -> None:
        """Register the metrics."""
        self._telemetry = telemetry
        self._candles = telemetry.counter("candles_total", "Candles processed.")
        self._predictions = telemetry.counter("predictions_total", "Predictions committed.")
        self._dead_letters = telemetry.counter(
            "dead_letters_total", "Records written to the dead-letters topic.", "reason"
        )
        self._aborts = telemetry.counter(
            "aborts_total", "Transactions that were aborted or whose outcome is unknown."
        )
        self._batch_s = telemetry.histogram(
            "batch_seconds", "From a batch polled to its transaction committed."
        )
        self._groups = telemetry.gauge("groups", "Symbol groups whose state is in memory here.")
        self._refused = telemetry.gauge(
            "refused_partitions", "Partitions assigned here that SYMBOL_GROUPS does not allow."
        )
        self._redis_up = telemetry.gauge("redis_up", "1 if the last save to Redis succeeded.")

    def count_commit(self, results: Iterable[BatchResult], seconds: float) -> None:
        """Count the results of a committed batch."""
        self._batch_s.observe(seconds)
        for result in results:
            self._candles.inc(result.candles)
            self._predictions.inc(len(result.predictions))
            for dead_letter in result.dead_letters:
                self._dead_letters.labels(dead_letter.reason).inc()

    def count_abort(self) -> None:
        """Count a transaction that was aborted or whose outcome is unknown."""
        self._aborts.inc()

    def set_redis_up(self, is_up: bool) -> None:
        """Show whether the last save succeeded."""
        self._redis_up.set(int(is_up))

    def report_tasks(self, tasks: Collection[PartitionTask], refusal: str) -> None:
        """Show how many partitions run here, and why the replica is not ready.

        Args:
            tasks: of this replica.
            refusal: why Kafka refuses what is written; empty if it does not.
        """
        self._groups.set(sum(task.is_restored for task in tasks))
        self._refused.set(sum(task.status is TaskStatus.REFUSED for task in tasks))
        self._telemetry.not_ready = refusal or _not_ready_reason(tasks)


def _not_ready_reason(tasks: Collection[PartitionTask]) -> str | None:
    blocked = [t.reason for t in tasks if t.status in {TaskStatus.WAITING, TaskStatus.REFUSED}]
    if blocked:
        return "; ".join(blocked)
    restoring = sorted(t.partition for t in tasks if t.status is TaskStatus.RESTORING)
    return f"restoring symbol groups {restoring}" if restoring else None
