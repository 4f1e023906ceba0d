"""Audit the market's move in each candle, over all partitions: a move is of many symbols."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

import numpy as np

from services.cli.audit.market_entries import LoggedCandles, MoveEntries, Span
from services.cli.audit.report import MarketReport, Mismatch
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


class MarketAudit:
    """Holds the moves in the log against its candles."""

    def __init__(
        self, topics: Topics, step_ms: int, definitions: Sequence[BasketDefinition]
    ) -> None:
        """Take the topics, the interval and the baskets that moves refer to.

        Args:
            topics: of the deployment.
            step_ms: the interval.
            definitions: of baskets, those that the log has.
        """
        self._topics, self._step_ms = topics, step_ms
        self._definitions = {baskets_code(each.version): each for each in definitions}
        self._report = MarketReport()
        self._distances: list[tuple[Float64s, Float64s]] = []  # differences, moves

    def run(
        self,
        candles: LoggedCandles,
        partitions: Collection[int],
        report_progress: Callable[[int], None] = lambda _: None,
    ) -> MarketReport:
        """Audit the candles of some partitions; those of the others give the market's moves.

        Args:
            candles: of all partitions.
            partitions: those to audit.
            report_progress: takes the number of candles audited since the last call.
        """
        own = candles.sequences.own
        audited = [s for s in own if partition_for(s, self._topics.partitions) in partitions]
        for span in candles.spans(self._step_ms) if audited else ():
            entries = candles.entries(audited, span)
            self._count(entries)
            self._add(entries, list(self._faults(entries, own, span)))
            report_progress(len(entries.symbols))
        self._check_distance()
        return self._report

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
        self._distances.append((bounds.differences, bounds.moves))
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

    def _check_distance(self) -> None:
        """Check that the moves are, all in all, those of their moments."""
        differences, moves = (
            np.concatenate(parts) if parts else np.empty(0)
            for parts in ([each[0] for each in self._distances], [e[1] for e in self._distances])
        )
        distance = self._report.typical_distance = typical_distance(differences, moves)
        if distance is None or distance <= MOST_DISTANT:
            return
        message = "the market's moves are typically far from those of the closes of their moments"
        difference = Difference("typical_distance", distance, f"at most {MOST_DISTANT}")
        violation = Violation(Check.MARKET, message, (difference,))
        self._report.add(Mismatch(self._topics.klines, 0, 0, violation))


def _check_basket(medians: LoggedMedians, known: KnownChanges) -> Iterator[MedianFault]:
    yield from check_bounds(medians, known).faults
    yield from check_agreement(medians, known)
