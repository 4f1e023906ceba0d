"""Decides when to train: once there are candles, at an interval, and before that on drift."""

import logging
import threading
import time
from importlib import import_module
from typing import Final

from services.trainer.data.backfill import BackfillWatch
from services.trainer.data.preparation import NotEnoughCandles
from services.trainer.drift_monitor import DriftMonitor
from services.trainer.last_training import last_training_ms
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

    The time since the last training is the log's: a restart does not train again. With an interval
    of 0, a log that has a trained model needs no other.

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
        watch = BackfillWatch(settings)
        trained_s = _last_training_s(settings, metrics, stop)
        if trained_s is None:
            import_module("services.trainer.fitting.keras_backend")  # seconds, while candles come
            _train_when_possible(trainer, watch, metrics, stop)
            trained_s = time.monotonic()
        while settings.train_every_hours > 0:
            _wait_until_due(settings, monitor, stop, metrics, trained_s, drift_check_s)
            _train_when_possible(trainer, watch, metrics, stop)
            trained_s = time.monotonic()
    except StopRequested as error:
        log.info("stopping: %s", error)


def _last_training_s(
    settings: TrainerSettings, metrics: TrainerMetrics, stop: threading.Event
) -> float | None:
    """Return the time of the last training on the monotonic clock; None if there was none."""
    published_ms = retry_until_available(stop, lambda: last_training_ms(settings))
    if published_ms is None:
        return None
    metrics.report_last(published_ms / 1000)
    age_s = max(time.time() - published_ms / 1000, 0.0)
    log.info(
        "the newest model was trained %.1f h ago; the next training is due after %g h",
        age_s / 3600,
        settings.train_every_hours,
    )
    return time.monotonic() - age_s


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
    trained_s: float,
    drift_check_s: float,
) -> None:
    """Wait for the end of the interval, for drift after the pause, or for the stop signal.

    Args:
        settings: of the trainer.
        monitor: checks for drift; None: nobody does.
        stop: the stop signal.
        metrics: shows when the next training is due.
        trained_s: when the last one was, on the monotonic clock.
        drift_check_s: the time between two checks for drift.
    """
    due_s = trained_s + settings.train_every_hours * 3600
    pause_until_s = trained_s + settings.drift_pause_hours * 3600
    metrics.report_next(max(due_s - time.monotonic(), 0.0))
    while not stop.is_set() and (now_s := time.monotonic()) < due_s:
        stop.wait(min(drift_check_s, due_s - now_s))
        if monitor is None or now_s < pause_until_s or stop.is_set():
            continue
        reason = monitor.check()
        metrics.report_recent(monitor.skill)
        if reason is not None:
            log.info("training early: the champion has drifted, %s", reason)
            return
