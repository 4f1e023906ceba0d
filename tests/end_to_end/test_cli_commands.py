import json
import os
import subprocess
import sys
from itertools import islice
from pathlib import Path

import pytest

from tests.shared.adapters.contract.topic_check import describe_faults
from tests.support.builders import STEP_MS, interleaved_candles
from tests.support.deployment import Deployment

pytestmark = [pytest.mark.integration, pytest.mark.end_to_end]

SYMBOLS = ["BTCUSDT", "ETHUSDT"]
EXAMPLE = Path(__file__).parents[2] / "examples" / "read_predictions.py"


@pytest.fixture(autouse=True)
def published_predictions(deployment: Deployment) -> None:
    deployment.publish(interleaved_candles(SYMBOLS, 0, 20))
    deployment.release()
    replica = deployment.start_predictor()
    deployment.publish(interleaved_candles(SYMBOLS, 20, 30))
    deployment.await_predictions(SYMBOLS, 29)
    replica.kill()


def test_the_commands_show_replay_and_backtest_what_was_published(deployment: Deployment) -> None:
    """One deployment for all commands: setting one up takes longer than they do."""
    assert describe_faults(deployment) == []
    last = deployment.predictions()["BTCUSDT"][-1]

    shown = deployment.ulstm("predict", "btcusdt")
    assert shown.returncode == 0, shown.stderr
    assert last.model_version in shown.stdout
    assert f"{last.predicted_change:+.4%}" in shown.stdout
    assert f"{last.steps} steps" in shown.stdout

    as_json = json.loads(deployment.ulstm("predict", "BTCUSDT", "--json").stdout)
    assert as_json["predicted_close"] == last.predicted_close

    missing = deployment.ulstm("predict", "NONEUSDT")
    assert missing.returncode == 1
    assert "NONEUSDT" in missing.stderr

    watched = deployment.ulstm("watch", "--for", "2")
    assert watched.returncode == 0, watched.stderr
    assert "ETHUSDT" in watched.stdout

    out = deployment.folder / "replayed.jsonl"
    replayed = deployment.ulstm("replay", "--json", "--out", str(out))
    assert replayed.returncode == 0, replayed.stderr
    assert sum(row["predictions"] for row in json.loads(replayed.stdout)) == 2 * 10
    published = sorted(
        record.value or b"" for record in deployment.read(deployment.topics.predictions)
    )
    assert sorted(out.read_bytes().splitlines()) == published

    backtest = ["backtest", "--model", last.model_version, "--json"]
    start = str(last.open_time_ms - 6 * STEP_MS)
    page = deployment.folder / "tested.html"
    files = [
        "--out",
        str(deployment.folder / "tested.jsonl"),
        "--report",
        str(page),
        "--against",
        last.model_version,
    ]
    tested = deployment.ulstm(*backtest, "--from", start, *files)
    assert tested.returncode == 0, tested.stderr
    assert "WARNING" in tested.stderr  # the span lies before the end of its training
    assert {row["n"] for row in json.loads(tested.stdout)["symbols"].values()} == {5}
    assert f"Backtest of model version {last.model_version}" in page.read_text()
    assert "After costs" in page.read_text()

    theirs = deployment.folder / "theirs.csv"
    theirs.write_text(
        f"symbol,open_time_ms,change\n{last.symbol},{last.open_time_ms - STEP_MS},0.001\n"
    )
    beside = deployment.ulstm(*backtest, "--from", start, "--forecasts", str(theirs))
    assert beside.returncode == 0, beside.stderr
    assert json.loads(beside.stdout)["forecasts"]["missing"] == 2 * 5 - 1

    assert deployment.ulstm("backtest", "--model", "none").returncode == 1
    assert deployment.ulstm("backtest", *backtest[1:], "--from", "yesterday").returncode == 2
    assert deployment.ulstm("backtest", *backtest[1:], "--report", "page.txt").returncode == 2


def test_the_example_reads_every_prediction(deployment: Deployment) -> None:
    program = EXAMPLE.read_text().replace("predictions.5m", deployment.topics.predictions)
    published = {
        (
            *(prediction.symbol, str(prediction.open_time_ms), str(prediction.calibrated_close)),
            *(str(prediction.intervals[2].lower_close), "to"),
            str(prediction.intervals[2].upper_close),
        )
        for predictions in deployment.predictions().values()
        for prediction in predictions
    }

    with subprocess.Popen(
        [sys.executable, "-u", "-c", program],
        env={**os.environ, **deployment.environ},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        read = {tuple(line.split()) for line in islice(process.stdout, len(published))}
        process.kill()

    assert read == published
