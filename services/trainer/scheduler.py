"""Decides when to train: at the start, at an interval, and before that on drift."""

import logging
import threading
import time
from typing import Final

from services.trainer.data.preparation import NotEnoughCandles
from services.trainer.drift_monitor import DriftMonitor
from services.trainer.pipeline import Trainer
from services.trainer.settings import TrainerSettings
from shared.adapters.retry import StopRequested, retry_until_available

log = logging.getLogger(__name__)

_RETRY_S: Final = 60.0  # until there may be enough candles
_DRIFT_CHECK_S: Final = 10.0


def train_until_stopped(
    settings: TrainerSettings, stop: threading.Event, drift_check_s: float = _DRIFT_CHECK_S
) -> None:
    """Train as soon as there are enough candles, then at an interval or on drift.

    Args:
        settings: of the trainer.
        stop: ends the training, and the wait for the next.
        drift_check_s: the time between two checks for drift.

    Raises:
        BadSetting: the folder for checkpoints cannot be written.
        Incompatible: the topics or this machine do not fit.
    """
    trainer = Trainer(settings, stop)
    monitor = DriftMonitor(settings) if settings.drift_candles else None
    try:
        retry_until_available(stop, trainer.prepare)
        _train_when_possible(trainer, stop)
        while settings.train_every_hours > 0:
            _wait_until_due(settings, monitor, stop, drift_check_s)
            _train_when_possible(trainer, stop)
    except StopRequested as error:
        log.info("stopping: %s", error)


def _train_when_possible(trainer: Trainer, stop: threading.Event) -> None:
    """Train once Kafka answers and the archive has enough candles."""
    while True:
        try:
            retry_until_available(stop, trainer.train)
        except NotEnoughCandles as error:
            log.info("%s; trying again in %.0f s", error, _RETRY_S)
            stop.wait(_RETRY_S)
        else:
            return


def _wait_until_due(
    settings: TrainerSettings,
    monitor: DriftMonitor | None,
    stop: threading.Event,
    drift_check_s: float,
) -> None:
    """Wait for the end of the interval, for drift after the pause, or for the stop signal."""
    began_s = time.monotonic()
    due_s, pause_s = settings.train_every_hours * 3600, settings.drift_pause_hours * 3600
    while not stop.is_set() and (waited_s := time.monotonic() - began_s) < due_s:
        stop.wait(min(drift_check_s, due_s - waited_s))
        if monitor is None or waited_s < pause_s or stop.is_set():
            continue
        reason = monitor.check()
        if reason is not None:
            log.info("training early: the champion has drifted, %s", reason)
            return
