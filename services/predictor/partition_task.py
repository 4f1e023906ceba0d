"""Run one assigned partition: hold its state and everything that must change with it."""

import logging
from collections.abc import Callable, Sequence
from enum import Enum
from functools import partial
from itertools import islice
from typing import Final

from services.predictor.ports import ConsumerGroup
from services.predictor.recovery.partition_recovery import (
    PartitionRecovery,
    RestoredState,
    StateSource,
)
from shared.adapters.kafka.reader import ConsumerRecord
from shared.core.doubling_wait import DoublingWait
from shared.core.errors import Blocked, UlstmError, Unavailable
from shared.core.online.context import LIVE, REPLAY
from shared.core.online.partition import PartitionState
from shared.core.online.symbol_step import precompute
from shared.log.promotion_starts import PromotionStarts
from shared.log.record_processor import BatchResult, RecordProcessor

log = logging.getLogger(__name__)

RETRY_S: Final = 2.0
LONGEST_HOLD_S: Final = 30.0
# What a record can provoke where a check is missing: each replica in turn would end of it.
MISTAKES: Final = (ArithmeticError, LookupError, TypeError, ValueError)
# Of the time that an attempt took: one that replays the whole log must not be all that is done.
_PAUSE_PER_ATTEMPT: Final = 4.0


class TaskStatus(Enum):
    """The stages of a task, as in Kafka Streams."""

    RESTORING = "restoring"  # rebuilds its state, block by block; its records are not fetched
    WAITING = "waiting"  # paused until its back-off ends, then restoring or running again
    HELD = "held"  # as waiting, for longer and longer: only somebody's act ends what stops it
    RUNNING = "running"  # processes what is polled
    PREPARING = "preparing"  # paused before a promotion, whose starts are computed bit by bit
    REFUSED = "refused"  # paused for good: this deployment has no such partition


class PartitionTask:
    """Own the state of one partition and the work that is due on it.

    The state is a cache of the log. After anything that is not a known commit the whole task is
    thrown away and a new one restores the partition: nothing of it can be left behind half changed.
    """

    def __init__(
        self,
        consumer_group: ConsumerGroup,
        processor: RecordProcessor,
        recovery: PartitionRecovery,
        clock: Callable[[], float],
        partition: int,
        *,
        from_beginning: bool = False,
    ) -> None:
        """Pause the partition and begin to restore it.

        Args:
            consumer_group: fetches records.
            processor: folds them.
            recovery: restores states.
            clock: seconds; it decides when to try again and no value.
            partition: the partition's number.
            from_beginning: replay all of its klines.
        """
        self.partition = partition
        self.status = TaskStatus.RESTORING
        self.reason = ""  # why it waits, is held or is refused
        self.is_held = False  # until its records are processed again, each attempt included
        self.unsaved: set[str] = set()  # symbols that changed since the last save
        self.saved_offset: int | None = None  # the applied offset of that save
        self.restored: tuple[StateSource, float] | None = None  # from where, in how many seconds
        self._consumer_group, self._processor, self._clock = consumer_group, processor, clock
        self._state: PartitionState | None = None
        self._idle_symbols: dict[str, None] = {}  # an ordered set
        self._starts: PromotionStarts | None = None  # of the promotion that comes next
        self._retry_at_s, self._started_s = 0.0, clock()
        self._attempt_s: float | None = None  # when the attempt to restore began that runs
        self._hold_wait = DoublingWait(RETRY_S, LONGEST_HOLD_S)
        self._restore = partial(recovery.restore, partition, from_beginning=from_beginning)
        self._restoration = self._restore()
        consumer_group.pause(partition)

    @property
    def state(self) -> PartitionState:
        """The state after everything that is committed; there is one once `is_restored`."""
        if self._state is None:
            message = f"partition {self.partition} is not restored yet"
            raise RuntimeError(message)
        return self._state

    @property
    def is_restored(self) -> bool:
        """Whether the state is in memory, running or waiting."""
        return self._state is not None

    def lag(self) -> int | None:
        """Return how many records the state is behind the end of the log, as far as is known."""
        end = self._consumer_group.end_offset(self.partition)
        # What ends a log that is written in transactions is the mark of the last one.
        return None if end is None else max(0, end - self.state.next_offset - 1)

    @property
    def has_idle_work(self) -> bool:
        """Whether anything can be computed ahead of the next records."""
        # The states before a promotion are about to be replaced, and what is prepared is theirs.
        return bool(self._idle_symbols) and self._starts is None

    def restore_next_block(self) -> None:
        """Replay one more block of the partition's klines; start to run after the last."""
        if self._attempt_s is None:
            self._attempt_s = self._clock()
        try:
            next(self._restoration)
        except StopIteration as finished:
            self._run(finished.value)
        except Unavailable as error:
            self._end_attempt()
            self._wait(str(error), RETRY_S)

    def process(self, records: Sequence[ConsumerRecord]) -> BatchResult:
        """Fold polled records on top of the state, which stays unchanged until `apply`.

        Stops before a record that cannot be folded now, and waits; it is polled again later.

        Raises:
            UnknownSymbol: a symbol's past may lie before what was replayed.
        """
        result = BatchResult(self.state)
        last = {record.key: record.offset for record in records}
        try:
            for record in records:
                if record.offset < result.state.next_offset:
                    continue  # the broker may send again what was fetched before a seek
                if self._must_prepare(record, result.state):
                    break
                # Where the symbol's next candle is in the batch too, no idle time is left for the
                # Jacobian: computed together with the prediction it shares its forward pass.
                options = REPLAY if record.offset < last[record.key] else LIVE
                self._processor.process(result, record, publishing=True, options=options)
        except (Blocked, *MISTAKES) as error:
            self.begin_hold(error)
        except Unavailable as error:
            self._consumer_group.pause(self.partition)
            self._wait(str(error), RETRY_S)
        return result

    def apply(self, result: BatchResult) -> None:
        """Take over the result of a batch that was committed."""
        if self.status is TaskStatus.RUNNING:
            self._end_hold()
        after = result.state
        if after.promotion_offset != self.state.promotion_offset:
            log.info(
                "symbol group %d: version %s predicts from offset %s on",
                self.partition,
                after.model_version,
                after.promotion_offset,
            )
        self._state = after
        if self._starts is not None and after.next_offset > self._starts.offset:
            self._starts = None
        self.unsaved |= result.changed
        # A symbol that is queued already keeps its place: a long catch-up queues each symbol once.
        self._idle_symbols.update(dict.fromkeys(sorted(result.changed)))

    def prepare_next(self) -> None:
        """Compute the starts of some more symbols; run again once all are there."""
        if self._starts is not None and self._starts.prepare_next(self.state):
            return
        self.status = TaskStatus.RUNNING
        self._consumer_group.resume(self.partition, self.state.next_offset)

    def mark_saved(self) -> None:
        """Note that the state store holds the state as it is."""
        self.unsaved, self.saved_offset = set(), self.state.next_offset

    def precompute_next(self, max_symbols: int) -> int:
        """Compute Jacobians and digests ahead, of the symbols that have waited longest.

        Returns:
            The number of symbols done.

        Raises:
            Unavailable: the model cannot be read now.
        """
        queued = list(islice(self._idle_symbols, max_symbols)) if self.has_idle_work else []
        for symbol in queued:
            del self._idle_symbols[symbol]  # first: without a model it must not be tried for ever
            model = self._processor.model_for(self.state)
            self.state.symbols[symbol] = precompute(self.state.symbols[symbol], model)
        return len(queued)

    def begin_hold(self, error: Exception) -> None:
        """Pause the partition, for longer each time; its records come again afterwards.

        What is wrong concerns this partition alone: the others keep running.
        """
        is_mistake = not isinstance(error, UlstmError)
        reason = _describe_mistake(self.partition, error) if is_mistake else str(error)
        if reason != self.reason:  # once, not each try
            exc_info = error if is_mistake else None
            log.error("symbol group %d is held: %s", self.partition, reason, exc_info=exc_info)
        self._consumer_group.pause(self.partition)
        self.status, self.reason, self.is_held = TaskStatus.HELD, reason, True
        self._starts = None
        wait_s = max(self._hold_wait.next_s(), _PAUSE_PER_ATTEMPT * self._end_attempt())
        self._retry_at_s = self._clock() + wait_s

    def end_wait(self) -> bool:
        """Continue if the back-off is over.

        Returns:
            Whether it is.
        """
        is_waiting = self.status in {TaskStatus.WAITING, TaskStatus.HELD}
        if not is_waiting or self._clock() < self._retry_at_s:
            return False
        if self._state is None:
            self.status = TaskStatus.RESTORING
        else:
            self.status = TaskStatus.RUNNING
            self._consumer_group.resume(self.partition, self._state.next_offset)
        return True

    def refuse(self, reason: str) -> None:
        """Keep the partition paused for good, so that the others keep running."""
        log.error("%s", reason)
        self.status, self.reason = TaskStatus.REFUSED, reason

    def close(self) -> None:
        """Stop restoring, so that the reader is free for another partition."""
        self._restoration.close()

    def _run(self, restored: RestoredState) -> None:
        state, seconds = restored.state, self._clock() - self._started_s
        self._attempt_s = None
        log.info(
            "symbol group %d is live at offset %d with %d symbols, from %s in %.1f s",
            self.partition,
            state.next_offset,
            len(state.symbols),
            restored.source,
            seconds,
        )
        self.restored = restored.source, seconds
        self.status, self._state = TaskStatus.RUNNING, state
        self._end_hold()
        self.unsaved = set(state.symbols)
        self._idle_symbols = dict.fromkeys(sorted(state.symbols))
        self._consumer_group.resume(self.partition, state.next_offset)

    def _must_prepare(self, record: ConsumerRecord, state: PartitionState) -> bool:
        """Begin to prepare a promotion's starts, unless that is done; say whether it has begun."""
        if self._starts is not None and self._starts.offset == record.offset:
            return False
        self._starts = PromotionStarts.of_record(self._processor, state, record)
        if self._starts is None:
            return False
        self._consumer_group.pause(self.partition)
        self.status = TaskStatus.PREPARING
        return True

    def _end_attempt(self) -> float:
        """Prepare the next attempt to restore; return how long (s) the one that runs took."""
        if self._attempt_s is None:
            return 0.0
        began_s, self._attempt_s = self._attempt_s, None
        self._restoration = self._restore()
        return self._clock() - began_s

    def _end_hold(self) -> None:
        if self.is_held:
            log.info("symbol group %d is held no longer", self.partition)
        self.is_held, self.reason = False, ""
        self._hold_wait.reset()

    def _wait(self, reason: str, seconds: float) -> None:
        if reason != self.reason:
            log.warning("symbol group %d waits: %s", self.partition, reason)  # once, not each try
        self.status, self.reason = TaskStatus.WAITING, reason
        self._starts = None
        self._retry_at_s = self._clock() + seconds


def _describe_mistake(partition: int, error: Exception) -> str:
    return (
        f"symbol group {partition}: a mistake in the program, {type(error).__name__}: {error};"
        " report it with the log"
    )
