"""One run of the simulation: replicas, faults, and the check of what they publish."""

import contextlib
import logging
import traceback
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from random import Random
from typing import Final

from shared.core.errors import UlstmError, Unavailable
from tests.simulation.broker import Broker
from tests.simulation.checker import OutputChecker, PromiseBroken
from tests.simulation.clock import SimulatedClock
from tests.simulation.log import (
    PARTITIONS,
    SCRIPTS,
    TOPICS,
    LogFeeder,
    expected_output,
    log_script,
)
from tests.simulation.network import ActiveFault, Crashed, Process, RequestFault, RequestKind
from tests.simulation.replica import (
    CONSUMER_GROUP,
    SESSION_S,
    ReplicaParts,
    SimulatedReplica,
)
from tests.simulation.schedules import FaultSchedule, ScheduledEvent, draw_schedule
from tests.simulation.store import SimulatedRedis

MAX_STEPS: Final = 4000  # a run that takes more is stuck
IDLE_STEPS: Final = 20
_MAX_SUSPENDED: Final = 3  # processes that may be suspended at the same time

logging.getLogger("services.predictor").setLevel(logging.CRITICAL)


@dataclass(frozen=True)
class RunResult:
    """The first problem of a run, and how often each fault happened."""

    problem: str | None
    steps: int
    simulated_s: float
    counts: Counter[str]


def run(schedule: FaultSchedule, parts: ReplicaParts | None = None) -> RunResult:
    """Run a schedule to its end or to the first problem."""
    world = World(schedule, parts or ReplicaParts())
    problem = None
    try:
        world.run()
    except PromiseBroken as broken:
        problem = str(broken)
    except Exception as error:
        problem = "".join(traceback.format_exception(error)[-3:])
    return RunResult(problem, world.steps, world.clock.now_s, world.counts)


def run_seed(seed: int, parts: ReplicaParts | None = None) -> RunResult:
    """Run the schedule of a seed."""
    return run(draw_schedule(seed, SCRIPTS), parts)


class World:
    """Everything there is, and what fault_for it."""

    def __init__(
        self,
        schedule: FaultSchedule,
        parts: ReplicaParts,
        held: Collection[int] = (),
    ) -> None:
        """Build the servers; partitions in `held` may be held: nothing is expected of them."""
        self.parts, self._held = parts, held
        self.skipped: Mapping[int, Collection[int]] = {}
        self.rng = Random(schedule.seed)
        self.clock = SimulatedClock()
        self.broker = Broker(self.clock, self._marker_delay_s)
        self.broker.create(TOPICS.klines, PARTITIONS)
        self.broker.create(TOPICS.predictions, PARTITIONS)
        self.broker.create(TOPICS.dead_letters, 1)
        self.redis = SimulatedRedis(parts.states)
        self.feeder = LogFeeder(self.broker, log_script(schedule.script))
        self.counts: Counter[str] = Counter()
        self.steps = 0
        self._slow_markers = schedule.slow_markers
        # If set: at the next write evict a member, and let the writer be slow for this long.
        self._evict_in_batch_s: float | None = None
        self._faults = {(f.request, f.nth): f for f in schedule.faults}
        self._events = sorted(schedule.events, key=lambda h: h.step)
        self._request_counts: Counter[str] = Counter()
        self._replicas: list[SimulatedReplica] = []
        self._started = 0
        self._target = schedule.replicas
        # Replicas in the middle of a step: several, while one of them is suspended.
        self._running: list[SimulatedReplica] = []
        checked = [partition for partition in range(PARTITIONS) if partition not in held]
        self._checker = OutputChecker(self.broker, expected_output(schedule.script), checked)

    # --- what fault_for ---------------------------------------------------------------------------

    def fault_for(self, kind: RequestKind) -> ActiveFault | None:
        self._request_counts[kind] += 1
        if kind == "add_partitions" and self._evict_in_batch_s is not None:
            length_s, self._evict_in_batch_s = self._evict_in_batch_s, None
            self._evict()
            return ActiveFault(RequestFault.SLOW, length_s)
        fault = self._faults.get((kind, self._request_counts[kind]))
        if fault is None:
            return None
        self.counts[fault.fault.value] += 1
        return ActiveFault(fault.fault, fault.length_s)

    def latency_s(self) -> float:
        return self.rng.choice((0.0, 0.0, 0.002, 0.03))

    def damage_store(self, fault: RequestFault) -> None:
        if fault is RequestFault.EMPTIED:
            self.redis.flush()
        else:
            self.redis.restore_snapshot()

    def suspend(self, process: Process, seconds: float) -> None:
        until_s = self.clock.now_s + seconds
        while self.clock.now_s < until_s:
            free = self._idle()
            if len(self._running) < _MAX_SUSPENDED and (free or self._target > len(self._replicas)):
                self._step()
            self.clock.advance(min(0.5, max(until_s - self.clock.now_s, 0.0)))
        if process.is_dead:  # killed while it was suspended
            raise Crashed

    def _evict(self) -> None:
        for member in self.broker.groups[CONSUMER_GROUP].members[:1]:
            self.broker.leave(CONSUMER_GROUP, member)

    def _marker_delay_s(self) -> float:
        return self.rng.choice([0.0, 0.01, 0.2, 1.5]) if self._slow_markers else 0.0

    # --- steps ------------------------------------------------------------------------------------

    def run(self) -> None:
        idle = 0
        while idle < IDLE_STEPS:  # long enough for something to be published twice
            if self.steps > MAX_STEPS:
                raise PromiseBroken(f"stuck: after {self.steps} steps {self._describe_progress()}")
            self._step()
            idle = idle + 1 if self._is_done() else 0
        self._checker.check_end()
        self._checker.check_redis(self.redis)

    def _step(self) -> None:
        self.steps += 1
        while self._events and self._events[0].step <= self.steps:
            self._apply(self._events.pop(0))
        self._supervise()
        free = self._idle()
        if not self.feeder.is_done and (not free or self.rng.random() < 0.25):
            self.feeder.write_next(stay_open=self.rng.random() < 0.2)
        elif free:
            self._run_replica(self.rng.choice(free))
        self.clock.advance(self.rng.choice([0.0, 0.01, 0.1]))
        self._checker.check()

    def _idle(self) -> list[SimulatedReplica]:
        return [r for r in self._replicas if r not in self._running and not r.process.is_dead]

    def _supervise(self) -> None:
        """Start missing replicas, as a supervisor does."""
        self._replicas = [r for r in self._replicas if not r.process.is_dead]
        if len(self._replicas) < self._target and self.rng.random() < 0.3:
            self._started += 1
            try:
                self._replicas.append(SimulatedReplica(self, self._started))
            except (Unavailable, Crashed):
                return

    def _run_replica(self, replica: SimulatedReplica) -> None:
        self._running.append(replica)
        try:
            replica.worker.run_once()
            self._check_held(replica)
        except Crashed:
            replica.process.is_dead = True
        except Unavailable:
            replica.process.is_dead = True  # the process ends with an error and is started again
            self.counts["ended: unavailable"] += 1
        except UlstmError as error:
            raise PromiseBroken(
                f"replica {replica.number} ended: {type(error).__name__}: {error}"
            ) from error
        finally:
            self._running.remove(replica)

    def held(self) -> dict[int, str]:
        """Return the partitions that any replica holds, with the reason."""
        return {number: text for each in self._replicas for number, text in each.held().items()}

    def _check_held(self, replica: SimulatedReplica) -> None:
        for partition, reason in replica.held().items():
            if partition not in self._held:
                raise PromiseBroken(f"replica {replica.number} holds {partition}: {reason}")

    # --- events -----------------------------------------------------------------------------------

    def _apply(self, event: ScheduledEvent) -> None:
        self.counts[event.kind] += 1
        if not self._events_by_kind[event.kind](event):
            self.counts[event.kind] -= 1  # there was nothing it could strike

    @property
    def _events_by_kind(self) -> dict[str, Callable[[ScheduledEvent], bool]]:
        return {
            "kill": self._kill,
            "kill all": self._kill_all,
            "stop": self._stop_one,
            "scale": self._scale,
            "pause": self._pause,
            "cut": self._cut,
            "broker down": self._cut_all,
            "evict": self._evict_now_or_in_batch,
            "forget offsets": self._forget_offsets,
            "redis flush": lambda _: self._done(self.redis.flush),
            "redis snapshot": lambda _: self._done(self.redis.keep_snapshot),
            "redis restore": lambda _: self._done(self.redis.restore_snapshot),
            "redis down": self._redis_down,
        }

    @staticmethod
    def _done(call: Callable[[], None]) -> bool:
        call()
        return True

    def _target_of(self, event: ScheduledEvent) -> SimulatedReplica | None:
        return self._replicas[event.which % len(self._replicas)] if self._replicas else None

    def _idle_target_of(self, event: ScheduledEvent) -> SimulatedReplica | None:
        target = self._target_of(event)
        return target if target in self._idle() else None

    def _kill(self, event: ScheduledEvent) -> bool:
        replica = self._target_of(event)
        if replica is None:
            return False
        replica.process.is_dead = True
        return True

    def _kill_all(self, _: ScheduledEvent) -> bool:
        for replica in self._replicas:
            replica.process.is_dead = True
        return True

    def _stop_one(self, event: ScheduledEvent) -> bool:
        replica = self._idle_target_of(event)
        if replica is None:
            return False
        self._stop(replica)
        return True

    def _scale(self, event: ScheduledEvent) -> bool:
        idle = self._idle()
        self._target = 1 + event.which % 3
        for replica in idle[self._target :]:
            self._stop(replica)
        return True

    def _pause(self, event: ScheduledEvent) -> bool:
        replica = self._idle_target_of(event)
        if replica is None:
            return False
        self._running.append(replica)
        replica.process.is_paused = True
        with contextlib.suppress(Crashed):
            self.suspend(replica.process, event.length_s)
        replica.process.is_paused = False
        self._running.remove(replica)
        return True

    def _cut(self, event: ScheduledEvent) -> bool:
        replica = self._target_of(event)
        if replica is None:
            return False
        replica.process.cut_until_s = self.clock.now_s + event.length_s
        return True

    def _cut_all(self, event: ScheduledEvent) -> bool:
        for replica in self._replicas:
            replica.process.cut_until_s = self.clock.now_s + event.length_s
        return True

    def _evict_now_or_in_batch(self, event: ScheduledEvent) -> bool:
        if event.which % 2:
            self._evict_in_batch_s = event.length_s
        else:
            self._evict()
        return True

    def _forget_offsets(self, event: ScheduledEvent) -> bool:
        self._kill_all(event)
        # Wait until the group has no members and no transaction is open.
        self.clock.advance(SESSION_S * 2 + 15.0)
        self.broker.groups[CONSUMER_GROUP].committed.clear()
        return True

    def _redis_down(self, event: ScheduledEvent) -> bool:
        self.redis.is_down = True
        self.clock.at(self.clock.now_s + event.length_s, self._redis_up)
        return True

    def _redis_up(self) -> None:
        self.redis.is_down = False

    def _stop(self, replica: SimulatedReplica) -> None:
        with contextlib.suppress(Crashed):
            replica.stop()
        replica.process.is_dead = True

    def _is_done(self) -> bool:
        return (
            self.feeder.is_done
            and not self._events
            and self._checker.is_at_end()
            and not self._is_open()
        )

    def _is_open(self) -> bool:
        return any(
            partition.open for partitions in self.broker.topics.values() for partition in partitions
        )

    def _describe_progress(self) -> str:
        committed = self.broker.groups[CONSUMER_GROUP].committed
        return f"committed {sorted(committed.items())}, {len(self._replicas)} replicas"
