"""The symbols that are wanted and followed, from the log and from the producer."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from rich.table import Table

from services.cli.terminal import plain_text
from shared.adapters.schemas.standings import StandingMessage
from shared.core.control import ControlState
from shared.core.timestamps import format_timestamp
from shared.log.positions import SymbolPosition

FOLLOWING: Final = "following"
LATE_CANDLES: Final = 2  # behind the newest symbol


@dataclass(frozen=True, slots=True)
class SymbolRow:
    """A symbol, its standing since when and why; times are ms, None if unknown."""

    symbol: str
    standing: str
    since_ms: int
    next_open_time_ms: int | None
    reason: str


def rows_of_log(
    control: ControlState, positions: Mapping[str, SymbolPosition], interval_ms: int
) -> list[SymbolRow]:
    """Return the rows of the symbols by the log alone.

    Args:
        control: the wishes, and the members that a producer follows.
        positions: where each symbol is.
        interval_ms: milliseconds between two open times.
    """
    members = [positions[each] for each in control.members if each in positions]
    newest_ms = max((each.next_open_time_ms for each in members), default=0)
    late_ms = newest_ms - LATE_CANDLES * interval_ms
    return [
        _row_of_log(symbol, control, positions.get(symbol), late_ms)
        for symbol in sorted(control.members | control.wishes)
    ]


def with_standings(
    rows: Iterable[SymbolRow], standings: Iterable[StandingMessage]
) -> list[SymbolRow]:
    """Return the rows with the producer's standings, lagging symbols first."""
    found = {row.symbol: row for row in rows}
    for each in standings:
        reason = each.reason or (found[each.symbol].reason if each.symbol in found else "")
        found[each.symbol] = SymbolRow(
            each.symbol, each.standing, each.since_ms, each.next_open_time_ms, reason
        )
    return sorted(found.values(), key=lambda row: (row.standing == FOLLOWING, row.symbol))


def symbols_table(rows: Iterable[SymbolRow]) -> Table:
    """Return the rows as a table."""
    table = Table()
    for name in ("symbol", "standing", "since", "next candle", "reason"):
        table.add_column(name, no_wrap=name != "reason")
    for row in rows:
        next_ms = row.next_open_time_ms
        table.add_row(
            plain_text(row.symbol),
            plain_text(row.standing),
            format_timestamp(row.since_ms),
            "" if next_ms is None else format_timestamp(next_ms),
            plain_text(row.reason),
        )
    return table


def _row_of_log(
    symbol: str, control: ControlState, position: SymbolPosition | None, late_ms: int
) -> SymbolRow:
    wish, member = control.wishes.get(symbol), control.members.get(symbol)
    record = member or wish
    status = None if position is None else position.status
    row = SymbolRow(
        symbol,
        FOLLOWING if member else "wanted",
        0 if record is None else record.time_ms,
        None if position is None else position.next_open_time_ms,
        "" if record is None else record.reason,
    )
    if wish is not None and wish.action == "unfollow":
        return replace(row, standing="removed", since_ms=wish.time_ms, reason="the user removed it")
    if status is not None and (status.ends_symbol or status.status == "halted"):
        return replace(row, standing=status.status, since_ms=status.time_ms, reason=status.reason)
    if member and position is not None and position.next_open_time_ms <= late_ms:
        return replace(row, standing="late", since_ms=position.next_open_time_ms)
    return row
