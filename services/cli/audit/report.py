"""Collect the counts and the mismatches of an audit."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from shared.core.audit.violation import ABSENT, Check, Violation

_SHOWN_BYTES: Final = 4096
_KEPT: Final = 20  # mismatches of a partition that are kept; all are counted


@dataclass(frozen=True, slots=True)
class Mismatch:
    """A violation, and the record that has it."""

    topic: str
    partition: int
    offset: int
    violation: Violation

    def to_json(self) -> dict[str, Any]:
        """Return the values for a program."""
        differences = self.violation.differences
        return {
            "topic": self.topic,
            "partition": self.partition,
            "offset": self.offset,
            "check": self.violation.check.name.lower(),
            "message": self.violation.message,
            "fields": {d.name: {"found": d.found, "expected": d.expected} for d in differences},
        }

    def __str__(self) -> str:
        """Return the text for a user, one line per field."""
        place = f"{self.topic}, partition {self.partition}, offset {self.offset}:"
        fields = (
            f"  {d.name}: found {_text(d.found)}, expected {_text(d.expected)}"
            for d in self.violation.differences
        )
        return "\n".join([place, self.violation.message, *fields])


@dataclass(slots=True)
class PartitionReport:
    """The result for one partition."""

    partition: int
    records: int = 0
    rejected: int = 0  # by every reader: repeated candles, bytes that are no record
    predictions: int = 0
    not_predicted_yet: int = 0  # candles after the last prediction
    # Predictions by numeric profile whose bytes only another version can derive.
    other_profiles: Counter[str] = field(default_factory=Counter)
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
            "agrees": self.agrees,
            "mismatches": self.mismatched.total(),
            "records": self.records,
            "rejected": self.rejected,
            "predictions": self.predictions,
            "not_predicted_yet": self.not_predicted_yet,
            "not_derived_again": dict(self.other_profiles),
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

    @property
    def agrees(self) -> bool:
        """Whether everything holds."""
        return all(part.agrees for part in self.partitions) and not self.market.mismatches

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
            "checks": {
                check.name.lower(): {"checked": checked, "mismatches": mismatches}
                for check, (checked, mismatches) in self.counts().items()
            },
            "market": self.market.to_json(),
            "partitions": [partition.to_json() for partition in self.partitions],
        }


def _text(value: object) -> str:
    return "null" if value is None else str(value)


def decode_text(data: bytes | None) -> str:
    """Decode the beginning of bytes as text; escape bytes that are not UTF-8."""
    return ABSENT if data is None else data[:_SHOWN_BYTES].decode("utf-8", "backslashreplace")
