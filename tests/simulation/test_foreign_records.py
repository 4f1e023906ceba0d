"""A foreign record on `predictions`: it holds its own symbol group at most, on every replica."""

import json

import pytest

from tests.simulation.broker import Broker, RecordData
from tests.simulation.checker import FOREIGN_KEY
from tests.simulation.log import PARTITIONS, TOPICS, expected_output
from tests.simulation.replica import ReplicaParts
from tests.simulation.schedules import FaultSchedule, ScheduledEvent
from tests.simulation.world import World

SCRIPT = 0
# Each replica is started again in the middle, so that another one takes the symbol group.
EVENTS = (ScheduledEvent(60, "kill all", 0, 0.0), ScheduledEvent(90, "kill", 0, 0.0))
SCHEDULE = FaultSchedule(1, SCRIPT, 3, slow_markers=False, faults=(), events=EVENTS)


def publish(broker: Broker, partition: int, value: bytes) -> None:
    """Publish a foreign record on `predictions`."""
    producer, epoch = broker.init_producer("foreign", 60.0)
    place = TOPICS.predictions, partition
    broker.add_partitions(producer, epoch, [place])
    broker.produce(producer, epoch, place, 0, [RecordData(FOREIGN_KEY, value, 0)])
    broker.end_transaction(producer, epoch, commit=True)


def a_prediction(**fields: object) -> bytes:
    """Return a prediction that the log does not lead to."""
    value = expected_output(SCRIPT).predictions[0][0][1]
    return json.dumps({**json.loads(value), **fields}).encode()


@pytest.mark.parametrize("value", [b"garbage", b"{}", b"\xff\xfe"])
def test_a_record_that_is_no_prediction_is_passed_over(value: bytes) -> None:
    world = World(SCHEDULE, ReplicaParts())
    for partition in range(PARTITIONS):
        publish(world.broker, partition, value)

    world.run()


CONTRADICTING = pytest.mark.parametrize(
    "value",
    [
        pytest.param(b'{"schema": 2}', id="of another schema"),
        pytest.param(a_prediction(source_offset=10**9), id="from beyond the end of the log"),
        pytest.param(a_prediction(source_offset=0), id="from another record"),
        pytest.param(a_prediction(symbol="FOREIGNUSDT"), id="of a symbol that is not there"),
    ],
)


@CONTRADICTING
def test_a_record_that_contradicts_the_log_holds_its_symbol_group_alone(value: bytes) -> None:
    world = World(SCHEDULE, ReplicaParts(), held=[0])
    publish(world.broker, 0, value)

    world.run()

    assert world.held()[0]


@CONTRADICTING
def test_a_record_that_an_operator_skips_holds_nothing(value: bytes) -> None:
    world = World(SCHEDULE, ReplicaParts())
    publish(world.broker, 0, value)
    world.skipped = {0: [0]}

    world.run()
