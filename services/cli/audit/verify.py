"""Audit the topics of a deployment, a partition per process, then the market, a span per process.

Memory is bounded by the number of symbols, not by the length of the log: a partition is read in one
pass, and the market's moves a span of time after the other.
"""

import gc
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from functools import partial
from typing import Final

from rich.console import Console
from rich.progress import Progress

from services.cli.audit.job_runner import JobRunner, OnRecords
from services.cli.audit.klines_check import UNKNOWN_MODEL
from services.cli.audit.market_index import MarketIndex
from services.cli.audit.market_jobs import PartitionResult, audit_market, read_records
from services.cli.audit.options import AuditOptions
from services.cli.audit.partition import PartitionAudit
from services.cli.audit.partition_log import PartitionLog
from services.cli.audit.report import AuditReport
from services.cli.audit.span import PartitionSpan
from services.cli.audit.span_search import check_wanted, find_spans
from services.cli.derivation import build_processor
from shared.adapters.env_settings import PredictorGroupSettings
from shared.adapters.kafka.reader import ConsumerRecord, Reader
from shared.adapters.retry import wait_until
from shared.core.errors import BadInput, Unknown
from shared.core.model.card import Bundle
from shared.log.bundle_store import BundleStore
from shared.log.dead_letters import decode_dead_letters
from shared.log.skip_log import SkipLog
from shared.reporting.progress import RateColumn

_VISIBLE_S: Final = 10.0  # a bundle shows a moment after the promotion committed with it
_TICK: Final = 100  # records between two updates of the progress bar
_FEW: Final = 20_000  # records that are audited before the first process has started
# Allocations between two searches for cycles, of which an audit makes none that matter.
_COLLECTED_AFTER: Final = 100_000


def verify(
    settings: PredictorGroupSettings, console: Console, options: AuditOptions | None = None
) -> AuditReport:
    """Audit all records that are committed by now. Nothing is written.

    Args:
        settings: of the deployment.
        console: shows the progress.
        options: what to audit; None means everything, in this process.

    Raises:
        BadSetting: there is no such partition.
        Incompatible: a topic is missing, is not this deployment's, or has lost its beginning or
            its end.
        Unavailable: Kafka does not answer.
    """
    options = options or AuditOptions()
    wanted = check_wanted(settings, options.partitions)
    others = set(range(settings.symbol_groups)) - set(wanted)
    spans = find_spans(settings, wanted, options.from_ms)
    columns = (*Progress.get_default_columns(), RateColumn())
    with Progress(*columns, console=console) as progress:
        run = JobRunner(progress, options.processes)
        audits = [partial(_audit, settings, one, options) for one in spans]
        indexes = [partial(_index, settings, one) for one in sorted(others)]
        size = sum(len(one.klines) for one in spans)
        results = list(run("verify", [*audits, *indexes], size > _FEW, size))
        market = audit_market(settings, results, spans, run)
    reports = [one.report for one in results if one.report is not None]
    return AuditReport(reports, market, options.accepted_profiles)


def _audit(
    settings: PredictorGroupSettings,
    span: PartitionSpan,
    options: AuditOptions,
    on_records: OnRecords,
) -> PartitionResult:
    """Audit a partition."""
    gc.set_threshold(_COLLECTED_AFTER)
    kafka, topics, partition = settings.kafka, settings.topics, span.partition
    bundles = BundleStore(kafka, topics)
    processor = build_processor(settings, lambda version: _load(bundles, version))
    with ExitStack() as stack:
        klines = stack.enter_context(Reader(kafka, topics.klines))
        predictions = stack.enter_context(Reader(kafka, topics.predictions))
        dead_letters = stack.enter_context(Reader(kafka, topics.dead_letters, headers=True))
        of_this_span = (
            stored
            for stored in decode_dead_letters(dead_letters.read(0, 0))
            if (stored[1].topic, stored[1].partition) == (topics.klines, partition)
            and not 0 <= stored[1].offset < span.checked_from
        )
        published = read_records(predictions, partition, span.predictions)
        skipped = SkipLog(kafka, topics).offsets(partition)
        log = PartitionLog(
            _count(read_records(klines, partition, span.klines), span.klines.start, on_records),
            (record for record in published if record.offset not in skipped),
            of_this_span,
        )
        audit = PartitionAudit(
            topics,
            processor,
            lambda version: version in bundles.versions(),
            log,
            span,
            options.sample,
        )
        report = audit.run(lambda: klines.ends(partition)[1])
    return PartitionResult(partition, report, audit.market_index)


def _index(
    settings: PredictorGroupSettings, partition: int, on_records: OnRecords
) -> PartitionResult:
    """Index the candles of a partition that is not audited."""
    index, codec = MarketIndex(), settings.codec
    with Reader(settings.kafka, settings.topics.klines) as klines:
        for block in klines.read(partition, 0):
            for record in block:
                index.add(record.offset, codec.try_decode(record.value, partition))
            on_records(0)
    return PartitionResult(partition, None, index)


def _count(
    records: Iterable[ConsumerRecord], start: int, on_records: OnRecords
) -> Iterator[ConsumerRecord]:
    """Pass records on; report every so many how many offsets came since the last report."""
    next_offset = reported = start
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
