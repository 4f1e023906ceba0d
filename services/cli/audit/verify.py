"""Audit the topics of a deployment, a partition per process, then the market, a span per process.

Memory is bounded by the number of symbols, not by the length of the log: a partition is read in one
pass, and the market's moves a span of time after the other.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Final, TypeVar

from rich.console import Console
from rich.progress import Progress, ProgressColumn, Task
from rich.text import Text

from services.cli.audit.checks import UNKNOWN_MODEL
from services.cli.audit.market import MarketSpanAudit, SpanAudit, merge_spans
from services.cli.audit.market_entries import CandleCollector, Span, market_spans
from services.cli.audit.market_index import MarketIndex
from services.cli.audit.options import AuditOptions
from services.cli.audit.partition import PartitionAudit
from services.cli.audit.partition_log import PartitionLog
from services.cli.audit.report import AuditReport, MarketReport, PartitionReport
from services.cli.audit.span import PartitionSpan
from services.cli.audit.span_search import check_wanted, find_spans
from services.cli.derivation import build_processor
from shared.adapters.env_settings import PredictorGroupSettings
from shared.adapters.kafka.reader import ConsumerRecord, Reader
from shared.adapters.retry import wait_until
from shared.adapters.worker_pool import report_progress, run_in_workers
from shared.core.errors import BadInput, Unknown
from shared.core.model.card import Bundle
from shared.core.topics import interval_ms
from shared.log.basket_store import BasketStore
from shared.log.bundle_store import BundleStore
from shared.log.dead_letters import decode_dead_letters
from shared.log.skip_log import SkipLog

T = TypeVar("T")
OnRecords = Callable[[int], None]

_VISIBLE_S: Final = 10.0  # a bundle shows a moment after the promotion committed with it
_TICK: Final = 100  # records between two updates of the progress bar
_FEW: Final = 20_000  # records that are audited before the first worker process has started


@dataclass(frozen=True, slots=True)
class _PartitionResult:
    """The report of a partition, and where its candles lie for the market's audit."""

    partition: int
    report: PartitionReport | None  # None: it is not audited, only the market's moves need it
    index: MarketIndex


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
    columns = (*Progress.get_default_columns(), _Rate())
    with Progress(*columns, console=console) as progress:
        run = _Runner(progress, options.processes)
        audits = [partial(_audit, settings, one, options) for one in spans]
        indexes = [partial(_index, settings, one) for one in sorted(others)]
        size = sum(len(one.klines) for one in spans)
        results = list(run("verify", [*audits, *indexes], size, size))
        market = _audit_market(settings, results, spans, run)
    reports = [one.report for one in results if one.report is not None]
    return AuditReport(reports, market, options.accepted_profiles)


@dataclass(frozen=True, slots=True)
class _Runner:
    """Runs jobs in processes, or here where there is little to do, and shows their progress."""

    progress: Progress
    processes: int

    def __call__(
        self, name: str, jobs: Sequence[Callable[[OnRecords], T]], size: int, total: int | None
    ) -> Iterator[T]:
        """Yield the results of jobs, in order.

        Args:
            name: of the task, for the progress.
            jobs: take a function that counts records.
            size: about how many records there are.
            total: the number of records, for the progress; None: unknown.
        """
        task = self.progress.add_task(name, total=total)
        processes = min(self.processes, len(jobs))
        if processes < 2 or size < _FEW:
            advance = partial(self.progress.advance, task)
            yield from (job(advance) for job in jobs)
            return
        calls = [partial(job, report_progress) for job in jobs]
        yield from run_in_workers(
            processes, calls, lambda done: self.progress.update(task, completed=done)
        )


def _audit(
    settings: PredictorGroupSettings,
    span: PartitionSpan,
    options: AuditOptions,
    on_records: OnRecords,
) -> _PartitionResult:
    """Audit a partition."""
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
        published = _read(predictions, partition, span.predictions)
        skipped = SkipLog(kafka, topics).offsets(partition)
        log = PartitionLog(
            _count(_read(klines, partition, span.klines), span.klines.start, on_records),
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
    return _PartitionResult(partition, report, audit.market_index)


def _index(
    settings: PredictorGroupSettings, partition: int, on_records: OnRecords
) -> _PartitionResult:
    """Index the candles of a partition that is not audited."""
    index, codec = MarketIndex(), settings.codec
    with Reader(settings.kafka, settings.topics.klines) as klines:
        for block in klines.read(partition, 0):
            for record in block:
                try:
                    index.add(record.offset, codec.decode(record.value, partition))
                except BadInput:
                    continue
            on_records(0)
    return _PartitionResult(partition, None, index)


def _audit_market(
    settings: PredictorGroupSettings,
    results: Sequence[_PartitionResult],
    spans: Sequence[PartitionSpan],
    run: _Runner,
) -> MarketReport:
    """Audit the market's moves in the candles that are audited; it takes those of all others."""
    step_ms = interval_ms(settings.interval)
    indexes = {one.partition: one.index for one in results}
    symbols = sum(len(index.symbols) for index in indexes.values())
    audited = [one.index for one in results if one.report is not None]
    firsts = [index.first_ms for index in audited if index.first_ms is not None]
    lasts = [index.last_ms for index in audited if index.last_ms is not None]
    times_ms = range(min(firsts, default=0), max(lasts, default=-step_ms) + step_ms)
    ends = {one.partition: one.klines.stop for one in spans}
    jobs = [
        partial(_audit_market_span, settings, _Places.of(indexes, ends, span), span)
        for span in market_spans(times_ms, symbols, step_ms)
    ]
    size = sum(len(one.klines) for one in spans)
    return merge_spans(settings.topics.klines, run("the market's moves", jobs, size, None))


@dataclass(frozen=True, slots=True)
class _Places:
    """Where the candles of a span of time lie: ranges of offsets by partition."""

    ranges: Mapping[int, Sequence[range]]
    audited: frozenset[int]  # partitions

    @classmethod
    def of(
        cls, indexes: Mapping[int, MarketIndex], ends: Mapping[int, int], span: Span
    ) -> "_Places":
        """Return the places of a span's candles, and of those of the interval before it.

        Args:
            indexes: by partition.
            ends: of the partitions that are audited.
            span: the span.
        """
        times_ms = _times(span)
        ranges = {
            partition: [
                range(each.start, min(each.stop, ends.get(partition, each.stop)))
                for each in index.offsets(times_ms)
            ]
            for partition, index in indexes.items()
        }
        return cls(ranges, frozenset(ends))


def _audit_market_span(
    settings: PredictorGroupSettings, places: _Places, span: Span, on_records: OnRecords
) -> SpanAudit:
    """Audit the market's moves in a span of time."""
    collector = CandleCollector(settings.codec, _times(span))
    with Reader(settings.kafka, settings.topics.klines) as klines:
        for partition, ranges in places.ranges.items():
            for record in chain.from_iterable(_read(klines, partition, each) for each in ranges):
                collector.add(record)
            on_records(sum(map(len, ranges)))
    definitions = BasketStore(settings.kafka, settings.topics).all()
    audit = MarketSpanAudit(settings.topics, definitions, collector.candles(), span)
    return audit.run(places.audited)


def _times(span: Span) -> range:
    """Return the open times of a span and of the interval before it, which has the closes."""
    first_ms, moments, step_ms = span
    return range(first_ms - step_ms, first_ms + moments * step_ms)


def _read(reader: Reader, partition: int, offsets: range) -> Iterator[ConsumerRecord]:
    return chain.from_iterable(reader.read(partition, offsets.start, offsets.stop))


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


class _Rate(ProgressColumn):
    """Records per second."""

    def render(self, task: Task) -> Text:
        """Return the rate of the last seconds."""
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:,.0f} records/s")
