"""Clients of the broker model: each in a simulated process, with a simulated clock."""

from collections.abc import Callable
from itertools import count
from typing import Any, Final, cast

from confluent_kafka import Consumer, Producer

from shared.adapters.kafka.group_settings import GroupProtocol
from tests.conformance.harness import PRODUCER, WAIT_S, ClientHarness, dotted
from tests.conformance.member import RecordingMember
from tests.simulation.broker import Broker
from tests.simulation.clients import SimulatedConsumer, SimulatedProducer
from tests.simulation.clock import SimulatedClock
from tests.simulation.network import ActiveFault, Process, RequestFault, RequestKind

_POLL_S: Final = 0.05


class _FaultlessWorld:
    """A simulated world without faults."""

    def __init__(self, clock: SimulatedClock) -> None:
        self.clock = clock

    def fault_for(self, kind: RequestKind) -> ActiveFault | None:
        return None

    def latency_s(self) -> float:
        return 0.001

    def damage_store(self, fault: RequestFault) -> None:
        raise AssertionError(fault)

    def suspend(self, process: Process, seconds: float) -> None:
        raise AssertionError(seconds)


class ModelHarness(ClientHarness):
    def __init__(self, protocol: GroupProtocol = "classic") -> None:
        self._world = _FaultlessWorld(SimulatedClock())
        self._broker = Broker(self._world.clock)
        self._names = count()
        super().__init__(protocol)

    def topic(self, partitions: int = 1) -> str:
        name = self.new_name()
        self._broker.create(name, partitions)
        return name

    def new_name(self) -> str:
        return f"name-{next(self._names)}"

    def new_producer(self, name: str, **config: Any) -> Producer:
        producer = SimulatedProducer(
            self._broker,
            Process(self._world),
            {**PRODUCER, "transactional.id": name, **dotted(config)},
        )
        return cast(Producer, producer)

    def consumer(self, group: str | None = None, **config: Any) -> Consumer:
        return self._consumer(Process(self._world), group, **config)

    def close(self, client: Producer | Consumer) -> None:
        client.close()

    def vanishing_member(
        self, group: str, topic: str
    ) -> tuple[RecordingMember, Callable[[], None]]:
        process = Process(self._world)

        def vanish() -> None:
            process.is_dead = True

        return RecordingMember(self._consumer(process, group), topic), vanish

    def sleeping_member(
        self, group: str, topic: str
    ) -> tuple[RecordingMember, Callable[[], None], Callable[[], None]]:
        process = Process(self._world)

        def sleep() -> None:
            process.is_paused = True

        def wake() -> None:
            process.is_paused = False

        return RecordingMember(self._consumer(process, group), topic), sleep, wake

    def until(self, condition: Callable[[], object], deadline_s: float = WAIT_S) -> None:
        clock = self._world.clock
        ends_s = clock.now_s + deadline_s
        while not condition():
            if clock.now_s >= ends_s:
                message = f"did not happen within {deadline_s:g} s"
                raise TimeoutError(message)
            clock.advance(_POLL_S)

    def pass_time(self, seconds: float) -> None:
        self._world.clock.advance(seconds)

    def keep_clients(self) -> None:
        pass

    def close_clients(self) -> None:
        pass

    def close_all(self) -> None:
        pass

    def _consumer(self, process: Process, group: str | None = None, **config: Any) -> Consumer:
        settings = {**self.consumer_config, "group.id": group or "conformance", **dotted(config)}
        return cast(Consumer, SimulatedConsumer(self._broker, process, settings))
