"""What a predictor replica does, in order."""

import logging
import threading
import uuid
from functools import partial

from services.predictor.loop import Loop
from services.predictor.settings import PredictorSettings
from shared.adapters.folding import Folder
from shared.adapters.kafka.failures import Fenced
from shared.adapters.kafka.group import GroupMember
from shared.adapters.kafka.reader import Reader
from shared.adapters.kafka.topics import ensure_topics, topic_id
from shared.adapters.kafka.writer import TransactionalWriter
from shared.adapters.known_models import KnownModels
from shared.adapters.process import when_available
from shared.adapters.registry import Registry
from shared.adapters.states import RedisStates
from shared.adapters.telemetry import Telemetry
from shared.core.candle import interval_ms
from shared.core.errors import Incompatible, Unavailable
from shared.core.fold import Deployment
from shared.core.network import self_test

log = logging.getLogger("ulstm")


def run(settings: PredictorSettings, stop: threading.Event) -> None:
    """Predict until stop is set.

    Raises:
        BadSetting: a setting is wrong.
        Incompatible: the log, or this machine, does not fit.
    """
    deployment = Deployment(settings.interval, interval_ms(settings.interval), self_test())
    telemetry = Telemetry("predictor")
    stop_serving = telemetry.serve(settings.metrics_host, settings.metrics_port)
    try:
        _predict(settings, deployment, telemetry, stop)
    except Fenced as error:
        raise Incompatible(str(error)) from error
    finally:
        stop_serving()


def _look_at(states: RedisStates) -> None:
    """Without Redis a replica starts all the same: the log has everything.

    Raises:
        Incompatible: Redis may evict states.
    """
    try:
        states.check()
    except Unavailable as error:
        log.warning("%s; starting without it, from the log", error)


def _predict(settings: PredictorSettings, deployment: Deployment, telemetry: Telemetry, stop: threading.Event) -> None:
    where, topics = settings.kafka_bootstrap_servers, settings.topics
    states = RedisStates(settings.redis_url, f"{settings.topic_prefix}{settings.interval}")
    tell = partial(setattr, telemetry, "not_ready")
    when_available(stop, lambda: ensure_topics(where, topics), tell)
    log_id = when_available(stop, lambda: topic_id(where, topics.klines), tell)
    _look_at(states)
    # One id per process life: replicas never share it, and a new life needs no old one's.
    writer = when_available(stop, lambda: TransactionalWriter(where, f"ulstm-predictor-{uuid.uuid4()}", alone=True))
    if writer is None or log_id is None:
        return
    states.of_log(log_id)
    member = GroupMember(
        where,
        f"{settings.topic_prefix}{settings.consumer_group}-{settings.interval}",
        topics.klines,
        settings.session_timeout_ms,
    )
    registry = Registry(where, topics)
    with (
        Reader(where, topics.klines) as klines,
        Reader(where, topics.predictions) as predictions,
        Reader(where, topics.dead_letters, headers=True) as dead_letters,
    ):
        loop = Loop(
            topics,
            Folder(topics.klines, settings.codec, deployment, KnownModels(registry.load)),
            member,
            writer,
            klines,
            predictions,
            dead_letters,
            states,
            telemetry,
            settings.batch_records,
        )
        member.subscribe(loop.assigned, loop.lost)
        try:
            while not stop.is_set():
                loop.turn()
        finally:
            member.close()
            writer.close()
            states.close()
    log.info("stopped")
