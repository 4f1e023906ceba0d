"""One run: replicas of the production loop among faults, then the verdict."""

import contextlib
import logging
import traceback
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import Any, Final

from services.predictor.checkpointer import StateCheckpointer
from services.predictor.metrics import PredictorMetrics
from services.predictor.partition_task import PartitionTask
from services.predictor.recovery.partition_recovery import PartitionRecovery
from services.predictor.worker import Worker
from shared.adapters.kafka.consumer_group import ConsumerGroupMember
from shared.adapters.kafka.producer import TransactionalProducer
from shared.adapters.kafka.reader import Reader
from shared.adapters.prometheus import Telemetry
from shared.core.errors import UlstmError, Unavailable
from shared.core.online.state_codec import state_digest
from shared.log.record_processor import RecordProcessor
from tests.simulation.broker import Broker
from tests.simulation.clients import SimConsumer, SimProducer
from tests.simulation.clock import SimulatedClock
from tests.simulation.log import (
    CONTEXT,
    GROUPS,
    PROFILE,
    SCRIPTS,
    TOPICS,
    Expected,
    LogFeeder,
    expected,
    processor,
    script,
)
from tests.simulation.network import Befallen, Crashed, Fate, Process
from tests.simulation.schedules import FaultSchedule, Happening, drawn
from tests.simulation.store import Store, WiredStates
from tests.support.fakes import FakeStateStore

GROUP: Final = "predictors"
SESSION_S: Final = 10.0
TURNS: Final = 4000  # a run that is not done by then is stuck
QUIET_TURNS: Final = 20
_DEPTH: Final = 3  # how many processes may stand still at once

logging.getLogger("services.predictor").setLevel(logging.CRITICAL)


class Wrong(Exception):
    """Raised when the promise is broken; says how."""


@dataclass(frozen=True)
class Parts:
    """What a replica is made of; a mutant has one that is wrong."""

    worker: type[Worker] = Worker
    task: type[PartitionTask] = PartitionTask
    recovery: type[PartitionRecovery] = PartitionRecovery
    writer: type[TransactionalProducer] = TransactionalProducer
    member: type[ConsumerGroupMember] = ConsumerGroupMember
    consumer: type[SimConsumer] = SimConsumer
    producer: type[SimProducer] = SimProducer
    states: type[FakeStateStore] = FakeStateStore
    processor: Callable[[Broker], RecordProcessor] = lambda _: processor()


@dataclass(frozen=True)
class RunVerdict:
    """What a run came to."""

    problem: str | None
    turns: int
    simulated_s: float
    happened: Counter[str]


def run(schedule: FaultSchedule, parts: Parts | None = None) -> RunVerdict:
    """Run a schedule to its end, or to the first thing that is wrong."""
    world = World(schedule, parts or Parts())
    problem = None
    try:
        world.run()
    except Wrong as wrong:
        problem = str(wrong)
    except Exception as error:
        problem = "".join(traceback.format_exception(error)[-3:])
    return RunVerdict(problem, world.turns, world.clock.now_s, world.happened)


def run_seed(seed: int, parts: Parts | None = None) -> RunVerdict:
    """Run the schedule of a seed."""
    return run(drawn(seed, SCRIPTS), parts)


class Replica:
    """A predictor process: the production worker, writer, group member and readers on simulated
    clients."""

    def __init__(self, world: "World", number: int) -> None:
        self.number = number
        self.process = process = Process(world)
        broker, parts = world.broker, world.parts

        def consumer(config: dict[str, Any]) -> Any:
            return parts.consumer(broker, process, config)

        def producer(config: dict[str, Any]) -> Any:
            return parts.producer(broker, process, config)

        def call_with_deadline(call: Callable[[], None], limit_s: float) -> None:
            process.begin_call()
            try:
                call()
            finally:
                if process.hung_s is not None:
                    world.clock.advance(limit_s)
                    raise TimeoutError

        self.writer = parts.writer(
            "kafka",
            f"predictor-{number}",
            exclusive_id=True,
            client=producer,
            deadline=call_with_deadline,
        )
        self.member = parts.member(
            "kafka", GROUP, TOPICS.klines, int(SESSION_S * 1000), client=consumer
        )
        record_processor, states = parts.processor(broker), WiredStates(world.store, process)
        recovery = parts.recovery(
            record_processor,
            self.member,
            Reader("kafka", TOPICS.klines, client=consumer),
            Reader("kafka", TOPICS.predictions, client=consumer),
            Reader("kafka", TOPICS.dead_letters, headers=True, client=consumer),
            states,
        )
        metrics = PredictorMetrics(Telemetry("predictor"))
        self.worker = parts.worker(
            TOPICS,
            self.member,
            self.writer,
            partial(parts.task, self.member, record_processor, recovery, world.clock),
            StateCheckpointer(states, CONTEXT, metrics, world.clock),
            metrics,
            world.rng.randint(1, 9),
            world.clock,
        )
        self.member.subscribe(self.worker.on_assigned, self.worker.on_revoked)

    def stop(self) -> None:
        """What SIGTERM leads to, between two turns."""
        self.member.close()
        self.writer.close()


class World:
    """Everything there is, and what befalls it."""

    def __init__(self, schedule: FaultSchedule, parts: Parts) -> None:
        self.parts = parts
        self.rng = Random(schedule.seed)
        self.clock = SimulatedClock()
        self.broker = Broker(self.clock, self._marker_delay_s)
        self.broker.create(TOPICS.klines, GROUPS)
        self.broker.create(TOPICS.predictions, GROUPS)
        self.broker.create(TOPICS.dead_letters, 1)
        self.store = Store(parts.states)
        self.feed = LogFeeder(self.broker, script(schedule.script))
        self.happened: Counter[str] = Counter()
        self.turns = 0
        self._slow_markers = schedule.slow_markers
        self._evict_in_batch_s: float | None = (
            None  # when somebody next writes, who is slow then: before it commits
        )
        self._fates = {(f.what, f.nth): f for f in schedule.fates}
        self._happenings = sorted(schedule.happenings, key=lambda h: h.turn)
        self._asked: Counter[str] = Counter()
        self._replicas: list[Replica] = []
        self._born = 0
        self._wanted = schedule.replicas
        self._running: list[
            Replica
        ] = []  # those whose turn it is: the others wait inside one of theirs
        self._follower = Follower(self.broker, expected(schedule.script))

    # --- what befalls -----------------------------------------------------------------------------

    def befalls(self, what: str) -> Befallen | None:
        self._asked[what] += 1
        if what == "places" and self._evict_in_batch_s is not None:
            length_s, self._evict_in_batch_s = self._evict_in_batch_s, None
            self._evict()
            return Befallen(Fate.SLOW, length_s)
        fate = self._fates.get((what, self._asked[what]))
        if fate is None:
            return None
        self.happened[fate.fate.value] += 1
        return Befallen(fate.fate, fate.length_s)

    def latency_s(self) -> float:
        return self.rng.choice((0.0, 0.0, 0.002, 0.03))

    def undo(self, fate: Fate) -> None:
        if fate is Fate.EMPTIED:
            self.store.flush()
        else:
            self.store.restore_snapshot()

    def stand_still(self, process: Process, seconds: float) -> None:
        until_s = self.clock.now_s + seconds
        while self.clock.now_s < until_s:
            free = self._idle()
            if len(self._running) < _DEPTH and (free or self._wanted > len(self._replicas)):
                self._turn()
            self.clock.advance(min(0.5, max(until_s - self.clock.now_s, 0.0)))
        if process.is_dead:  # killed while it stood still
            raise Crashed

    def _evict(self) -> None:
        for member in self.broker.groups[GROUP].members[:1]:
            self.broker.leave(GROUP, member)

    def _marker_delay_s(self) -> float:
        return self.rng.choice([0.0, 0.01, 0.2, 1.5]) if self._slow_markers else 0.0

    # --- going on ---------------------------------------------------------------------------------

    def run(self) -> None:
        quiet = 0
        while quiet < QUIET_TURNS:  # long enough for something to be published once more
            if self.turns > TURNS:
                raise Wrong(f"stuck: after {self.turns} turns {self._standing()}")
            self._turn()
            quiet = quiet + 1 if self._is_done() else 0
        self._follower.check_end()
        self._follower.check_store(self.store)

    def _turn(self) -> None:
        self.turns += 1
        while self._happenings and self._happenings[0].turn <= self.turns:
            self._happen(self._happenings.pop(0))
        self._supervise()
        free = self._idle()
        if not self.feed.is_done and (not free or self.rng.random() < 0.25):
            self.feed.go_on(stay_open=self.rng.random() < 0.2)
        elif free:
            self._let(self.rng.choice(free))
        self.clock.advance(self.rng.choice([0.0, 0.01, 0.1]))
        self._follower.check()

    def _idle(self) -> list[Replica]:
        return [r for r in self._replicas if r not in self._running and not r.process.is_dead]

    def _supervise(self) -> None:
        """Start what is missing, as a supervisor does."""
        self._replicas = [r for r in self._replicas if not r.process.is_dead]
        if len(self._replicas) < self._wanted and self.rng.random() < 0.3:
            self._born += 1
            try:
                self._replicas.append(Replica(self, self._born))
            except (Unavailable, Crashed):
                return

    def _let(self, replica: Replica) -> None:
        self._running.append(replica)
        try:
            replica.worker.run_once()
        except Crashed:
            replica.process.is_dead = True
        except Unavailable:
            replica.process.is_dead = True  # the process ends with an error and is started again
            self.happened["ended: unavailable"] += 1
        except UlstmError as error:
            raise Wrong(
                f"replica {replica.number} ended: {type(error).__name__}: {error}"
            ) from error
        finally:
            self._running.remove(replica)

    def _happen(self, happening: Happening) -> None:  # noqa: C901, PLR0912 - one branch a kind
        idle = self._idle()
        one = self._replicas[happening.which % len(self._replicas)] if self._replicas else None
        self.happened[happening.what] += 1
        match happening.what:
            case "kill" if one is not None:
                one.process.is_dead = True
            case "kill all":
                for replica in self._replicas:
                    replica.process.is_dead = True
            case "stop" if one in idle and one is not None:
                self._stop(one)
            case "scale":
                self._wanted = 1 + happening.which % 3
                for replica in idle[self._wanted :]:
                    self._stop(replica)
            case "pause" if one in idle and one is not None:
                self._running.append(one)
                one.process.is_paused = True
                with contextlib.suppress(Crashed):
                    self.stand_still(one.process, happening.length_s)
                one.process.is_paused = False
                self._running.remove(one)
            case "cut" if one is not None:
                one.process.cut_until_s = self.clock.now_s + happening.length_s
            case "broker down":
                for replica in self._replicas:
                    replica.process.cut_until_s = self.clock.now_s + happening.length_s
            case "evict" if happening.which % 2:
                self._evict_in_batch_s = happening.length_s
            case "evict":
                self._evict()
            case "forget offsets":
                for replica in self._replicas:
                    replica.process.is_dead = True
                self.clock.advance(SESSION_S * 2 + 15.0)  # nobody is left, and nothing is open
                self.broker.groups[GROUP].committed.clear()
            case "redis flush":
                self.store.flush()
            case "redis snapshot":
                self.store.keep_snapshot()
            case "redis restore":
                self.store.restore_snapshot()
            case "redis down":
                self.store.is_down = True
                self.clock.at(self.clock.now_s + happening.length_s, self._redis_up)
            case _:
                self.happened[happening.what] -= 1

    def _redis_up(self) -> None:
        self.store.is_down = False

    def _stop(self, replica: Replica) -> None:
        with contextlib.suppress(Crashed):
            replica.stop()
        replica.process.is_dead = True

    def _is_done(self) -> bool:
        return (
            self.feed.is_done
            and not self._happenings
            and self._follower.is_at_end()
            and not self._is_open()
        )

    def _is_open(self) -> bool:
        return any(
            partition.open for partitions in self.broker.topics.values() for partition in partitions
        )

    def _standing(self) -> str:
        committed = self.broker.groups[GROUP].committed
        return f"committed {sorted(committed.items())}, {len(self._replicas)} replicas"


class Follower:
    """A `read_committed` reader of what is published, during the faults."""

    def __init__(self, broker: Broker, wanted: Expected) -> None:
        self._broker, self._wanted = broker, wanted
        self._at = dict.fromkeys(range(GROUPS), 0)
        self._seen: dict[int, int] = defaultdict(int)
        self._letters_at = 0
        self._letters: dict[int, list[int]] = defaultdict(list)

    def check(self) -> None:
        """Read on; each prediction must be the next one that the log gives."""
        for group in range(GROUPS):
            self._check_group(group)
        self._read_letters()

    def _check_group(self, group: int) -> None:
        partition = self._broker.partition((TOPICS.predictions, group))
        wanted = self._wanted.predictions[group]
        while self._at[group] < partition.last_stable:
            data = partition.visible(self._at[group])
            self._at[group] += 1
            if data is None:
                continue
            place = f"{TOPICS.predictions}/{group} prediction {self._seen[group]}"
            if self._seen[group] >= len(wanted):
                raise Wrong(f"{place}: one too many: {data.value!r}")
            if (data.key, data.value) != wanted[self._seen[group]]:
                raise Wrong(f"{place}: {data.value!r} instead of {wanted[self._seen[group]][1]!r}")
            self._seen[group] += 1

    def _read_letters(self) -> None:
        partition = self._broker.partition((TOPICS.dead_letters, 0))
        while self._letters_at < partition.last_stable:
            data = partition.visible(self._letters_at)
            self._letters_at += 1
            if data is not None:
                place = {name: value.decode() for name, value in data.headers}
                self._letters[int(place["partition"])].append(int(place["offset"]))

    def is_at_end(self) -> bool:
        groups = range(GROUPS)
        return all(self._seen[g] >= len(self._wanted.predictions[g]) for g in groups) and all(
            len(self._letters[g]) >= len(self._wanted.letters[g]) for g in groups
        )

    def check_end(self) -> None:
        self.check()
        for group, wanted in enumerate(self._wanted.predictions):
            if self._seen[group] != len(wanted):
                raise Wrong(
                    f"{TOPICS.predictions}/{group}: {self._seen[group]} predictions instead of {len(wanted)}"
                )
            if self._letters[group] != list(self._wanted.letters[group]):
                raise Wrong(
                    f"dead letters of group {group}: {self._letters[group]}, not {self._wanted.letters[group]}"
                )

    def check_store(self, store: Store) -> None:
        """Wherever Redis holds a group, it is the fold at its applied_offset."""
        for group, digests in enumerate(self._wanted.digests):
            saved = store.states.load(group, PROFILE)
            if saved is None:
                continue
            wanted = digests.get(saved.applied_offset)
            found = {name: state_digest(state) for name, state in saved.symbols.items()}
            if wanted != found:
                raise Wrong(
                    f"Redis holds for group {group} at {saved.applied_offset}: {found} instead of {wanted}"
                )
