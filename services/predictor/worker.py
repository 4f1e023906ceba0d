"""Poll, recover, fold, commit, then tell Redis. The order is the promise."""

import contextlib
import logging
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Final

from services.predictor.ports import ConsumerGroup, PredictionWriter, StateStore, TopicHistory
from services.predictor.recovery.dead_letter_tail import offset_after_last_dead_letter
from services.predictor.recovery.replay import Recoveries, Recovery
from shared.adapters.kafka.consumer_group import Batch
from shared.adapters.kafka.errors import Aborted, OutcomeUnknown
from shared.adapters.kafka.producer import OffsetsToCommit, ProducerRecord
from shared.adapters.kafka.reader import ConsumerRecord
from shared.adapters.prometheus import Telemetry
from shared.adapters.redis_state_store import StateSnapshot
from shared.adapters.schemas import dead_letter_headers, encode_prediction
from shared.core.errors import Unavailable
from shared.core.online.context import LIVE, REPLAY
from shared.core.online.partition import PartitionState
from shared.core.online.symbol_step import precompute
from shared.core.topics import Topics, partition_for
from shared.log.record_processor import BatchResult, RecordProcessor, UnknownSymbol

log = logging.getLogger("ulstm")

POLL_S: Final = 0.5
FIRST_RECORDS: Final = (
    32  # of the first batch after a quiet moment, so that the first predictions do not wait
)
CLOSE_RECORDS: Final = 128  # of a batch while many symbols close
BACKLOG_BATCHES: Final = 10  # full ones in a row are no close but a backlog: then batches grow
QUIET_SYMBOLS: Final = 16  # readied between two polls: about 7 ms
REDIS_LAG_S: Final = (
    10.0  # at most, while there is no quiet time, so that a restart need not replay all of it
)
REDIS_REST_S: Final = 5.0  # after a failure, so that a dead Redis does not slow every batch
RETRY_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class Waiting:
    """A group that cannot go on yet."""

    until: float  # on the loop's clock, s
    reason: str


class Worker:
    """One replica: the groups it has been given, and what it remembers of them.

    Memory is a cache of the log. After anything that is not a known commit it is forgotten and recovered.
    """

    def __init__(  # noqa: PLR0913 - the parts list
        self,
        topics: Topics,
        processor: RecordProcessor,
        member: ConsumerGroup,
        writer: PredictionWriter,
        klines: TopicHistory,
        predictions: TopicHistory,
        dead_letters: TopicHistory,
        states: StateStore,
        telemetry: Telemetry,
        batch_records: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Start without any group. The clock (s) says when to try again; it decides no value."""
        self._topics, self._processor, self._member, self._writer = (
            topics,
            processor,
            member,
            writer,
        )
        self._recoveries = Recoveries(processor, klines, predictions)
        self._dead_letters, self._states = dead_letters, states
        self._telemetry, self._clock = telemetry, clock
        self._most_records, self._next_records = batch_records, min(FIRST_RECORDS, batch_records)
        self._full_batches = 0  # in a row
        self._profile = processor.context.numeric_profile
        self._memory: dict[int, PartitionState] = {}
        self._recovering: dict[int, Recovery] = {}
        self._waiting: dict[int, Waiting] = {}
        self._unsaved: dict[int, set[str]] = {}
        self._saved_at: dict[int, int] = {}  # the applied_offset that Redis holds of a group
        self._quiet: deque[tuple[int, str]] = deque()
        self._redis_rests_until = 0.0
        self._redis_due = clock() + REDIS_LAG_S
        self._candles = telemetry.counter("candles_total", "Candles folded.")
        self._published = telemetry.counter("predictions_total", "Predictions committed.")
        self._letters = telemetry.counter("dead_letters_total", "Records set aside.", "reason")
        self._taken_back = telemetry.counter(
            "aborts_total", "Transactions taken back or of unknown outcome."
        )
        self._turn_s = telemetry.histogram("batch_seconds", "From a batch read to its commit.")
        self._groups = telemetry.gauge("groups", "Symbol groups that are live here.")
        self._redis_up = telemetry.gauge("redis_up", "1 while Redis takes the states.")

    def on_assigned(self, groups: list[int]) -> None:
        """Take over groups: each is recovered before anything is read of it."""
        log.info("taking over symbol groups %s", groups)
        for group in groups:
            self._recover(group)

    def on_revoked(self, groups: list[int]) -> None:
        """Give groups up. Nothing is open, so there is nothing to commit or to abort."""
        log.info("giving up symbol groups %s", groups)
        for group in groups:
            self._forget(group)

    def run_once(self) -> None:
        """Do the next piece of work.

        Raises:
            Fenced: another process has this replica's transactional id.
            Incompatible: the log and what runs here do not fit.
        """
        batch = self._member.poll(self._next_records, 0.0 if self._has_work() else POLL_S)
        self._size_the_next(batch)
        if batch is not None:
            self._fold_and_publish(batch)
        else:
            self._use_the_quiet_time()
        if self._clock() >= self._redis_due:
            self._save_all()
        self._advance_recoveries()
        self._end_waits()
        self._tell()

    def _has_work(self) -> bool:
        return bool(
            self._quiet or self._recovering.keys() - self._waiting.keys() or self._savable()
        )

    def _size_the_next(self, batch: Batch | None) -> None:
        """Many symbols close at once: small batches publish the first of them soon, large ones save transactions."""
        is_full = batch is not None and len(batch.records) >= self._next_records
        self._full_batches = self._full_batches + 1 if is_full else 0
        most = CLOSE_RECORDS if self._full_batches < BACKLOG_BATCHES else self._most_records
        self._next_records = min(
            2 * self._next_records if is_full else FIRST_RECORDS, most, self._most_records
        )

    def _fold_and_publish(self, batch: Batch) -> None:
        started = self._clock()
        if batch.membership is None:
            self._recover_all({record.partition for record in batch.records})
            return
        folded = self._folded(batch)
        if not folded:
            return
        progress = OffsetsToCommit(
            self._topics.klines,
            {g: f.state.next_offset for g, f in folded.items()},
            batch.membership,
        )
        outgoing = [record for f in folded.values() for record in self._outgoing(f)]
        # Readers, offsets and memory change together at commit. Redis comes after: it may lag the log, never lead it.
        try:
            self._writer.write(outgoing, progress)
        except (Aborted, OutcomeUnknown) as error:
            log.warning("%s; recovering symbol groups %s", error, sorted(folded))
            self._taken_back.inc()
            self._recover_all(folded.keys())
            return
        self._turn_s.observe(self._clock() - started)
        for group, result in folded.items():
            self._committed(group, result)

    def _folded(self, batch: Batch) -> dict[int, BatchResult]:
        by_group: dict[int, list[ConsumerRecord]] = {}
        live = (
            self._memory.keys() - self._waiting.keys()
        )  # what comes of the others now comes again later
        for record in batch.records:
            if record.partition in live:
                by_group.setdefault(record.partition, []).append(record)
        folded = {}
        for group, records in by_group.items():
            result = self._group_folded(group, records)
            if result is not None and result.state.next_offset > self._memory[group].next_offset:
                folded[group] = result
        return folded

    def _group_folded(self, group: int, records: list[ConsumerRecord]) -> BatchResult | None:
        folded = BatchResult(self._memory[group])
        last = {record.key: record.offset for record in records}
        try:
            for record in records:
                if record.offset >= folded.state.next_offset:
                    options = REPLAY if record.offset < last[record.key] else LIVE
                    self._processor.process(folded, record, publishing=True, options=options)
        except Unavailable as error:
            self._wait(group, str(error))
        except UnknownSymbol as error:
            log.info(
                "%s is new to symbol group %d: reading the group from its beginning", error, group
            )
            self._recover(group, whole=True)
            return None
        return folded

    def _outgoing(self, folded: BatchResult) -> Iterator[ProducerRecord]:
        for prediction in folded.predictions:
            yield ProducerRecord(
                self._topics.predictions,
                partition_for(prediction.symbol, self._topics.partitions),
                prediction.symbol.encode(),
                encode_prediction(prediction),
                prediction.open_time_ms,
            )
        for letter in folded.dead_letters:
            headers = dead_letter_headers(letter)
            yield ProducerRecord(self._topics.dead_letters, 0, letter.key, letter.value, 0, headers)

    def _committed(self, group: int, folded: BatchResult) -> None:
        self._memory[group] = folded.state
        self._candles.inc(folded.candles)
        self._published.inc(len(folded.predictions))
        for letter in folded.dead_letters:
            self._letters.labels(letter.reason).inc()
            log.warning(
                "dead letter: klines %d/%d: %s", letter.partition, letter.offset, letter.message
            )
        self._unsaved.setdefault(group, set()).update(folded.changed)
        self._quiet.extend((group, symbol) for symbol in sorted(folded.changed))

    def _savable(self) -> list[int]:
        """Return the groups that Redis does not hold as they are, but might."""
        if self._clock() < self._redis_rests_until:
            return []
        # Before a profile begins to predict, what Redis holds under it is none of its states.
        predicts = self._processor.context.predicts
        return [
            g
            for g, memory in self._memory.items()
            if self._unsaved.get(g) and predicts(memory.numeric_profile)
        ]

    def _save_all(self) -> None:
        groups = self._savable()
        try:
            for group in groups:
                self._store(group)
        except Unavailable as error:
            log.warning("%s; predictions go on from memory", error)
            self._redis_rests_until = self._clock() + REDIS_REST_S
            self._redis_up.set(0)
        else:
            if groups:
                self._redis_up.set(1)
        self._redis_due = self._clock() + REDIS_LAG_S

    def _store(self, group: int) -> None:
        memory = self._memory[group]
        changed, since = self._unsaved[group], self._saved_at.get(group)
        if not self._states.save(group, self._profile, memory, changed, since):
            log.warning("Redis lost what it had of symbol group %d: storing all of it", group)
            self._states.save(group, self._profile, memory, memory.symbols, None)
        self._unsaved[group], self._saved_at[group] = set(), memory.next_offset

    def _use_the_quiet_time(self) -> None:
        """Jacobians and digests of what was just published, so that the next close finds them done; then Redis."""
        if not self._quiet:
            self._save_all()
            return
        with contextlib.suppress(
            Unavailable
        ):  # no model now: the next close does it, and waits for the model
            for _ in range(min(QUIET_SYMBOLS, len(self._quiet))):
                self._make_ready(*self._quiet.popleft())

    def _make_ready(self, group: int, symbol: str) -> None:
        memory = self._memory.get(group)
        if memory is not None and symbol in memory.symbols:
            model = self._processor.model_for(memory)
            memory.symbols[symbol] = precompute(memory.symbols[symbol], model)

    def _recover_all(self, groups: Collection[int]) -> None:
        for group in self._memory.keys() & groups:
            self._recover(group)

    def _recover(self, group: int, *, whole: bool = False) -> None:
        self._forget(group)
        self._member.pause(group)
        self._recovering[group] = self._recovery(group, whole=whole)

    def _forget(self, group: int) -> None:
        self._memory.pop(group, None)
        self._recovering.pop(group, None)
        self._waiting.pop(group, None)
        self._unsaved.pop(group, None)
        self._saved_at.pop(group, None)

    def _recovery(self, group: int, *, whole: bool) -> Recovery:
        committed = self._member.committed(group)
        if (
            committed is None
        ):  # a new group, or one whose offsets were deleted: what it published says where it was
            committed = offset_after_last_dead_letter(
                self._dead_letters, self._topics.klines, group
            )
        saved = None if whole else self._saved(group)
        return (yield from self._recoveries.recovery(group, committed, saved, whole=whole))

    def _saved(self, group: int) -> StateSnapshot | None:
        try:
            return self._states.load(group, self._profile)
        except Unavailable as error:
            log.warning("%s; rebuilding symbol group %d from the log", error, group)
            return None

    def _advance_recoveries(self) -> None:
        """One block of one recovery: the loop polls between blocks, so the group does not take this member for dead."""
        group = next((g for g in self._recovering if g not in self._waiting), None)
        if group is None:
            return
        try:
            next(self._recovering[group])
        except StopIteration as done:
            del self._recovering[group]
            self._live(group, done.value)
        except Unavailable as error:
            log.warning("%s; recovering symbol group %d again in %g s", error, group, RETRY_S)
            self._recovering[group] = self._recovery(group, whole=False)
            self._waiting[group] = Waiting(self._clock() + RETRY_S, str(error))

    def _live(self, group: int, state: PartitionState) -> None:
        log.info(
            "symbol group %d is live at offset %d with %d symbols",
            group,
            state.next_offset,
            len(state.symbols),
        )
        self._memory[group] = state
        self._unsaved[group] = set(state.symbols)
        self._quiet.extend((group, symbol) for symbol in sorted(state.symbols))
        self._member.resume(group, state.next_offset)

    def _wait(self, group: int, reason: str) -> None:
        """Stop before a record that cannot be folded yet; it is read again later."""
        if group not in self._waiting or self._waiting[group].reason != reason:
            log.warning("symbol group %d waits: %s", group, reason)
        self._member.pause(group)
        self._waiting[group] = Waiting(self._clock() + RETRY_S, reason)

    def _end_waits(self) -> None:
        for group, waiting in list(self._waiting.items()):
            if self._clock() >= waiting.until:
                del self._waiting[group]
                if (
                    group in self._recovering
                ):  # behind those that have begun: a reader reads one span at a time
                    self._recovering[group] = self._recovering.pop(group)
                if group in self._memory:
                    self._member.resume(group, self._memory[group].next_offset)

    def _tell(self) -> None:
        self._groups.set(len(self._memory))
        if self._waiting:
            self._telemetry.not_ready = "; ".join(w.reason for w in self._waiting.values())
        elif self._recovering:
            self._telemetry.not_ready = f"recovering symbol groups {sorted(self._recovering)}"
        else:
            self._telemetry.not_ready = None
