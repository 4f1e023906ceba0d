"""Audit the topics of a deployment, a partition per process."""

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Final

from rich.console import Console
from rich.progress import Progress, ProgressColumn, Task
from rich.text import Text

from services.cli.audit.checks import UNKNOWN_MODEL
from services.cli.audit.market import MarketAudit
from services.cli.audit.market_entries import CandleCollector
from services.cli.audit.partition import PartitionAudit
from services.cli.audit.partition_log import PartitionLog, decode_published
from services.cli.audit.report import AuditReport, MarketReport, PartitionReport
from services.cli.derivation import build_processor
from services.cli.topic_checks import check_partitions
from shared.adapters.env_settings import ServiceSettings
from shared.adapters.kafka.backwards_reader import await_settled
from shared.adapters.kafka.connection import KafkaConnection
from shared.adapters.kafka.reader import ConsumerRecord, Reader
from shared.adapters.retry import wait_until
from shared.adapters.worker_pool import report_progress, run_in_workers
from shared.core.errors import BadInput, BadSetting, Incompatible, Unknown
from shared.core.model.card import Bundle
from shared.core.topics import interval_ms
from shared.log.basket_store import BasketStore
from shared.log.bundle_store import BundleStore
from shared.log.dead_letters import decode_dead_letters

_VISIBLE_S: Final = 10.0  # a bundle shows a moment after the promotion committed with it
_TICK: Final = 100  # records between two updates of the progress bar


@dataclass(frozen=True, slots=True)
class _PartitionEnds:
    """How far the topics of a partition are read."""

    partition: int
    predictions: int
    klines: int


def verify(
    settings: ServiceSettings,
    partitions: Collection[int] | None,
    console: Console,
    processes: int = 1,
) -> AuditReport:
    """Audit all records that are committed by now. Nothing is written.

    Args:
        settings: of the deployment.
        partitions: the partitions to audit; None means all.
        console: shows the progress.
        processes: the number of partitions audited at a time, each in a process; 1 means here.

    Raises:
        BadSetting: there is no such partition.
        Incompatible: a topic is missing, is not this deployment's, or has lost its beginning.
        Unavailable: Kafka does not answer.
    """
    ends = _read_ends(settings, _check_wanted(settings, partitions))
    processes = min(processes, len(ends))
    columns = (*Progress.get_default_columns(), _Rate())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("verify", total=sum(one.klines for one in ends))
        if processes > 1:
            calls = [partial(_audit, settings, one, report_progress) for one in ends]
            reports = list(
                run_in_workers(processes, calls, lambda done: progress.update(task, completed=done))
            )
        else:
            advance = partial(progress.advance, task)
            reports = [_audit(settings, one, advance) for one in ends]
        task = progress.add_task("the market's moves", total=None)
        market = _audit_market(settings, ends, partial(progress.advance, task))
        return AuditReport(reports, market)


def _check_wanted(settings: ServiceSettings, partitions: Collection[int] | None) -> list[int]:
    last = settings.symbol_groups - 1
    wanted = sorted(set(range(last + 1) if partitions is None else partitions))
    for partition in wanted:
        if not 0 <= partition <= last:
            raise BadSetting(
                f"--partition is {partition}; this deployment has partitions 0 to {last}"
            )
    return wanted


def _read_ends(settings: ServiceSettings, partitions: Collection[int]) -> list[_PartitionEnds]:
    where, topics = settings.kafka, settings.topics
    with ExitStack() as stack:
        klines = stack.enter_context(Reader(where, topics.klines))
        predictions = stack.enter_context(Reader(where, topics.predictions))
        dead_letters = stack.enter_context(Reader(where, topics.dead_letters))
        _check_topic(where, topics.klines, klines, topics.partitions)
        _check_topic(where, topics.predictions, predictions, topics.partitions)
        _check_topic(where, topics.dead_letters, dead_letters, 1)
        # 1. Predictions first: the klines they were made from are then among those that are read.
        # 2. Dead letters last, once every open transaction is settled: those that were committed
        #    together with these predictions can then be read.
        ends = [
            _PartitionEnds(one, predictions.ends(one)[1], klines.ends(one)[1]) for one in partitions
        ]
        await_settled(dead_letters, [0])
        return ends


def _check_topic(kafka: KafkaConnection, name: str, reader: Reader, wanted: int) -> None:
    check_partitions(kafka, name, reader, wanted)
    for partition in range(wanted):
        first = reader.ends(partition)[0]
        if first:
            raise Incompatible(
                f"{name}/{partition} begins at offset {first}: the records before it were deleted;"
                " restore them"
            )


def _audit(
    settings: ServiceSettings, ends: _PartitionEnds, on_records: Callable[[int], None]
) -> PartitionReport:
    where, topics, partition = settings.kafka, settings.topics, ends.partition
    bundles = BundleStore(where, topics)
    processor = build_processor(settings, lambda version: _load(bundles, version))
    with ExitStack() as stack:
        klines = stack.enter_context(Reader(where, topics.klines))
        predictions = stack.enter_context(Reader(where, topics.predictions))
        dead_letters = stack.enter_context(Reader(where, topics.dead_letters, headers=True))
        of_this_partition = (
            stored
            for stored in decode_dead_letters(dead_letters.read(0, 0))
            if (stored[1].topic, stored[1].partition) == (topics.klines, partition)
        )
        log = PartitionLog(
            _count(chain.from_iterable(klines.read(partition, 0, ends.klines)), on_records),
            decode_published(predictions.read(partition, 0, ends.predictions)),
            of_this_partition,
        )
        audit = PartitionAudit(
            topics, processor, lambda version: version in bundles.versions(), log, partition
        )
        return audit.run(lambda: klines.ends(partition)[1])


def _audit_market(
    settings: ServiceSettings, ends: Sequence[_PartitionEnds], on_records: Callable[[int], None]
) -> MarketReport:
    """Audit the market's moves in the klines that are audited; it takes those of all partitions."""
    where, topics = settings.kafka, settings.topics
    collector, until = CandleCollector(settings.codec), {one.partition: one.klines for one in ends}
    with Reader(where, topics.klines) as klines:
        for partition in range(topics.partitions):
            for block in klines.read(partition, 0, until.get(partition)):
                for record in block:
                    collector.add(record)
                on_records(len(block))
    definitions = BasketStore(where, topics).all()
    audit = MarketAudit(topics, interval_ms(settings.interval), definitions)
    return audit.run(collector.candles(), until)


def _count(
    records: Iterator[ConsumerRecord], on_records: Callable[[int], None]
) -> Iterator[ConsumerRecord]:
    """Pass records on; report every so many how many offsets came since the last report."""
    next_offset = reported = 0
    for record in records:
        yield record
        next_offset = record.offset + 1
        if next_offset >= reported + _TICK:
            on_records(next_offset - reported)
            reported = next_offset
    on_records(next_offset - reported)


def _load(bundles: BundleStore, version: str) -> Bundle:
    """Return a bundle; one that is not in the log is as unusable as a damaged one.

    Raises:
        BadInput: it is unusable.
    """
    wait_until(lambda: version in bundles.versions(), timeout_s=_VISIBLE_S, interval_s=0.2)
    try:
        return bundles.load(version)
    except Unknown as error:
        raise BadInput(UNKNOWN_MODEL, str(error)) from error


class _Rate(ProgressColumn):
    """Records per second."""

    def render(self, task: Task) -> Text:
        """Return the rate of the last seconds."""
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:,.0f} records/s")
