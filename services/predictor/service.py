"""What a predictor replica does, in order."""

import logging
import threading
import uuid
from functools import partial

from services.predictor.settings import PredictorSettings
from services.predictor.worker import Worker
from shared.adapters.kafka.admin import ensure_topics, topic_id
from shared.adapters.kafka.consumer_group import ConsumerGroupMember
from shared.adapters.kafka.errors import Fenced
from shared.adapters.kafka.producer import TransactionalProducer
from shared.adapters.kafka.reader import Reader
from shared.adapters.prometheus import Telemetry
from shared.adapters.redis_state_store import RedisStateStore
from shared.adapters.retry import StopRequested, retry_until_available
from shared.core.errors import Incompatible, Unavailable
from shared.core.model.numeric_profile import self_test
from shared.core.online.context import FoldContext
from shared.core.topics import interval_ms
from shared.log.model_cache import ModelCache
from shared.log.model_registry import ModelRegistry
from shared.log.record_processor import RecordProcessor

log = logging.getLogger("ulstm")


def run(settings: PredictorSettings, stop: threading.Event) -> None:
    """Predict until stop is set.

    Raises:
        BadSetting: a setting is wrong.
        Incompatible: the log, or this machine, does not fit.
    """
    context = FoldContext(settings.interval, interval_ms(settings.interval), self_test())
    telemetry = Telemetry("predictor")
    stop_serving = telemetry.serve(settings.metrics_host, settings.metrics_port)
    try:
        _predict(settings, context, telemetry, stop)
    except StopRequested as request:
        log.info("stopped before the start was complete: %s", request)
    except Fenced as error:
        raise Incompatible(str(error)) from error
    finally:
        stop_serving()


def _look_at(states: RedisStateStore) -> None:
    """Without Redis a replica starts all the same: the log has everything.

    Raises:
        Incompatible: Redis may evict states.
    """
    try:
        states.check()
    except Unavailable as error:
        log.warning("%s; starting without it, from the log", error)


def _predict(
    settings: PredictorSettings,
    context: FoldContext,
    telemetry: Telemetry,
    stop: threading.Event,
) -> None:
    where, topics = settings.kafka_bootstrap_servers, settings.topics
    states = RedisStateStore(settings.redis_url, f"{settings.topic_prefix}{settings.interval}")
    tell = partial(setattr, telemetry, "not_ready")
    retry_until_available(stop, lambda: ensure_topics(where, topics), tell)
    log_id = retry_until_available(stop, lambda: topic_id(where, topics.klines), tell)
    _look_at(states)
    # One id per process life: replicas never share it, and a new life needs no old one's.
    writer = retry_until_available(
        stop,
        lambda: TransactionalProducer(where, f"ulstm-predictor-{uuid.uuid4()}", exclusive_id=True),
    )
    states.use_topic_id(log_id)
    member = ConsumerGroupMember(
        where,
        f"{settings.topic_prefix}{settings.consumer_group}-{settings.interval}",
        topics.klines,
        settings.session_timeout_ms,
    )
    registry = ModelRegistry(where, topics)
    with (
        Reader(where, topics.klines) as klines,
        Reader(where, topics.predictions) as predictions,
        Reader(where, topics.dead_letters, headers=True) as dead_letters,
    ):
        loop = Worker(
            topics,
            RecordProcessor(
                topics.klines, settings.codec, context, ModelCache(registry.bundles.load)
            ),
            member,
            writer,
            klines,
            predictions,
            dead_letters,
            states,
            telemetry,
            settings.batch_records,
        )
        member.subscribe(loop.on_assigned, loop.on_revoked)
        try:
            while not stop.is_set():
                loop.run_once()
        finally:
            member.close()
            writer.close()
            states.close()
    log.info("stopped")
