"""A simulated replica: the predictor's own classes on clients of the broker model."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any, Final, Protocol

from services.predictor.checkpointer import StateCheckpointer
from services.predictor.metrics import PredictorMetrics
from services.predictor.partition_task import PartitionTask
from services.predictor.recovery.open_transaction import OpenTransactions
from services.predictor.recovery.partition_recovery import PartitionRecovery
from services.predictor.worker import Worker
from shared.adapters.kafka.connection import KafkaConnection
from shared.adapters.kafka.consumer_group import ConsumerGroupMember
from shared.adapters.kafka.group_settings import GroupSettings
from shared.adapters.kafka.producer import TransactionalProducer
from shared.adapters.kafka.reader import Reader
from shared.adapters.prometheus import Telemetry
from shared.log.record_processor import RecordProcessor
from tests.simulation.broker import Broker
from tests.simulation.clients import SimulatedConsumer, SimulatedProducer
from tests.simulation.log import CONTEXT, TOPICS, build_processor
from tests.simulation.network import Environment, Process
from tests.simulation.store import SimulatedRedis, SimulatedStateStore
from tests.support.fakes import FakeStateStore

CONSUMER_GROUP: Final = "predictors"
SESSION_S: Final = 6.0
GROUP: Final = GroupSettings(session_timeout_ms=int(SESSION_S * 1000))
KAFKA: Final = KafkaConnection("simulated")


@dataclass(frozen=True)
class ReplicaParts:
    """The classes that a replica is built from; a mutant replaces some of them."""

    worker: type[Worker] = Worker
    task: type[PartitionTask] = PartitionTask
    recovery: type[PartitionRecovery] = PartitionRecovery
    writer: type[TransactionalProducer] = TransactionalProducer
    member: type[ConsumerGroupMember] = ConsumerGroupMember
    consumer: type[SimulatedConsumer] = SimulatedConsumer
    producer: type[SimulatedProducer] = SimulatedProducer
    states: type[FakeStateStore] = FakeStateStore
    group: GroupSettings = GROUP
    processor: Callable[[Broker], RecordProcessor] = lambda _: build_processor()


class ReplicaEnvironment(Environment, Protocol):
    """The servers of a replica, and what it was built from."""

    broker: Broker
    redis: SimulatedRedis
    parts: ReplicaParts
    rng: Random
    skipped: Mapping[int, Collection[int]]  # by partition, offsets of foreign predictions


class SimulatedReplica:
    """A predictor process: production code on simulated clients."""

    def __init__(self, world: ReplicaEnvironment, number: int) -> None:
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
            KAFKA,
            f"predictor-{number}",
            exclusive_id=True,
            signed_topic=TOPICS.predictions,
            client=producer,
            deadline=call_with_deadline,
        )
        self.member = parts.member(
            KAFKA, CONSUMER_GROUP, TOPICS.klines, parts.group, client=consumer
        )
        record_processor = parts.processor(broker)
        states = SimulatedStateStore(world.redis, process)
        predictions = Reader(KAFKA, TOPICS.predictions, client=consumer)
        recovery = parts.recovery(
            record_processor,
            self.member,
            Reader(KAFKA, TOPICS.klines, client=consumer),
            predictions,
            Reader(KAFKA, TOPICS.dead_letters, headers=True, client=consumer),
            states,
            OpenTransactions(predictions, "predictor-", self.writer.abort_transaction_of),
            lambda partition: world.skipped.get(partition, ()),
        )
        metrics = PredictorMetrics(Telemetry("predictor"))
        self._tasks: list[PartitionTask] = []

        def create_task(partition: int, *, from_beginning: bool = False) -> PartitionTask:
            task = parts.task(
                self.member,
                record_processor,
                recovery,
                world.clock,
                partition,
                from_beginning=from_beginning,
            )
            self._tasks.append(task)
            return task

        self.worker = parts.worker(
            TOPICS,
            self.member,
            self.writer,
            create_task,
            StateCheckpointer(states, CONTEXT, metrics, world.clock),
            metrics,
            world.rng.randint(1, 9),
            world.clock,
        )
        self.member.subscribe(self.worker.on_assigned, self.worker.on_revoked)

    def held(self) -> dict[int, str]:
        """Return the reasons of the partitions that were held last in this replica."""
        return {task.partition: task.reason for task in self._tasks if task.is_held}

    def stop(self) -> None:
        """Stop as on SIGTERM, between two steps."""
        self.member.close()
        self.writer.close()
