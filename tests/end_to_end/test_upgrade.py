import signal

import pytest

from shared.core.model.numeric_profile import self_test
from shared.log.model_registry import ModelRegistry
from tests.end_to_end import next_version
from tests.support.deployment import GROUPS, Stack, rows
from tests.support.waiting import eventually

pytestmark = [pytest.mark.integration, pytest.mark.end_to_end]

SYMBOLS = ["BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT", "ADAUSDT", "DOGEUSDT"]
OURS, NEXT = self_test(), next_version.PROFILE


def test_a_changed_kernel_takes_over_at_a_promotion_and_nowhere_else(stack: Stack) -> None:
    stack.publish(rows(SYMBOLS, 0, 20))
    version = stack.promote()
    old = stack.predictor()
    stack.publish(rows(SYMBOLS, 20, 25))
    stack.awaits(SYMBOLS, 24)

    early = stack.spawn("next", "tests.end_to_end.next_version")
    assert early.process.wait(60) == 1
    assert f"numeric profile {OURS} predicts, this is {NEXT}" in early.text()
    assert "ulstm models promote VERSION" in early.text()

    ModelRegistry(stack.kafka, stack.settings.topics, lambda: NEXT).promote(version)
    stack.publish(rows(SYMBOLS, 25, 30))
    eventually(
        lambda: (
            old.get("/health/ready")[1].count(f"numeric profile {NEXT} predicts, this is {OURS}")
            == GROUPS
        )
    )
    assert "start the version that has it" in old.get("/health/ready")[1]
    assert old.get("/health/live")[0] == 200
    stack.awaits(SYMBOLS, 24)
    assert old.kill(signal.SIGTERM) == 0

    new = stack.spawn("next", "tests.end_to_end.next_version")
    found = stack.awaits(SYMBOLS, 29)

    eventually(lambda: new.get("/health/ready")[0] == 200)
    for symbol in SYMBOLS:
        times = [p.open_time_ms for p in found[symbol]]
        assert times == sorted(set(times))
        assert [p.numeric_profile for p in found[symbol]] == [OURS] * 5 + [NEXT] * 5
        assert [p.steps for p in found[symbol]] == [0, 1, 2, 3, 4] * 2
    too_late = stack.predictor()
    assert new.kill(signal.SIGTERM) == 0
    assert too_late.process.wait(60) == 1
    assert f"numeric profile {NEXT} predicts, this is {OURS}" in too_late.text()
    assert stack.replay_agrees()
