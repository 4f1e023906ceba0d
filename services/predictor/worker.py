"""Run the predictor's loop: poll, process, commit, idle work."""

import contextlib
import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final, Protocol

from services.predictor.batch_sizer import BatchSizer
from services.predictor.checkpointer import StateCheckpointer
from services.predictor.event_log import log_events
from services.predictor.metrics import PredictorMetrics
from services.predictor.output_records import PartitionOutput, producer_records
from services.predictor.partition_task import MISTAKES, PartitionTask, TaskStatus
from services.predictor.ports import ConsumerGroup, PredictionWriter
from services.predictor.readiness import ReplicaReadiness
from shared.adapters.kafka.errors import Aborted, Fenced, OutcomeUnknown, Refused
from shared.adapters.kafka.producer import OffsetsToCommit
from shared.adapters.kafka.reader import ConsumerRecord
from shared.core.errors import Incompatible, Unavailable
from shared.core.topics import Topics
from shared.log.record_processor import UnknownSymbol

log = logging.getLogger(__name__)

POLL_S: Final = 0.1  # a request to stop is seen so late, and with it the hand-over begins
# So long without a record is idle time: work that is not urgent must not compete with the rest of
# a close, which reaches this replica in batches, and other replicas on the same machine.
IDLE_AFTER_S: Final = 0.1
IDLE_SYMBOLS: Final = 16  # computed ahead between two polls: about 7 ms

_BUSY: Final = frozenset((TaskStatus.RESTORING, TaskStatus.PREPARING))


class CreateTask(Protocol):
    """A factory of partition tasks."""

    def __call__(self, partition: int, /, *, from_beginning: bool = False) -> PartitionTask:
        """Begin to restore a partition, from its first record if wanted."""


class Worker:
    """Run the tasks of the partitions that are assigned to this replica."""

    def __init__(  # noqa: PLR0913 - the parts list
        self,
        topics: Topics,
        consumer_group: ConsumerGroup,
        writer: PredictionWriter,
        create_task: CreateTask,
        checkpointer: StateCheckpointer,
        metrics: PredictorMetrics,
        batch_records: int,
        clock: Callable[[], float],
    ) -> None:
        """Begin without a partition.

        Args:
            topics: what to write to.
            consumer_group: what to poll.
            writer: writes predictions and commits offsets.
            create_task: makes the task of a partition.
            checkpointer: saves the states.
            metrics: counts what is done.
            batch_records: the most records of a transaction.
            clock: seconds.
        """
        self._topics, self._consumer_group, self._writer = topics, consumer_group, writer
        self._create_task, self._checkpointer, self._metrics = create_task, checkpointer, metrics
        self._batch_sizer = BatchSizer(batch_records)
        self._clock = clock
        self._is_idle = True
        self._readiness = ReplicaReadiness(metrics, clock())
        self._tasks: dict[int, PartitionTask] = {}  # in the order in which they restore

    def on_assigned(self, partitions: list[int]) -> None:
        """Begin to restore partitions; nothing is fetched of them before that is done."""
        log.info("taking over symbol groups %s", partitions)
        self._metrics.count_rebalance("assigned")
        for partition in partitions:
            self._start_task(partition)

    def on_revoked(self, partitions: list[int]) -> None:
        """Drop partitions. No transaction is open during a poll, so there is none to end."""
        log.info("giving up symbol groups %s", partitions)
        self._metrics.count_rebalance("revoked")
        for partition in partitions:
            self._drop_task(partition)

    def run_until_stopped(self, stop: threading.Event) -> None:
        """Run until a stop is requested.

        Raises:
            Fenced: another process has this replica's transactional id.
            Incompatible: the Kafka client does not fit this version.
        """
        while not stop.is_set():
            self.run_once()
        # A close may just have been: whoever takes over then finds its states in Redis.
        self._checkpointer.save(self._tasks.values())

    def run_once(self) -> None:
        """Process one batch, or do one piece of idle work."""
        # 1. Poll. Partitions are assigned and revoked in here and nowhere else, and no transaction
        #    is open meanwhile: a rebalance never meets a batch that is half done.
        batch = self._consumer_group.poll(self._batch_sizer.max_records, self._poll_timeout_s())
        self._batch_sizer.update(0 if batch is None else len(batch.records))
        self._is_idle = batch is None
        if batch is not None:
            self._metrics.count_poll(len(batch.records))
            self._readiness.note_records(self._clock())
        if batch is not None and batch.membership is not None:
            started_s = self._clock()
            # 2. Process, on copies of the states: until the commit nothing has happened.
            outputs = self._process(batch.records)
            # 3. Commit predictions, dead letters and offsets in one transaction, then take over
            #    the states. Redis comes later: it may lag the log but must never lead it.
            self._commit(outputs, batch.membership, started_s)
        elif batch is not None:
            # Offsets sent without a membership are not fenced, and another replica may have these
            # partitions by now: nothing of the batch can be used.
            self._metrics.count_abort("no_membership")
            self._restart_tasks({record.partition for record in batch.records})
        elif not self._is_busy():
            # 4. Idle work, only when no record is there: a close must not wait for it. Nor must a
            #    partition that is being restored.
            self._do_idle_work()
        self._checkpointer.save_if_due(self._tasks.values())
        # One block of one restoration: polling between blocks keeps this member in the group.
        self._restore_next_block()
        self._prepare_promotions()
        self._end_waits()
        self._report()

    def _report(self) -> None:
        is_member = self._consumer_group.is_member()
        tasks, now_s = self._tasks.values(), self._clock()
        self._readiness.update(tasks, now_s, is_member=is_member, is_idle=self._is_idle)

    def _is_busy(self) -> bool:
        return any(task.status in _BUSY for task in self._tasks.values())

    def _poll_timeout_s(self) -> float:
        tasks = self._tasks.values()
        if self._is_busy():
            return 0.0
        has_work = any(task.has_idle_work for task in tasks) or self._checkpointer.has_work(tasks)
        if not has_work:
            return POLL_S
        return 0.0 if self._is_idle else IDLE_AFTER_S

    def _process(self, records: Sequence[ConsumerRecord]) -> dict[int, PartitionOutput]:
        """Return the output of the partitions that advance."""
        by_partition: dict[int, list[ConsumerRecord]] = {}
        for record in records:
            by_partition.setdefault(record.partition, []).append(record)
        outputs = {}
        for partition, partition_records in by_partition.items():
            task = self._tasks.get(partition)
            # Records fetched before a pause are dropped here; they are polled again on resume.
            if task is not None and task.status is TaskStatus.RUNNING:
                output = self._process_partition(task, partition_records)
                if output is not None and output.result.state.next_offset > task.state.next_offset:
                    outputs[partition] = output
        return outputs

    def _process_partition(
        self, task: PartitionTask, records: Sequence[ConsumerRecord]
    ) -> PartitionOutput | None:
        try:
            with _holding(task):
                result = task.process(records)
                return PartitionOutput(result, list(producer_records(result, self._topics)))
        except UnknownSymbol as symbol:
            log.info("%s is new to symbol group %d: replaying all of it", symbol, task.partition)
            self._start_task(task.partition, from_beginning=True)
        return None

    def _commit(
        self, outputs: Mapping[int, PartitionOutput], membership: bytes, started_s: float
    ) -> None:
        if not outputs:
            return
        results = {partition: output.result for partition, output in outputs.items()}
        next_offsets = {p: result.state.next_offset for p, result in results.items()}
        offsets = OffsetsToCommit(self._topics.klines, next_offsets, membership)
        records = [record for output in outputs.values() for record in output.records]
        try:
            self._writer.write(records, offsets)
        except Refused as error:
            self._metrics.count_abort("refused")
            if error.concerns_record and len(outputs) > 1:
                # It may be one record of one partition: the others must not wait for that.
                for partition, output in outputs.items():
                    self._commit({partition: output}, membership, started_s)
                return
            # Nothing is visible, and the states are as they were: offer the records again later.
            for partition in outputs:
                self._tasks[partition].begin_hold(error)
            return
        except (Aborted, OutcomeUnknown) as error:
            # The batch is never written again: it may be visible after all. The committed offset
            # tells, so the partitions are restored to it.
            log.warning("%s; restoring symbol groups %s", error, sorted(results))
            self._metrics.count_abort(
                "aborted" if isinstance(error, Aborted) else "unknown_outcome"
            )
            self._restart_tasks(results)
            return
        self._metrics.count_commit(results, self._clock() - started_s)
        for partition, result in results.items():
            self._tasks[partition].apply(result)
            log_events(partition, result)

    def _do_idle_work(self) -> None:
        """Compute Jacobians and digests ahead of the next close; when all are done, save."""
        tasks = self._tasks.values()
        if not any(task.has_idle_work for task in tasks):
            self._checkpointer.save(tasks)
            return
        remaining = IDLE_SYMBOLS
        # Without its model now, a symbol's next candle does the work, and waits for the model.
        with contextlib.suppress(Unavailable):
            for task in tasks:
                with _holding(task):
                    remaining -= task.precompute_next(remaining)

    def _restore_next_block(self) -> None:
        task = next((t for t in self._tasks.values() if t.status is TaskStatus.RESTORING), None)
        if task is not None:
            with _holding(task):
                task.restore_next_block()
            if task.restored is not None:
                self._readiness.note_restored()
                self._metrics.count_recovery(*task.restored)

    def _prepare_promotions(self) -> None:
        """Compute a few starts of each partition before a promotion."""
        for task in self._tasks.values():
            if task.status is TaskStatus.PREPARING:
                with _holding(task):
                    task.prepare_next()

    def _end_waits(self) -> None:
        for task in list(self._tasks.values()):
            if task.end_wait() and task.status is TaskStatus.RESTORING:
                # Behind a restoration that has begun: the reader reads one partition at a time.
                self._tasks[task.partition] = self._tasks.pop(task.partition)

    def _restart_tasks(self, partitions: Iterable[int]) -> None:
        """Forget the states of partitions and restore them."""
        for partition in sorted(partitions):
            task = self._tasks.get(partition)
            if task is not None and task.is_restored:
                self._start_task(partition)

    def _start_task(self, partition: int, *, from_beginning: bool = False) -> None:
        self._drop_task(partition)
        self._tasks[partition] = self._create_task(partition, from_beginning=from_beginning)
        if partition >= self._topics.partitions:
            self._tasks[partition].refuse(unexpected_partition(partition, self._topics))

    def _drop_task(self, partition: int) -> None:
        task = self._tasks.pop(partition, None)
        if task is not None:
            task.close()


@contextlib.contextmanager
def _holding(task: PartitionTask) -> Iterator[None]:
    """Hold a task whose partition cannot go on; the other tasks do, here and on other replicas."""
    try:
        yield
    except Fenced:
        raise
    except (Incompatible, *MISTAKES) as error:
        task.begin_hold(error)


def unexpected_partition(partition: int, topics: Topics) -> str:
    """Return what to do about a partition that was added to the klines topic."""
    return (
        f"{topics.klines} has a partition {partition}, SYMBOL_GROUPS is {topics.partitions}:"
        " partitions were added, which a live topic does not allow. This one is not processed, the"
        " others are. Restore the topic from a backup, or start a new deployment under another"
        " TOPIC_PREFIX"
    )
