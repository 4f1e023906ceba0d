"""Check that a candle comes in its place: the log of a symbol only grows at its end."""

from shared.core.errors import BadInput
from shared.core.online.state import SymbolState
from shared.core.records import Candle
from shared.core.sequence import EXCHANGE_COLUMNS, candle_values


def check_begins(empty: SymbolState, candle: Candle) -> None:
    """Check that a symbol without candles may begin with this one.

    Raises:
        BadInput: out_of_order, the candle is from before the symbol's end or its listing.
    """
    if candle.open_time_ms < empty.begins_ms:
        message = (
            f"candle of {candle.symbol} at open time {candle.open_time_ms} ms: by its last status"
            f" the symbol begins at {empty.begins_ms} ms or later"
        )
        raise BadInput("out_of_order", message)


def check_newer(state: SymbolState, candle: Candle) -> None:
    """Check that a candle opens after the newest of its symbol: the log only grows at its end.

    Raises:
        BadInput: out_of_order, duplicate, or contradiction (same open time, other values).
    """
    last_ms = state.last_open_time_ms
    if last_ms is None or candle.open_time_ms > last_ms:
        return
    subject = f"candle of {candle.symbol} at open time {candle.open_time_ms} ms"
    if candle.open_time_ms < last_ms:
        message = f"{subject} comes after the one at {last_ms} ms; candles go in by open time"
        raise BadInput("out_of_order", message)
    is_same = _exchange_values(candle) == tuple(state.sequence[-1, :EXCHANGE_COLUMNS].tolist())
    reason, values = ("duplicate", "") if is_same else ("contradiction", " with other values")
    message = (
        f"{subject} is in the log already{values}; the log keeps the first; publish an amendment to"
        " change a candle"
    )
    raise BadInput(reason, message)


def _exchange_values(candle: Candle) -> tuple[float, ...]:
    """Return what every source has of a candle: the rest may be unknown to one and not another."""
    return candle_values(candle)[:EXCHANGE_COLUMNS]
