"""Run the predictor as a process: the parts list, and the only reader of the environment."""

import gc
import logging
import os
import sys
import threading
import time
import uuid
from contextlib import ExitStack
from functools import partial
from typing import Final

from services.predictor.checkpointer import StateCheckpointer
from services.predictor.metrics import PredictorMetrics
from services.predictor.partition_task import PartitionTask
from services.predictor.recovery.open_transaction import OpenTransactions
from services.predictor.recovery.partition_recovery import PartitionRecovery
from services.predictor.settings import PredictorSettings
from services.predictor.worker import Worker
from shared.adapters.kafka.admin import ensure_topics, topic_id
from shared.adapters.kafka.consumer_group import ConsumerGroupMember
from shared.adapters.kafka.contact import KafkaContact
from shared.adapters.kafka.group_times import read_group_times
from shared.adapters.kafka.producer import TransactionalProducer
from shared.adapters.kafka.reader import Reader
from shared.adapters.logs import start_logging
from shared.adapters.process import exit_code, stop_on_signal
from shared.adapters.prometheus import Telemetry
from shared.adapters.redis_state_store import RedisStateStore
from shared.adapters.retry import StopRequested, retry_until_available
from shared.core.errors import Unavailable
from shared.core.online.context import FoldContext
from shared.log.bundle_store import BundleStore
from shared.log.klines_reader import KlinesReader
from shared.log.model_cache import ModelCache
from shared.log.record_processor import RecordProcessor
from shared.log.skip_log import SkipLog

log = logging.getLogger(__name__)

# States hold no reference cycles: they are freed without the garbage collector, which by default
# goes through all of them in the middle of a close.
GARBAGE_OBJECTS: Final = 100_000
_WRITER: Final = "predictor-"


def main() -> None:
    """Read the settings and run until a signal requests a stop."""
    gc.freeze()  # what is imported stays
    gc.set_threshold(GARBAGE_OBJECTS)
    settings = PredictorSettings.from_env(os.environ)
    start_logging(settings.log_level, "predictor", settings.log_format)
    run(settings, stop_on_signal())


def run(settings: PredictorSettings, stop: threading.Event) -> None:
    """Predict until stop is set.

    Raises:
        BadSetting: a setting is wrong.
        Incompatible: the log, or this machine, does not fit.
    """
    # The self-test comes first: a machine that computes other bits must not touch anything.
    context = FoldContext.of_this_machine(settings.interval)
    telemetry = Telemetry("predictor")
    stop_serving = telemetry.serve(settings.metrics_host, settings.metrics_port)
    try:
        with ExitStack() as resources:
            contact = KafkaContact(settings.kafka, settings.topics.klines)
            telemetry.add_check(resources.enter_context(contact).problem)
            _build_worker(settings, context, telemetry, stop, resources).run_until_stopped(stop)
        log.info("stopped")
    except StopRequested as request:
        log.info("stopped before the start was complete: %s", request)
    finally:
        stop_serving()


def _build_worker(
    settings: PredictorSettings,
    context: FoldContext,
    telemetry: Telemetry,
    stop: threading.Event,
    resources: ExitStack,
) -> Worker:
    """Wait for the servers, then build the worker; the stack closes its parts."""
    kafka, topics = settings.kafka, settings.topics
    metrics = PredictorMetrics(telemetry, context.interval_ms, settings.symbol_groups)
    states = _open_states(settings, telemetry, metrics, stop)
    klines = resources.enter_context(KlinesReader(kafka, topics))
    predictions = resources.enter_context(Reader(kafka, topics.predictions))
    dead_letters = resources.enter_context(Reader(kafka, topics.dead_letters, headers=True))
    resources.callback(states.close)
    writer = _start_writer(settings, stop)
    resources.callback(writer.close)
    consumer_group = _open_consumer_group(settings)
    resources.callback(consumer_group.close)  # first of all: another replica can take over
    models = ModelCache(BundleStore(kafka, topics).load)
    processor = RecordProcessor(topics.klines, settings.codec, context, models)
    predecessors = OpenTransactions(
        predictions, topics.transactional_id(_WRITER), writer.abort_transaction_of
    )
    recovery = PartitionRecovery(
        processor,
        consumer_group,
        klines,
        predictions,
        dead_letters,
        states,
        predecessors,
        SkipLog(kafka, topics).offsets,
    )
    create_task = partial(PartitionTask, consumer_group, processor, recovery, time.monotonic)
    checkpointer = StateCheckpointer(states, context, metrics, time.monotonic)
    worker = Worker(
        topics,
        consumer_group,
        writer,
        create_task,
        checkpointer,
        metrics,
        settings.batch_records,
        time.monotonic,
    )
    consumer_group.subscribe(worker.on_assigned, worker.on_revoked)
    log.info("joining the consumer group of %s on %s", topics.klines, kafka)
    return worker


def _start_writer(settings: PredictorSettings, stop: threading.Event) -> TransactionalProducer:
    # A new id for each process: replicas never share one, and a restart needs no earlier one.
    topics = settings.topics
    transactional_id = topics.transactional_id(f"{_WRITER}{uuid.uuid4()}")
    start = partial(
        TransactionalProducer,
        settings.kafka,
        transactional_id,
        exclusive_id=True,
        signed_topic=topics.predictions,
    )
    return retry_until_available(stop, start)


def _open_consumer_group(settings: PredictorSettings) -> ConsumerGroupMember:
    kafka, name, group = settings.kafka, settings.predictor_group, settings.group
    times = read_group_times(kafka, name) if group.protocol == "consumer" else None
    advice = None if times is None else times.advice(name, group.session_timeout_ms)
    if advice is not None:
        log.warning("%s", advice)
    return ConsumerGroupMember(kafka, name, settings.topics.klines, group)


def _open_states(
    settings: PredictorSettings,
    telemetry: Telemetry,
    metrics: PredictorMetrics,
    stop: threading.Event,
) -> RedisStateStore:
    """Return the state store of this deployment's log, once Kafka has its topics.

    Raises:
        BadSetting: REDIS_URL is no address.
        NotAuthorized: Kafka or Redis refuses this user.
        Incompatible: the topics do not fit the settings, or Redis may evict states.
        StopRequested: a stop was requested before Kafka answered.
    """
    kafka, topics = settings.kafka, settings.topics
    states = RedisStateStore(
        settings.redis_url, f"{settings.topic_prefix}{settings.interval}", settings.redis_secret
    )
    report = partial(setattr, telemetry, "not_ready")
    retry_until_available(stop, lambda: ensure_topics(kafka, topics), report)
    log_id = retry_until_available(stop, lambda: topic_id(kafka, topics.klines), report)
    try:
        states.check()
    except Unavailable as error:
        # The log has everything, so a replica starts and predicts without Redis too.
        log.warning("%s; starting without it, from the log", error)
        metrics.report_redis_away()
    states.use_topic_id(log_id)
    return states


if __name__ == "__main__":
    sys.exit(exit_code(main))
