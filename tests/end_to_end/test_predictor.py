import signal
from functools import partial

import pytest
import redis

from shared.log.model_registry import ModelRegistry
from tests.support.builders import interleaved_candles
from tests.support.deployment import Deployment, Replica
from tests.support.waiting import eventually

pytestmark = [pytest.mark.integration, pytest.mark.end_to_end]

SYMBOLS = ["BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT", "ADAUSDT", "DOGEUSDT"]


def test_every_candle_after_a_full_window_is_predicted_once_and_replay_gives_the_same_bytes(
    deployment: Deployment,
) -> None:
    deployment.publish(interleaved_candles(SYMBOLS, 0, 20))
    version = deployment.release()
    replica = deployment.start_predictor()
    deployment.publish(interleaved_candles(SYMBOLS, 20, 40))

    found = deployment.await_predictions(SYMBOLS, 39)

    for symbol in SYMBOLS:
        times = [p.open_time_ms for p in found[symbol]]
        assert times == sorted(set(times))
        assert len(times) == 20
        assert {p.model_version for p in found[symbol]} == {version}
        assert [p.steps for p in found[symbol]] == list(range(20))
    assert deployment.replay_agrees()
    assert replica.get("/health/live") == (200, "alive\n")
    assert replica.get("/health/ready") == (200, "ready\n")
    assert "ulstm_predictor_predictions_total 120.0" in replica.get("/metrics")[1]
    assert replica.kill(signal.SIGTERM) == 0


def more_than(deployment: Deployment, count: int) -> bool:
    return sum(map(len, deployment.predictions().values())) > count


def test_a_killed_replica_changes_no_byte(deployment: Deployment) -> None:
    deployment.publish(interleaved_candles(SYMBOLS, 0, 16))
    deployment.release()
    for start in (16, 56):
        deployment.publish(interleaved_candles(SYMBOLS, start, start + 40))
        before = sum(map(len, deployment.predictions().values()))
        replica = deployment.start_predictor(BATCH_RECORDS="7")
        eventually(partial(more_than, deployment, before + 10), 60)
        replica.kill()
    deployment.start_predictor()

    deployment.await_predictions(SYMBOLS, 95)

    assert deployment.replay_agrees()


def has_partitions(replica: Replica) -> bool:
    return replica.metric("ulstm_predictor_groups") > 0


def test_one_to_three_to_one_replicas_changes_no_byte(deployment: Deployment) -> None:
    deployment.publish(interleaved_candles(SYMBOLS, 0, 16))
    deployment.release()
    first = deployment.start_predictor()
    deployment.publish(interleaved_candles(SYMBOLS, 16, 30))
    deployment.await_predictions(SYMBOLS, 29)
    others = [deployment.start_predictor(), deployment.start_predictor()]
    for other in others:
        eventually(partial(has_partitions, other), 60)
    deployment.publish(interleaved_candles(SYMBOLS, 30, 60))
    deployment.await_predictions(SYMBOLS, 59)
    assert first.kill(signal.SIGTERM) == 0
    assert others[0].kill(signal.SIGTERM) == 0
    deployment.publish(interleaved_candles(SYMBOLS, 60, 80))

    found = deployment.await_predictions(SYMBOLS, 79)

    assert {s: len(found[s]) for s in SYMBOLS} == dict.fromkeys(SYMBOLS, 64)
    assert deployment.replay_agrees()


def test_a_flushed_redis_changes_no_byte(deployment: Deployment) -> None:
    deployment.publish(interleaved_candles(SYMBOLS, 0, 16))
    deployment.release()
    replica = deployment.start_predictor()
    deployment.publish(interleaved_candles(SYMBOLS, 16, 40))
    deployment.await_predictions(SYMBOLS, 39)
    with redis.Redis.from_url(deployment.redis_url) as client:
        # Only this deployment's keys: other tests use the same server.
        ours = f"*{deployment.prefix}*"
        # They are saved once nothing else is to be done.
        eventually(lambda: any(client.scan_iter(ours)), 30)
        client.delete(*client.scan_iter(ours))
    replica.kill()
    deployment.start_predictor()
    deployment.publish(interleaved_candles(SYMBOLS, 40, 60))

    deployment.await_predictions(SYMBOLS, 59)

    assert deployment.replay_agrees()


def test_a_promotion_and_a_rollback_switch_at_one_place_in_each_group(
    deployment: Deployment,
) -> None:
    deployment.publish(interleaved_candles(SYMBOLS, 0, 16))
    first = deployment.release(seed=1)
    deployment.start_predictor()
    deployment.publish(interleaved_candles(SYMBOLS, 16, 24))
    deployment.await_predictions(SYMBOLS, 23)
    second = deployment.release(seed=2)
    deployment.publish(interleaved_candles(SYMBOLS, 24, 30))
    deployment.await_predictions(SYMBOLS, 29)
    assert ModelRegistry(deployment.kafka, deployment.topics).rollback() == first
    deployment.publish(interleaved_candles(SYMBOLS, 30, 36))

    found = deployment.await_predictions(SYMBOLS, 35)

    for symbol in SYMBOLS:
        versions = [p.model_version for p in found[symbol]]
        assert versions == [first] * 8 + [second] * 6 + [first] * 6
    assert deployment.replay_agrees()
