"""What an export has written and left out."""

from dataclasses import dataclass, field
from typing import Any

from shared.log.published_predictions import UnreadableRecords


@dataclass(slots=True)
class ExportFigures:
    """Counts of rows, and of records that gave none."""

    rows: int = 0
    symbols: set[str] = field(default_factory=set)
    first_ms: int | None = None  # open times
    last_ms: int | None = None
    out_of_order: int = 0  # no newer than one of the symbol before, so not of the log's writers
    unreadable: UnreadableRecords = field(default_factory=UnreadableRecords)

    def add(self, symbol: str, open_time_ms: int) -> None:
        """Count a row."""
        self.rows += 1
        self.symbols.add(symbol)
        if self.first_ms is None or open_time_ms < self.first_ms:
            self.first_ms = open_time_ms
        if self.last_ms is None or open_time_ms > self.last_ms:
            self.last_ms = open_time_ms

    def to_json(self) -> dict[str, Any]:
        """Return the values for a program."""
        return {
            "rows": self.rows,
            "symbols": len(self.symbols),
            "first_open_time_ms": self.first_ms,
            "last_open_time_ms": self.last_ms,
            "out_of_order": self.out_of_order,
            "unreadable": self.unreadable.count,
        }
