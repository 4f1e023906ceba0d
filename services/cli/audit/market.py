"""Audit the market's move in each candle, over all partitions: a move is of many symbols."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from services.cli.audit.market_entries import LoggedCandles, MoveEntries, Span
from services.cli.audit.mismatch import Mismatch
from services.cli.audit.report import MarketReport
from shared.core.arrays import Float64s
from shared.core.audit.market_bounds import KnownChanges, known_changes
from shared.core.audit.market_rules import (
    MOST_DISTANT,
    LoggedMedians,
    MedianFault,
    check_agreement,
    check_bounds,
    typical_distance,
)
from shared.core.audit.violation import Check, Difference, Violation
from shared.core.market import BasketDefinition
from shared.core.sequence import baskets_code
from shared.core.topics import Topics, partition_for

_KEPT_DISTANCES: Final = 20_000  # of a span, evenly chosen: enough for a median


@dataclass(frozen=True, slots=True, eq=False)
class SpanAudit:
    """The result for a span of time, and how far its moves are from those of the closes."""

    report: MarketReport
    differences: Float64s  # (n,)
    moves: Float64s  # (n,)


class MarketSpanAudit:
    """Holds the moves of a span of time against its candles."""

    def __init__(
        self,
        topics: Topics,
        definitions: Sequence[BasketDefinition],
        candles: LoggedCandles,
        span: Span,
    ) -> None:
        """Take the candles, and the baskets that moves refer to.

        Args:
            topics: of the deployment.
            definitions: of baskets, those that the log has.
            candles: of all partitions, in the span and in the interval before it.
            span: the moments to audit.
        """
        self._topics, self._candles, self._span = topics, candles, span
        self._definitions = {baskets_code(each.version): each for each in definitions}
        self._report = MarketReport()
        self._distances = np.empty(0), np.empty(0)

    def run(self, partitions: Collection[int]) -> SpanAudit:
        """Audit the candles of some partitions; those of the others give the market's moves."""
        own = self._candles.sequences.own
        audited = [s for s in own if partition_for(s, self._topics.partitions) in partitions]
        if audited:
            entries = self._candles.entries(audited, self._span)
            self._count(entries)
            self._add(entries, list(self._faults(entries, own, self._span)))
        return SpanAudit(self._report, *self._distances)

    def _count(self, entries: MoveEntries) -> None:
        report, codes = self._report, entries.versions
        report.candles += len(entries.symbols)
        report.missing += int(np.isnan(entries.columns[:, 0]).sum())
        found, counts = np.unique(codes[~np.isnan(codes)], return_counts=True)
        for code, count in zip(found.tolist(), counts.tolist(), strict=True):
            report.baskets[f"{int(code):08x}"] += count
            if code not in self._definitions:
                report.undefined_baskets.add(f"{int(code):08x}")

    def _faults(
        self, entries: MoveEntries, own: Mapping[str, Float64s], span: Span
    ) -> Iterator[tuple[str, MedianFault]]:
        """Yield the entries that break a rule, with the name of their field."""
        known, medians = known_changes(own, list(own), *span), entries.market_medians()
        bounds = check_bounds(medians, known)
        self._report.compared += int(bounds.is_compared.sum())
        every = max(1, len(bounds.moves) // _KEPT_DISTANCES)
        self._distances = bounds.differences[::every].copy(), bounds.moves[::every].copy()
        for fault in (*bounds.faults, *check_agreement(medians, known)):
            yield "change", fault
        for code, definition in self._definitions.items():
            for number, members in enumerate(definition.baskets):
                medians = entries.basket_medians(code, number, len(members))
                if len(medians.rows):
                    known = known_changes(own, members, *span)
                    for fault in _check_basket(medians, known):
                        yield f"basket_changes.{number}", fault

    def _add(self, entries: MoveEntries, faults: Sequence[tuple[str, MedianFault]]) -> None:
        """Report each candle that has faults once."""
        by_row: dict[int, list[tuple[str, MedianFault]]] = {}
        for name, fault in faults:
            by_row.setdefault(fault.row, []).append((name, fault))
        for row, found in sorted(by_row.items()):
            symbol = entries.symbols[row]
            message = f"the market's move in the candle of {symbol} {found[0][1].rule}"
            differences = tuple(
                Difference(name, fault.found, f"{fault.lower:.9f} to {fault.upper:.9f}")
                for name, fault in found
            )
            violation = Violation(Check.MARKET, message, differences)
            place = partition_for(symbol, self._topics.partitions), int(entries.offsets[row])
            self._report.add(Mismatch(self._topics.klines, *place, violation))


def merge_spans(topic: str, spans: Iterable[SpanAudit]) -> MarketReport:
    """Return the result for all spans; check that moves are, all in all, those of their moments.

    Args:
        topic: of the klines.
        spans: the results in the order of time.
    """
    report, differences, moves = MarketReport(), [np.empty(0)], [np.empty(0)]
    for span in spans:
        report.merge(span.report)
        differences.append(span.differences)
        moves.append(span.moves)
    distance = typical_distance(np.concatenate(differences), np.concatenate(moves))
    report.typical_distance = distance
    if distance is not None and distance > MOST_DISTANT:
        message = "the market's moves are typically far from those of the closes of their moments"
        difference = Difference("typical_distance", distance, f"at most {MOST_DISTANT}")
        violation = Violation(Check.MARKET, message, (difference,))
        report.add(Mismatch(topic, 0, 0, violation))
    return report


def _check_basket(medians: LoggedMedians, known: KnownChanges) -> Iterator[MedianFault]:
    yield from check_bounds(medians, known).faults
    yield from check_agreement(medians, known)
