"""Audit the market's moves in the klines, a span of time after the other."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Final

from services.cli.audit.job_runner import JobRunner, OnRecords
from services.cli.audit.market import MarketSpanAudit, SpanAudit, merge_spans
from services.cli.audit.market_entries import CandleCollector, Span, market_spans
from services.cli.audit.market_index import MarketIndex
from services.cli.audit.report import MarketReport, PartitionReport
from services.cli.audit.span import PartitionSpan
from shared.adapters.env_settings import PredictorGroupSettings
from shared.adapters.kafka.reader import ConsumerRecord, Reader
from shared.core.topics import interval_ms
from shared.log.basket_store import BasketStore

_FEW: Final = 200_000  # records up to which starting processes takes nearly as long as the work


@dataclass(frozen=True, slots=True)
class PartitionResult:
    """The report of a partition, and where its candles lie for the market's audit."""

    partition: int
    report: PartitionReport | None  # None: it is not audited, only the market's moves need it
    index: MarketIndex


def audit_market(
    settings: PredictorGroupSettings,
    results: Sequence[PartitionResult],
    spans: Sequence[PartitionSpan],
    run: JobRunner,
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
    is_long = sum(len(one.klines) for one in spans) > _FEW
    return merge_spans(settings.topics.klines, run("the market's moves", jobs, is_long, None))


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
            for record in chain.from_iterable(
                read_records(klines, partition, each) for each in ranges
            ):
                collector.add(record)
            on_records(sum(map(len, ranges)))
    definitions = BasketStore(settings.kafka, settings.topics).all()
    audit = MarketSpanAudit(settings.topics, definitions, collector.candles(), span)
    return audit.run(places.audited)


def _times(span: Span) -> range:
    """Return the open times of a span and of the interval before it, which has the closes."""
    first_ms, moments, step_ms = span
    return range(first_ms - step_ms, first_ms + moments * step_ms)


def read_records(reader: Reader, partition: int, offsets: range) -> Iterator[ConsumerRecord]:
    """Yield the records of a range of offsets."""
    return chain.from_iterable(reader.read(partition, offsets.start, offsets.stop))
