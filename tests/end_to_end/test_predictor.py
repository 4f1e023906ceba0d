import signal
from functools import partial

import pytest
import redis

from shared.log.model_registry import ModelRegistry
from tests.support.deployment import Stack, rows
from tests.support.waiting import eventually

pytestmark = [pytest.mark.integration, pytest.mark.end_to_end]

SYMBOLS = ["BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT", "ADAUSDT", "DOGEUSDT"]


def test_every_candle_after_a_full_window_is_predicted_once_and_replay_gives_the_same_bytes(
    stack: Stack,
) -> None:
    stack.publish(rows(SYMBOLS, 0, 20))
    version = stack.promote()
    replica = stack.predictor()
    stack.publish(rows(SYMBOLS, 20, 40))

    found = stack.awaits(SYMBOLS, 39)

    for symbol in SYMBOLS:
        times = [p.open_time_ms for p in found[symbol]]
        assert times == sorted(set(times))
        assert len(times) == 20
        assert {p.model_version for p in found[symbol]} == {version}
        assert [p.steps for p in found[symbol]] == list(range(20))
    assert stack.replay_agrees()
    assert replica.get("/health/live") == (200, "alive\n")
    assert replica.get("/health/ready") == (200, "ready\n")
    assert "ulstm_predictor_predictions_total 120.0" in replica.get("/metrics")[1]
    assert replica.kill(signal.SIGTERM) == 0


def more_than(stack: Stack, count: int) -> bool:
    return sum(map(len, stack.predictions().values())) > count


def test_a_killed_replica_changes_no_byte(stack: Stack) -> None:
    stack.publish(rows(SYMBOLS, 0, 16))
    stack.promote()
    for turn in range(3):
        stack.publish(rows(SYMBOLS, 16 + 40 * turn, 56 + 40 * turn))
        before = sum(map(len, stack.predictions().values()))
        replica = stack.predictor(BATCH_RECORDS="7")
        eventually(partial(more_than, stack, before + 10), 60)
        replica.kill()
    stack.predictor()

    stack.awaits(SYMBOLS, 135)

    assert stack.replay_agrees()


def test_one_to_three_to_one_replicas_changes_no_byte(stack: Stack) -> None:
    stack.publish(rows(SYMBOLS, 0, 16))
    stack.promote()
    first = stack.predictor()
    stack.publish(rows(SYMBOLS, 16, 30))
    stack.awaits(SYMBOLS, 29)
    others = [stack.predictor(), stack.predictor()]
    for other in others:
        eventually(lambda other=other: "taking over symbol groups [" in other.text(), 60)  # type: ignore[misc]
    stack.publish(rows(SYMBOLS, 30, 60))
    stack.awaits(SYMBOLS, 59)
    assert first.kill(signal.SIGTERM) == 0
    assert others[0].kill(signal.SIGTERM) == 0
    stack.publish(rows(SYMBOLS, 60, 80))

    found = stack.awaits(SYMBOLS, 79)

    assert {s: len(found[s]) for s in SYMBOLS} == dict.fromkeys(SYMBOLS, 64)
    assert stack.replay_agrees()


def test_a_flushed_redis_changes_no_byte(stack: Stack) -> None:
    stack.publish(rows(SYMBOLS, 0, 16))
    stack.promote()
    replica = stack.predictor()
    stack.publish(rows(SYMBOLS, 16, 40))
    stack.awaits(SYMBOLS, 39)
    client = redis.Redis.from_url(stack.redis)
    keys = list(
        client.scan_iter(f"*{stack.prefix}*")
    )  # this deployment's: other tests use the same server
    assert keys
    client.delete(*keys)
    client.close()
    replica.kill()
    stack.predictor()
    stack.publish(rows(SYMBOLS, 40, 60))

    stack.awaits(SYMBOLS, 59)

    assert stack.replay_agrees()


def test_a_promotion_and_a_rollback_switch_at_one_place_in_each_group(stack: Stack) -> None:
    stack.publish(rows(SYMBOLS, 0, 16))
    first = stack.promote(seed=1)
    stack.predictor()
    stack.publish(rows(SYMBOLS, 16, 24))
    stack.awaits(SYMBOLS, 23)
    second = stack.promote(seed=2)
    stack.publish(rows(SYMBOLS, 24, 30))
    stack.awaits(SYMBOLS, 29)
    assert ModelRegistry(stack.kafka, stack.settings.topics).rollback() == first
    stack.publish(rows(SYMBOLS, 30, 36))

    found = stack.awaits(SYMBOLS, 35)

    for symbol in SYMBOLS:
        versions = [p.model_version for p in found[symbol]]
        assert versions == [first] * 8 + [second] * 6 + [first] * 6
    assert stack.replay_agrees()
