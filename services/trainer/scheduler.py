"""Decides when to train: at the start, at an interval, and before that on drift."""

import logging
import threading
import time
from importlib import import_module
from typing import Final

from services.trainer.data.backfill import BackfillWatch
from services.trainer.data.preparation import NotEnoughCandles
from services.trainer.drift_monitor import DriftMonitor
from services.trainer.metrics import TrainerMetrics
from services.trainer.pipeline import Trainer
from services.trainer.settings import TrainerSettings
from shared.adapters.retry import StopRequested, retry_until_available
from shared.core.doubling_wait import DoublingWait

log = logging.getLogger(__name__)

_FIRST_RETRY_S, _LONGEST_RETRY_S = 1.0, 60.0  # until there may be enough candles
_LONGEST_BACKFILL_S: Final = 1800.0  # then the symbols that are complete must do
_DRIFT_CHECK_S: Final = 10.0


def train_until_stopped(
    settings: TrainerSettings,
    stop: threading.Event,
    metrics: TrainerMetrics,
    drift_check_s: float = _DRIFT_CHECK_S,
) -> None:
    """Train as soon as there are enough candles, then at an interval or on drift.

    Args:
        settings: of the trainer.
        stop: ends the training, and the wait for the next.
        metrics: shows what happens.
        drift_check_s: the time between two checks for drift.

    Raises:
        BadSetting: the folder for checkpoints cannot be written.
        Incompatible: the topics or this machine do not fit.
    """
    trainer = Trainer(settings, stop, metrics)
    monitor = DriftMonitor(settings) if settings.drift_candles else None
    try:
        retry_until_available(stop, trainer.prepare, metrics.report_waiting)
        metrics.report_ready()
        import_module("services.trainer.fitting.keras_backend")  # seconds, while candles come
        watch = BackfillWatch(settings)
        _train_when_possible(trainer, watch, metrics, stop)
        while settings.train_every_hours > 0:
            metrics.report_next(settings.train_every_hours * 3600)
            _wait_until_due(settings, monitor, stop, metrics, drift_check_s)
            _train_when_possible(trainer, watch, metrics, stop)
    except StopRequested as error:
        log.info("stopping: %s", error)


def _train_when_possible(
    trainer: Trainer, watch: BackfillWatch, metrics: TrainerMetrics, stop: threading.Event
) -> None:
    """Train once Kafka answers, the back-fill has ended and there are enough candles."""
    waits, began_s = DoublingWait(_FIRST_RETRY_S, _LONGEST_RETRY_S), time.monotonic()
    while True:
        try:
            if time.monotonic() - began_s < _LONGEST_BACKFILL_S:
                retry_until_available(stop, watch.check)
            retry_until_available(
                stop, trainer.train, lambda _: metrics.end_training("unavailable")
            )
        except NotEnoughCandles as error:
            metrics.end_training("not_enough_candles")
            wait_s = waits.next_s()
            log.info("%s; trying again in %.0f s", error, wait_s)
            stop.wait(wait_s)
        else:
            return


def _wait_until_due(
    settings: TrainerSettings,
    monitor: DriftMonitor | None,
    stop: threading.Event,
    metrics: TrainerMetrics,
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
        metrics.report_recent(monitor.skill)
        if reason is not None:
            log.info("training early: the champion has drifted, %s", reason)
            return
