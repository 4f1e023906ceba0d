"""Readiness of a replica from facts: membership, lag, and the states of its partitions."""

from collections.abc import Collection
from math import inf
from typing import Final

from services.predictor.lag_watch import LagWatch
from services.predictor.metrics import PredictorMetrics
from services.predictor.partition_task import PartitionTask, TaskStatus

REPORT_S: Final = 5.0  # between two looks at every symbol's state for the metrics, in idle time
BUSY_REPORT_S: Final = 30.0  # the same without idle time
JOIN_S: Final = 5.0  # a rebalance takes less
QUIET_S: Final = 5.0


class ReplicaReadiness:
    """Looks at the tasks of a replica after each turn, and reports.

    Times are of the monotonic clock, in seconds.
    """

    def __init__(self, metrics: PredictorMetrics, now_s: float) -> None:
        """Begin as a replica that is no member of the group yet."""
        self._metrics, self._lag_watch = metrics, LagWatch()
        self._reported_s = self._polled_s = now_s
        self._member_s = -inf  # when it was last a member

    def note_records(self, now_s: float) -> None:
        """Note that records were polled."""
        self._polled_s = now_s

    def note_restored(self) -> None:
        """Note that a partition was restored: whether it is at the end is to be known at once."""
        self._reported_s = -inf

    def update(
        self, tasks: Collection[PartitionTask], now_s: float, *, is_member: bool, is_idle: bool
    ) -> None:
        """Look at the tasks, which costs about 1 µs a symbol now and then, and report.

        Args:
            tasks: of this replica.
            now_s: the time.
            is_member: whether the consumer group counts this replica as a member.
            is_idle: whether the last poll found nothing.
        """
        if is_member:
            self._member_s = now_s
        is_due = now_s - self._reported_s >= (REPORT_S if is_idle else BUSY_REPORT_S)
        if is_due or self._lag_watch.is_behind:
            self._look_at_lags(tasks, now_s, is_due=is_due)
        self._metrics.report_tasks(tasks, self._problem(now_s))

    def _look_at_lags(
        self, tasks: Collection[PartitionTask], now_s: float, *, is_due: bool
    ) -> None:
        lags = {one.partition: one.lag() for one in tasks if one.status is TaskStatus.RUNNING}
        # Records of aborted transactions are never polled: without any for long, this is the end.
        is_quiet = now_s - self._polled_s > QUIET_S
        seen = {p: 0 if is_quiet and lag is not None else lag for p, lag in lags.items()}
        self._lag_watch.update(seen, now_s)
        if is_due:
            self._reported_s = now_s
            self._metrics.report_states(tasks, lags)

    def _problem(self, now_s: float) -> str | None:
        if now_s - self._member_s > JOIN_S:
            return "this replica is not a member of the consumer group: it joins"
        return self._lag_watch.problem(now_s)
