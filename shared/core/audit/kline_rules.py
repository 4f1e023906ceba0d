"""The rules that each record of the klines keeps towards its symbol's records before it."""

from collections.abc import Iterator

from shared.core.audit.symbol_history import SymbolHistory
from shared.core.audit.violation import Check, Difference, Violation, compare_fields
from shared.core.records import Amendment, Candle, Correction, Gap, SymbolStatus


def is_past(candle: Candle, history: SymbolHistory) -> bool:
    """Return whether readers reject a candle: it is older than its symbol's newest, or its end."""
    if history.candles:
        return candle.open_time_ms <= history.last_open_time_ms
    return candle.open_time_ms < history.next_open_time_ms


def check_candle_place(candle: Candle, history: SymbolHistory) -> Iterator[Violation]:
    """Check that a candle opens where the last one, or the gap after it, ends."""
    return compare_fields(
        Check.CANDLES,
        f"candle of {candle.symbol} does not open where its last candle or gap ends",
        candle,
        {"open_time_ms": history.next_open_time_ms},
    )


def check_gap_place(gap: Gap, history: SymbolHistory) -> Iterator[Violation]:
    """Check that a gap begins where its symbol's last candle or gap ends."""
    return compare_fields(
        Check.CANDLES,
        f"gap of {gap.symbol} does not begin where its last candle or gap ends",
        gap,
        {"from_open_time_ms": history.next_open_time_ms},
    )


def check_correction(correction: Correction, history: SymbolHistory) -> Iterator[Violation]:
    """Check that a fill lies in a gap that is not filled yet, and an amendment does not."""
    if history.expects(correction):
        return
    kind, candle = type(correction).__name__.lower(), correction.candle
    where = "a candle of the log" if isinstance(correction, Amendment) else "a gap, not filled yet"
    message = f"{kind} of {candle.symbol} does not belong to {where}"
    difference = Difference("open_time_ms", candle.open_time_ms, f"of {where}")
    yield Violation(Check.CANDLES, message, (difference,))


def check_status(status: SymbolStatus, history: SymbolHistory) -> Iterator[Violation]:
    """Check a status of a symbol that has candles and has not ended."""
    if status.time_ms < history.next_open_time_ms:
        message = f"status of {status.symbol} begins before its last candle or gap ends"
        expected = f"at least {history.next_open_time_ms}"
        difference = Difference("time_ms", status.time_ms, expected)
        yield Violation(Check.CANDLES, message, (difference,))
    if status.status == "listed":
        message = f"{status.symbol} is listed, has candles, and has not ended"
        difference = Difference("status", status.status, "of a symbol that is new or has ended")
        yield Violation(Check.CANDLES, message, (difference,))
