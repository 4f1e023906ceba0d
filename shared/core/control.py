"""What the topic `control` says: who is followed, bans, copies, skipped records. PURE.

A user's wish and what the producer made of it are two things: a symbol that is wanted may not be
listed yet. Of each the newest record of a symbol holds.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

SymbolAction = Literal["follow", "unfollow", "joined", "left"]
_WISHES: Final = frozenset(("follow", "unfollow"))


@dataclass(frozen=True, slots=True)
class SymbolControl:
    """A user wants a symbol (follow) or not (unfollow); the producer began (joined) or ended it."""

    symbol: str
    action: SymbolAction
    time_ms: int
    reason: str = ""


@dataclass(frozen=True, slots=True)
class ExchangeBan:
    """The exchange takes no request of this address before a time."""

    exchange: str
    until_ms: int


@dataclass(frozen=True, slots=True)
class CopyProgress:
    """How far another deployment's topic was copied into this one.

    Attributes:
        source: what the topic was called there, for people.
        source_id: Kafka's id of it.
        next_offsets: by partition of the source, the offset to go on from.
    """

    source: str
    source_id: str
    next_offsets: Mapping[int, int]


@dataclass(frozen=True, slots=True)
class SkippedPrediction:
    """A record on `predictions` that is no output of this deployment: whoever reads it skips it."""

    partition: int
    offset: int
    time_ms: int
    reason: str


ControlRecord = SymbolControl | ExchangeBan | CopyProgress | SkippedPrediction


@dataclass(slots=True)
class ControlState:
    """The newest record of each kind.

    Attributes:
        wishes: by symbol, what the user wanted last.
        members: by symbol, since when and why the producer follows it.
        bans: by exchange, until when (ms) it takes no request.
        skipped: by partition of `predictions`, the offsets of foreign records.
        copied: by id of another deployment's topic, the offsets to go on from, by partition.
    """

    wishes: dict[str, SymbolControl] = field(default_factory=dict)
    members: dict[str, SymbolControl] = field(default_factory=dict)
    bans: dict[str, int] = field(default_factory=dict)
    copied: dict[str, dict[int, int]] = field(default_factory=dict)
    skipped: dict[int, set[int]] = field(default_factory=dict)

    def add(self, records: Iterable[ControlRecord]) -> None:
        """Add records in the order of the topic."""
        for record in records:
            if isinstance(record, ExchangeBan):
                self.bans[record.exchange] = record.until_ms
            elif isinstance(record, CopyProgress):
                self.copied.setdefault(record.source_id, {}).update(record.next_offsets)
            elif isinstance(record, SkippedPrediction):
                self.skipped.setdefault(record.partition, set()).add(record.offset)
            elif record.action in _WISHES:
                self.wishes[record.symbol] = record
            elif record.action == "joined":
                self.members[record.symbol] = record
            else:
                self.members.pop(record.symbol, None)

    def is_wanted(self, symbol: str, default: bool) -> bool:
        """Return whether the user wants a symbol; `default` if the user never said."""
        wish = self.wishes.get(symbol)
        return default if wish is None else wish.action == "follow"
