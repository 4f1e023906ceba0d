import json
import os
import subprocess
import sys

import pytest

from shared.core.candle import symbol_group
from tests.builders import candle_bytes
from tests.end_to_end.stack import GROUPS, Stack, rows

pytestmark = [pytest.mark.integration, pytest.mark.end_to_end]

SYMBOLS = ["BTCUSDT", "ETHUSDT", "SOLUSDT"]


def ulstm(stack: Stack, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "services.cli", *arguments],
        env={**os.environ, **stack.environ, "COLUMNS": "160"},
        cwd=stack.folder,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def test_a_healthy_deployment_verifies(stack: Stack) -> None:
    stack.publish(rows(SYMBOLS, 0, 20))
    stack.promote()
    stack.predictor()
    stack.publish(rows(SYMBOLS, 20, 30))
    stack.publish([("BTCUSDT", b"{nonsense"), ("BTCUSDT", candle_bytes(3))], group=symbol_group("BTCUSDT", GROUPS))
    stack.publish(rows(SYMBOLS, 30, 40))
    stack.awaits(SYMBOLS, 39)

    verified = ulstm(stack, "verify", "--json")

    assert verified.returncode == 0, verified.stderr
    assert json.loads(verified.stdout)["checks"]["bytes"] == {"checked": 60, "mismatches": 0}
