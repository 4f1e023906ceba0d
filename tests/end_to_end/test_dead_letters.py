import json
from typing import Any

import pytest
from rich.console import Console

from services.cli.audit.verify import verify
from shared.core.topics import partition_for
from tests.support.builders import interleaved_candles
from tests.support.deployment import PARTITIONS, Deployment
from tests.support.waiting import eventually

pytestmark = [pytest.mark.integration, pytest.mark.end_to_end]

SYMBOLS = ["BTCUSDT", "ETHUSDT"]
PARTITION = partition_for("BTCUSDT", PARTITIONS)
WRONG = (PARTITION + 1) % PARTITIONS


def dead_letters(deployment: Deployment, *arguments: str) -> Any:
    done = deployment.ulstm("dead-letters", *arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_rejected_candle_is_redriven_once_and_predicted_from(
    deployment: Deployment,
) -> None:
    *past, lost = interleaved_candles(["BTCUSDT"], 0, 26)
    deployment.publish([*past, *interleaved_candles(["ETHUSDT"], 0, 25)])
    deployment.release()
    deployment.start_predictor()
    deployment.publish([lost], partition=WRONG)
    eventually(deployment.dead_letters)

    reasons = dead_letters(deployment, "list")["reasons"]
    first = dead_letters(deployment, "redrive", "--all", "--yes")["dead_letters"]
    again = dead_letters(deployment, "redrive", "--all", "--yes")["dead_letters"]

    assert reasons == {"wrong_group": 1}
    assert [(row["partition"], row["status"]) for row in first] == [(WRONG, "ready")]
    assert [row["status"] for row in again] == ["in log"]
    found = deployment.await_predictions(["BTCUSDT"], 25)
    assert len(found["BTCUSDT"]) == 1
    assert deployment.replay_agrees()
    report = verify(deployment.settings, Console(quiet=True))
    assert report.agrees, report.first
    assert report.not_predicted_yet == 0
