"""Changes of the board as bytes that every browser is sent."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from services.dashboard.ports import LogFacts, RecordsBySymbol


@dataclass(frozen=True, slots=True)
class BoardUpdate:
    """What has changed: encoded rows by symbol, the encoded summary, and what is new of symbols.

    `is_new_board` says that Kafka's topics are others than before, so that nothing before holds.
    """

    rows: Mapping[str, bytes]
    summary: bytes
    facts: LogFacts
    records: RecordsBySymbol = field(default_factory=dict)  # of watched symbols
    has_new_champion: bool = False
    is_new_board: bool = False
