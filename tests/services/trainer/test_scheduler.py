"""When a trainer trains: once there are candles, and early where forecasts fail."""

import signal
import threading
import time

import pytest

from services.trainer.metrics import TrainerMetrics
from services.trainer.scheduler import train_until_stopped
from shared.adapters.prometheus import Telemetry
from tests.services.trainer.drift_predictions import failing_predictions
from tests.services.trainer.trainer_deployment import TrainerDeployment
from tests.support.waiting import eventually

pytestmark = [pytest.mark.integration, pytest.mark.slow]


def sample(telemetry: Telemetry, name: str) -> float:
    value = telemetry.registry.get_sample_value(name)
    assert value is not None
    return value


def test_the_service_waits_for_candles_and_stops_at_a_signal(
    deployment: TrainerDeployment,
) -> None:
    deployment.write([deployment.candle("AAAUSDT", 0, 100.0)])
    process = deployment.start_trainer()
    eventually(lambda: "trying again" in deployment.trainer_log.read_text(), 60)

    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=20)

    assert process.returncode == 0
    assert out == ""


def test_predictions_that_fail_start_a_training_long_before_it_is_due(
    deployment: TrainerDeployment,
) -> None:
    deployment.fill()
    bundles, stop = deployment.registry.bundles, threading.Event()
    settings = deployment.trainer_settings(
        EPOCHS="1",
        WINDOWS_PER_EPOCH="200",
        DRIFT_CANDLES="40",
        DRIFT_PAUSE_HOURS="0",
        TRAIN_EVERY_HOURS="8000",
    )
    telemetry = Telemetry("trainer")
    metrics = TrainerMetrics(telemetry)
    service = threading.Thread(target=train_until_stopped, args=(settings, stop, metrics, 0.2))
    service.start()
    try:
        eventually(deployment.registry.promotions.current, 60)
        (first,) = bundles.versions()

        deployment.write(failing_predictions(deployment, first, 100))

        eventually(lambda: len(bundles.versions()) >= 2, 60)
        second = bundles.versions()[1]
        assert sample(telemetry, "ulstm_trainer_last_training_timestamp_seconds") > 0
        assert bundles.load(second).card.parent == first
    finally:
        stop.set()
        service.join(20)
    assert not service.is_alive()


def test_a_restart_does_not_train_again_and_keeps_the_schedule(
    deployment: TrainerDeployment,
) -> None:
    deployment.fill()
    trained = deployment.train(EPOCHS="1", WINDOWS_PER_EPOCH="200", START_CANDLES="0")
    published_s, stop, telemetry = time.time(), threading.Event(), Telemetry("trainer")
    metrics, once = TrainerMetrics(telemetry), deployment.trainer_settings(TRAIN_EVERY_HOURS="0")
    settings = deployment.trainer_settings(TRAIN_EVERY_HOURS="24", DRIFT_CANDLES="0")
    service = threading.Thread(target=train_until_stopped, args=(settings, stop, metrics))
    service.start()
    try:
        due_s = "ulstm_trainer_next_training_timestamp_seconds"
        eventually(lambda: sample(telemetry, due_s) > 0, 60)
        assert sample(telemetry, due_s) == pytest.approx(published_s + 24 * 3600, abs=30)
        assert sample(telemetry, "ulstm_trainer_last_training_timestamp_seconds") == pytest.approx(
            published_s, abs=30
        )
    finally:
        stop.set()
        service.join(20)
    train_until_stopped(once, threading.Event(), TrainerMetrics(Telemetry("trainer")))

    assert not service.is_alive()
    assert deployment.registry.bundles.versions() == [trained.version]
