import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.builders import STEP_MS
from tests.support.deployment import Stack, rows

pytestmark = [pytest.mark.integration, pytest.mark.end_to_end]

SYMBOLS = ["BTCUSDT", "ETHUSDT"]


@pytest.fixture
def stack(
    kafka_bootstrap: str, redis_url: str, topic_prefix: str, tmp_path: Path
) -> Iterator[Stack]:
    with Stack(kafka_bootstrap, redis_url, topic_prefix, tmp_path) as stack:
        stack.publish(rows(SYMBOLS, 0, 20))
        stack.promote()
        replica = stack.predictor()
        stack.publish(rows(SYMBOLS, 20, 30))
        stack.awaits(SYMBOLS, 29)
        replica.kill()
        yield stack


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


def test_the_users_hands(stack: Stack) -> None:
    """One stack, several commands: starting a process for each takes long enough."""
    last = stack.predictions()["BTCUSDT"][-1]

    shown = ulstm(stack, "predict", "btcusdt")
    assert shown.returncode == 0, shown.stderr
    assert last.model_version in shown.stdout
    assert f"{last.predicted_change:+.4%}" in shown.stdout
    assert f"{last.steps} steps" in shown.stdout

    as_json = json.loads(ulstm(stack, "predict", "BTCUSDT", "--json").stdout)
    assert as_json["predicted_close"] == last.predicted_close

    missing = ulstm(stack, "predict", "NONEUSDT")
    assert missing.returncode == 1
    assert "NONEUSDT" in missing.stderr

    watched = ulstm(stack, "watch", "--for", "2")
    assert watched.returncode == 0, watched.stderr
    assert "ETHUSDT" in watched.stdout

    out = stack.folder / "replayed.jsonl"
    replayed = ulstm(stack, "replay", "--json", "--out", str(out))
    assert replayed.returncode == 0, replayed.stderr
    assert sum(row["predictions"] for row in json.loads(replayed.stdout)) == 2 * 10
    published = sorted(
        record.value or b"" for record in stack.read(stack.settings.topics.predictions)
    )
    assert sorted(out.read_bytes().splitlines()) == published

    backtest = ["backtest", "--model", last.model_version, "--json"]
    start = str(last.open_time_ms - 6 * STEP_MS)
    page = stack.folder / "tested.html"
    files = [
        "--out",
        str(stack.folder / "tested.jsonl"),
        "--report",
        str(page),
        "--against",
        last.model_version,
    ]
    tested = ulstm(stack, *backtest, "--from", start, *files)
    assert tested.returncode == 0, tested.stderr
    assert "WARNING" in tested.stderr  # the span lies before the end of its training
    assert {row["n"] for row in json.loads(tested.stdout).values()} == {5}
    assert f"Backtest of model version {last.model_version}" in page.read_text()

    assert ulstm(stack, "backtest", "--model", "none").returncode == 1
    assert ulstm(stack, "backtest", *backtest[1:], "--from", "yesterday").returncode == 2
    assert ulstm(stack, "backtest", *backtest[1:], "--report", "page.txt").returncode == 2
