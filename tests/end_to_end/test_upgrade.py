import signal

import pytest

from shared.core.model.numeric_profile import self_test
from shared.log.model_registry import ModelRegistry
from tests.end_to_end import next_version
from tests.support.builders import interleaved_candles
from tests.support.deployment import PARTITIONS, Deployment
from tests.support.waiting import eventually

pytestmark = [pytest.mark.integration, pytest.mark.end_to_end]

SYMBOLS = ["BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT", "ADAUSDT", "DOGEUSDT"]
OURS, NEXT = self_test(), next_version.PROFILE


def test_a_changed_kernel_takes_over_at_a_promotion_and_nowhere_else(
    deployment: Deployment,
) -> None:
    deployment.publish(interleaved_candles(SYMBOLS, 0, 20))
    version = deployment.release()
    old = deployment.start_predictor()
    deployment.publish(interleaved_candles(SYMBOLS, 20, 25))
    deployment.await_predictions(SYMBOLS, 24)

    early = deployment.start("tests.end_to_end.next_version")
    eventually(lambda: f"profile {OURS} predicts, this is {NEXT}" in early.get("/health/ready")[1])
    assert "ulstm models promote VERSION" in early.get("/health/ready")[1]
    assert early.kill(signal.SIGTERM) == 0

    ModelRegistry(deployment.kafka, deployment.topics, lambda: NEXT).promote(version)
    deployment.publish(interleaved_candles(SYMBOLS, 25, 30))
    eventually(
        lambda: (
            old.get("/health/ready")[1].count(f"numeric profile {NEXT} predicts, this is {OURS}")
            == PARTITIONS
        )
    )
    assert "start the version that has it" in old.get("/health/ready")[1]
    assert old.get("/health/live")[0] == 200
    deployment.await_predictions(SYMBOLS, 24)
    assert old.kill(signal.SIGTERM) == 0

    new = deployment.start("tests.end_to_end.next_version")
    found = deployment.await_predictions(SYMBOLS, 29)

    eventually(lambda: new.get("/health/ready")[0] == 200)
    for symbol in SYMBOLS:
        times = [p.open_time_ms for p in found[symbol]]
        assert times == sorted(set(times))
        assert [p.numeric_profile for p in found[symbol]] == [OURS] * 5 + [NEXT] * 5
        assert [p.steps for p in found[symbol]] == [0, 1, 2, 3, 4] * 2
    too_late = deployment.start_predictor()
    assert new.kill(signal.SIGTERM) == 0
    eventually(
        lambda: f"profile {NEXT} predicts, this is {OURS}" in too_late.get("/health/ready")[1]
    )
    assert deployment.replay_agrees()
