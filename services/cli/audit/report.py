"""Collect the counts and the mismatches of an audit."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from services.cli.audit.mismatch import Mismatch
from shared.core.audit.violation import Check
from shared.log.published_predictions import UnreadableRecords

_KEPT: Final = 20  # mismatches of a partition that are kept; all are counted


@dataclass(slots=True)
class PartitionReport:
    """The result for one partition."""

    partition: int
    checked_from: int = 0  # offset of the promotion that the audit begins at
    committed: int | None = None  # offset up to which the predictors are done; None: unknown
    records: int = 0
    rejected: int = 0  # by every reader: repeated candles, bytes that are no record
    predictions: int = 0
    not_predicted_yet: int = 0  # candles after the last prediction
    # Predictions by numeric profile whose bytes only another version can derive.
    other_profiles: Counter[str] = field(default_factory=Counter)
    other_promotions: Counter[str] = field(default_factory=Counter)  # by numeric profile
    # Predictions by symbol that follow from candles before those that were read.
    unknown_symbols: Counter[str] = field(default_factory=Counter)
    unreadable: UnreadableRecords = field(default_factory=UnreadableRecords)  # no predictions
    sha256: str = ""  # over keys and values as published
    derived_sha256: str = ""  # as derived; those of other profiles as published
    checked: Counter[Check] = field(default_factory=Counter)
    mismatched: Counter[Check] = field(default_factory=Counter)
    first: list[Mismatch] = field(default_factory=list)

    @property
    def agrees(self) -> bool:
        """Whether everything holds."""
        return not self.mismatched and self.sha256 == self.derived_sha256

    def add(self, mismatch: Mismatch) -> None:
        """Count a mismatch; keep it if it is among the first."""
        self.mismatched[mismatch.violation.check] += 1
        if len(self.first) < _KEPT:
            self.first.append(mismatch)

    def to_json(self) -> dict[str, Any]:
        """Return the values for a program."""
        return {
            "partition": self.partition,
            "checked_from": self.checked_from,
            "committed": self.committed,
            "agrees": self.agrees,
            "mismatches": self.mismatched.total(),
            "records": self.records,
            "rejected": self.rejected,
            "predictions": self.predictions,
            "not_predicted_yet": self.not_predicted_yet,
            "not_derived_again": dict(self.other_profiles),
            "promotions_of_other_profiles": dict(self.other_promotions),
            "unknown_symbols": dict(self.unknown_symbols),
            "unreadable": self.unreadable.count,
            "sha256": self.sha256,
            "derived_sha256": self.derived_sha256,
        }


@dataclass(slots=True)
class MarketReport:
    """The result for the market's moves in the candles."""

    candles: int = 0
    missing: int = 0  # candles without a move
    compared: int = 0  # moves of enough symbols whose candles are in the log
    baskets: Counter[str] = field(default_factory=Counter)  # candles by version of their baskets
    undefined_baskets: set[str] = field(default_factory=set)  # versions that the log lacks
    typical_distance: float | None = None  # from the closes' moves; a share of the typical move
    mismatches: int = 0
    first: list[Mismatch] = field(default_factory=list)

    def add(self, mismatch: Mismatch) -> None:
        """Count a mismatch; keep it if it is among the first."""
        self.mismatches += 1
        if len(self.first) < _KEPT:
            self.first.append(mismatch)

    def merge(self, later: "MarketReport") -> None:
        """Add the counts and the mismatches of a later span."""
        self.candles += later.candles
        self.missing += later.missing
        self.compared += later.compared
        self.baskets += later.baskets
        self.undefined_baskets |= later.undefined_baskets
        self.mismatches += later.mismatches
        self.first = [*self.first, *later.first][:_KEPT]

    def to_json(self) -> dict[str, Any]:
        """Return the values for a program."""
        return {
            "candles": self.candles,
            "missing": self.missing,
            "compared": self.compared,
            "baskets": dict(self.baskets),
            "undefined_baskets": sorted(self.undefined_baskets),
            "typical_distance": self.typical_distance,
        }


@dataclass(frozen=True, slots=True)
class AuditReport:
    """The result for a deployment's topics."""

    partitions: list[PartitionReport]
    market: MarketReport = field(default_factory=MarketReport)
    accepted_profiles: frozenset[str] = frozenset()  # that need not be derived again here

    @property
    def agrees(self) -> bool:
        """Whether everything holds, and everything was derived again."""
        has_mismatch = not all(part.agrees for part in self.partitions) or self.market.mismatches
        return not has_mismatch and not self.unproved_profiles

    @property
    def mismatches(self) -> int:
        """The number of mismatches; a wrong record may count in its symbol's next one too."""
        of_partitions = sum(partition.mismatched.total() for partition in self.partitions)
        return of_partitions + self.market.mismatches

    @property
    def first(self) -> list[Mismatch]:
        """The first mismatches of each partition, in the partitions' order, then the market's."""
        of_partitions = (mismatch for part in self.partitions for mismatch in part.first)
        return [*of_partitions, *self.market.first]

    @property
    def not_predicted_yet(self) -> int:
        """The number of candles after the last predictions."""
        return sum(partition.not_predicted_yet for partition in self.partitions)

    @property
    def other_profiles(self) -> Mapping[str, int]:
        """The number of predictions that were not derived again, by numeric profile."""
        return sum((partition.other_profiles for partition in self.partitions), Counter[str]())

    @property
    def unproved_profiles(self) -> list[str]:
        """The numeric profiles of other versions that nobody has vouched for."""
        promoted = (name for part in self.partitions for name in part.other_promotions)
        return sorted({*self.other_profiles, *promoted} - self.accepted_profiles)

    @property
    def unknown_symbols(self) -> Mapping[str, int]:
        """The number of predictions by symbol that follow from candles that were not read."""
        return sum((partition.unknown_symbols for partition in self.partitions), Counter[str]())

    def counts(self) -> dict[Check, tuple[int, int]]:
        """Return for each check how many records it was made on and how many fail it."""
        counts = {
            check: (
                sum(partition.checked[check] for partition in self.partitions),
                sum(partition.mismatched[check] for partition in self.partitions),
            )
            for check in Check
        }
        return counts | {Check.MARKET: (self.market.compared, self.market.mismatches)}

    def to_json(self) -> dict[str, Any]:
        """Return the values for a program."""
        return {
            "agrees": self.agrees,
            "mismatches": self.mismatches,
            "first_mismatches": [mismatch.to_json() for mismatch in self.first],
            "not_predicted_yet": self.not_predicted_yet,
            "not_derived_again": dict(self.other_profiles),
            "unproved_profiles": self.unproved_profiles,
            "unknown_symbols": dict(self.unknown_symbols),
            "checks": {
                check.name.lower(): {"checked": checked, "mismatches": mismatches}
                for check, (checked, mismatches) in self.counts().items()
            },
            "market": self.market.to_json(),
            "partitions": [partition.to_json() for partition in self.partitions],
        }
