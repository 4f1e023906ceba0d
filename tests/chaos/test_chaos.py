"""A minute of `make chaos`: the main kinds of fault once each, then the whole findings."""

from pathlib import Path

import pytest

from shared.adapters.kafka.producer import ProducerRecord
from tests.chaos.audit import audit
from tests.chaos.faults import KINDS
from tests.chaos.plan import Episode, Fault, draw_plan
from tests.chaos.run import run_episodes
from tests.chaos.system import SystemUnderFaults
from tests.support.waiting import eventually

SEED = 20_260_101
EPISODES: list[Episode] = [
    (Fault("replica killed within a transaction", 0, 0.0),),
    (Fault("Redis flushed, then a replica killed", 1, 0.0), Fault("trainer killed", 0, 1.0)),
    (
        Fault("replica stopped", 0, 0.0),
        Fault("commit request late, in the next transaction", 1, 0.0),
    ),
    (Fault("replica paused past its session", 1, 7.0), Fault("Redis full", 0, 4.0)),
    (Fault("broker killed", 0, 0.0),),
]


def test_the_same_seed_gives_the_same_plan() -> None:
    first, second = (draw_plan(SEED, list(KINDS.values()), [0, 1]) for _ in range(2))

    assert [next(first) for _ in range(100)] == [next(second) for _ in range(100)]


@pytest.mark.integration
@pytest.mark.end_to_end
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_whatever_dies_stalls_or_is_emptied_the_bytes_are_those_of_a_replay(tmp_path: Path) -> None:
    with SystemUnderFaults(tmp_path, SEED, pace_s=0.2) as system:
        report = run_episodes(system, SEED, EPISODES, lambda *_: None)
        publish_the_last_prediction_again(system)
        eventually(lambda: system.consumer.faults)
        tampered = audit(system, [])

    assert [*report.wrong, *report.findings.wrong] == []
    assert report.findings.predictions > 500
    assert report.findings.dead_letters > 0
    assert report.findings.redis_states > 0
    assert tampered.duplicates == 1
    assert tampered.wrong_bytes > 0


def publish_the_last_prediction_again(system: SystemUnderFaults) -> None:
    deployment = system.deployment
    record = deployment.read(deployment.topics.predictions)[-1]
    again = ProducerRecord(
        deployment.topics.predictions,
        record.partition,
        record.key,
        record.value,
        record.timestamp_ms,
    )
    deployment.write([again])
