import json
import subprocess
import sys
from typing import Any

import pytest
from rich.console import Console

from services.cli.audit.command import verify
from shared.core.topics import partition_for
from tests.support.deployment import GROUPS, Stack, rows
from tests.support.waiting import eventually

pytestmark = [pytest.mark.integration, pytest.mark.end_to_end]

SYMBOLS = ["BTCUSDT", "ETHUSDT"]
GROUP = partition_for("BTCUSDT", GROUPS)
WRONG = (GROUP + 1) % GROUPS


def dead_letters(stack: Stack, *arguments: str) -> Any:
    command = [sys.executable, "-m", "services.cli", "dead-letters", *arguments, "--json"]
    return json.loads(
        subprocess.run(
            command, env=stack.environ, capture_output=True, timeout=60, check=True
        ).stdout
    )


def test_a_candle_that_was_set_aside_goes_back_once_and_is_predicted_from(stack: Stack) -> None:
    *past, lost = rows(["BTCUSDT"], 0, 26)
    stack.publish([*past, *rows(["ETHUSDT"], 0, 25)])
    stack.promote()
    stack.predictor()
    stack.publish([lost], group=WRONG)
    eventually(stack.dead_letters)

    reasons = dead_letters(stack, "list")["reasons"]
    told = dead_letters(stack, "redrive", "--all", "--yes")["letters"]
    again = dead_letters(stack, "redrive", "--all", "--yes")["letters"]

    assert reasons == {"wrong_group": 1}
    assert [(row["group"], row["fate"]) for row in told] == [(WRONG, "goes back")]
    assert [row["fate"] for row in again] == ["in already"]
    found = stack.awaits(["BTCUSDT"], 25)
    assert len(found["BTCUSDT"]) == 1
    assert stack.replay_agrees()
    verdict = verify(stack.settings, None, Console(quiet=True))
    assert verdict.agrees, verdict.first
    assert verdict.not_predicted_yet == 0
