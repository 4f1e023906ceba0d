"""Options of an audit: partitions, start, profiles, sample."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final
from zlib import crc32

_SAMPLED: Final = 16  # one symbol of so many is folded again by a quick audit


@dataclass(frozen=True, slots=True)
class AuditOptions:
    """Partitions, start and depth of an audit.

    Attributes:
        partitions: the partitions to audit; None means all.
        processes: the number of partitions audited at a time, each in a process; 1 means here.
        from_ms: audit what the promotion in force at this time predicted, and all since; None
            means from the first record on.
        accepted_profiles: numeric profiles of other versions whose predictions need not be derived
            again, because those versions have done so.
        sample: which symbols are folded again; None means all.
    """

    partitions: Collection[int] | None = None
    processes: int = 1
    from_ms: int | None = None
    accepted_profiles: frozenset[str] = frozenset()
    sample: "SymbolSample | None" = None


@dataclass(frozen=True, slots=True)
class SymbolSample:
    """One symbol of sixteen, chosen by a number that nobody knows before."""

    seed: int

    def includes(self, symbol: str) -> bool:
        """Return whether a symbol is in the sample."""
        return crc32(f"{self.seed}:{symbol}".encode()) % _SAMPLED == 0
