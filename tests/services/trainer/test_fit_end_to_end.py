"""From an archived topic to a promoted model version, on a real Kafka."""

import json
import logging
import signal
from functools import partial
from pathlib import Path

import pytest

from services.trainer.keras_files.transfer import export_version, import_with_card
from shared.core.model.architecture import Architecture
from tests.services.trainer.trainer_deployment import CANDLES, SYMBOLS, TrainerDeployment
from tests.support.builders import START_MS, STEP_MS
from tests.support.waiting import eventually

pytestmark = [
    pytest.mark.integration,
    pytest.mark.slow,
    # Keras' own saving, with NumPy 2
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]

HELD_OUT = int(CANDLES * 0.15)


def test_a_fit_publishes_and_promotes_a_version_that_exports_and_imports(
    deployment: TrainerDeployment, tmp_path: Path
) -> None:
    deployment.fill()
    settings = deployment.trainer_settings()
    bundles = deployment.registry.bundles

    code, out, err = deployment.run_trainer("fit", EPOCHS="1", WINDOWS_PER_EPOCH="200", SEED="3")

    assert code == 0, err
    version = out.splitlines()[-1]
    assert "challenger" in out
    current = deployment.registry.promotions.current()
    assert current is not None
    assert current.promotion.model_version == version
    card = bundles.load(version).card
    assert card.architecture == Architecture((8,), 16, 24)
    assert set(card.training["symbols"]) == set(SYMBOLS)
    assert card.trained_through_ms == START_MS + (CANDLES - HELD_OUT - 1) * STEP_MS
    forecasts = card.scores["forecasts"]
    assert set(forecasts) == {
        "challenger",
        "challenger, raw",
        "challenger, frozen",
        "online ridge",
        "online ridge, cold",
        "online ridge, own candles",
    }
    assert forecasts["challenger"]["skill"]["n"] == HELD_OUT - 1
    assert set(forecasts["challenger"]["symbols"]) == set(SYMBOLS)
    assert card.scores["decision"] == {"promote": True, "reason": "there is no champion yet"}

    export_version(settings, version, tmp_path / "m.keras")
    imported = bundles.load(import_with_card(settings, tmp_path / "m.keras", version))

    assert imported.card.parent == version
    assert imported.weights.tobytes() == bundles.load(version).weights.tobytes()
    assert deployment.registry.promotions.current() == current


def test_a_report_shows_the_champion_before_and_after_it_was_to_be_replaced(
    deployment: TrainerDeployment, tmp_path: Path
) -> None:
    deployment.fill()
    page = tmp_path / "report.html"
    short = {"EPOCHS": "1", "WINDOWS_PER_EPOCH": "100"}

    deployment.train(**short)
    deployment.train(**short, PROMOTE="never", REPORT=str(page))

    assert "published, not promoted: the policy is never" in page.read_text()
    assert "Before and after promotion" in page.read_text()


def test_without_enough_candles_nothing_is_released_and_the_reason_is_given(
    deployment: TrainerDeployment,
) -> None:
    code, _, err = deployment.run_trainer("fit")

    assert code == 1
    assert "has no candles yet" in err
    assert deployment.registry.bundles.versions() == []


def test_a_wrong_setting_is_refused_by_its_name(deployment: TrainerDeployment) -> None:
    code, _, err = deployment.run_trainer("fit", PROMOTE="maybe")

    assert code == 2
    assert "PROMOTE is 'maybe'" in err


def saved_epochs(folder: Path) -> int:
    """Return how many epochs the checkpoint of a training in this folder has."""
    files = list(folder.glob("*/progress.json"))
    return json.loads(files[0].read_text())["epochs"] if files else 0


def has_saved(folder: Path, epochs: int) -> bool:
    return saved_epochs(folder) >= epochs


def test_an_interrupted_training_resumes_and_gives_the_same_bits(
    deployment: TrainerDeployment, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    deployment.fill()
    folder = tmp_path / "checkpoints"
    long = {"EPOCHS": "30", "PATIENCE": "30", "WINDOWS_PER_EPOCH": "2000", "PROMOTE": "always"}
    long |= {"CHOOSE_BY": "online"}
    caplog.set_level(logging.INFO)

    for number, code in ((signal.SIGTERM, 1), (signal.SIGKILL, -signal.SIGKILL)):
        saved = saved_epochs(folder)
        process = deployment.start_trainer("fit", **long, CHECKPOINTS=str(folder))
        eventually(partial(has_saved, folder, saved + 2), 60)
        process.send_signal(number)
        process.communicate(timeout=50)
        assert process.returncode == code, deployment.trainer_log.read_text()
    assert deployment.registry.bundles.versions() == []
    deployment.write(
        [deployment.candle(s, at, 100.0) for at in range(CANDLES, CANDLES + 9) for s in SYMBOLS]
    )
    resumed = deployment.train(**long, CHECKPOINTS=str(folder))
    assert "the training resumes after epoch" in caplog.text
    assert list(folder.iterdir()) == []
    newest = str(START_MS + (CANDLES - 1) * STEP_MS)
    whole = deployment.train(**long, TRAIN_TO=newest)

    assert resumed.weights.tobytes() == whole.weights.tobytes()
    assert resumed.card.training == whole.card.training
    assert len(resumed.card.training["online_skills"]) == 30
