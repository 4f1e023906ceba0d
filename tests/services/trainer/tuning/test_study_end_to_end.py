"""`ulstm search` is stopped and started again, on a real Kafka."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.services.trainer.trainer_deployment import TrainerDeployment
from tests.support.waiting import eventually

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(300)]


def search(deployment: TrainerDeployment, folder: Path, *arguments: str) -> "subprocess.Popen[str]":
    environ = {
        **deployment.environ,
        "MIN_CANDLES": "100",
        "EPOCHS": "1",
        "CHECKPOINTS": str(folder / "training"),
    }
    command = [
        sys.executable,
        "-m",
        "services.cli",
        "search",
        "--folder",
        str(folder),
        "--epochs",
        "1",
    ]
    return subprocess.Popen(
        [*command, "--windows", "40", *arguments],
        env={**os.environ, **environ},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def trials(folder: Path) -> list[dict[str, Any]]:
    file = folder / "search.json"
    return list(json.loads(file.read_text())["trials"]) if file.exists() else []


def test_a_stopped_search_resumes_and_its_best_settings_are_trained(
    deployment: TrainerDeployment, tmp_path: Path
) -> None:
    deployment.fill()
    process = search(deployment, tmp_path, "--trials", "1000")
    eventually(lambda: len(trials(tmp_path)) >= 2 or process.poll() is not None, 60)

    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=30)

    assert process.returncode == 0, err
    assert "the best, trial" in out
    kept = trials(tmp_path)

    process = search(deployment, tmp_path, "--trials", str(len(kept) + 1), "--train")
    out, err = process.communicate(timeout=100)

    assert process.returncode == 0, err
    assert trials(tmp_path)[:-1] == kept
    best = dict(line.split("=") for line in (tmp_path / "best.env").read_text().splitlines())
    card = deployment.registry.bundles.load(out.splitlines()[-1]).card
    assert card.architecture.window_length == int(best["WINDOW_LENGTH"])
    assert card.optimiser.rate == float(best["ONLINE_RATE"])
    assert card.training["batch_size"] == int(best["BATCH_SIZE"])


def test_a_search_of_an_empty_archive_fails_with_the_reason(
    deployment: TrainerDeployment, tmp_path: Path
) -> None:
    process = search(deployment, tmp_path, "--trials", "1")

    _, err = process.communicate(timeout=60)

    assert process.returncode == 1
    assert "has no candles yet" in err
