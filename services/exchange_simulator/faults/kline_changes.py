"""What faults make of klines: rows of REST and events of the streams. PURE."""

import json
import random
from collections.abc import Callable, Sequence
from typing import Any, Final

from services.exchange_simulator.faults.script import ScriptedFault

Row = list[Any]
Event = dict[str, Any]

OPEN_TIME, OPEN, HIGH, LOW, CLOSE, VOLUME, CLOSE_TIME, QUOTE, TRADES = range(9)
DECIMAL_COLUMNS: Final = (OPEN, HIGH, LOW, CLOSE, VOLUME, QUOTE, 9, 10)
VOLUME_COLUMNS: Final = (VOLUME, QUOTE, 9, 10)
DECIMAL_FIELDS: Final = "ohlcvqVQ"
VOLUME_FIELDS: Final = "vqVQ"
DAY_MS: Final = 86_400_000


def with_exponent(text: str) -> str:
    """Write a decimal number with an exponent, without losing a digit.

    >>> with_exponent("0.00000000"), with_exponent("1250.5"), with_exponent("0.25")
    ('0E-8', '1.2505E+3', '2.5E-1')
    """
    whole, _, fraction = text.partition(".")
    digits = (whole + fraction).lstrip("0")
    if not digits:
        return f"0E-{len(fraction)}" if fraction else "0"
    exponent = len(digits) - len(fraction) - 1
    mantissa = f"{digits[0]}.{digits[1:]}" if digits[1:] else digits
    return f"{mantissa}E{exponent:+d}"


def provisional_row(row: Row) -> Row:
    """Return a row as it may look before the last trades have been counted."""
    other = list(row)
    other[CLOSE] = other[OPEN]
    other[VOLUME] = _less(other[VOLUME])
    other[TRADES] = max(0, other[TRADES] - 1)
    return other


def provisional_event(event: Event) -> Event:
    """Return an event as it may look before the last trades have been counted."""
    kline = event["k"]
    other = {"c": kline["o"], "v": _less(kline["v"]), "n": max(0, kline["n"] - 1)}
    return with_kline(event, **other)


def with_kline(event: Event, **fields: object) -> Event:
    """Return an event whose kline has some other fields."""
    return {**event, "k": {**event["k"], **fields}}


def _less(volume: str) -> str:
    decimals = len(volume.partition(".")[2])
    return f"{float(volume) * 0.9:.{decimals}f}"


def _columns(change: Callable[[str], object], columns: Sequence[int]) -> Callable[[Row], Row]:
    return lambda row: [
        change(cell) if number in columns else cell for number, cell in enumerate(row)
    ]


def _shuffled(rows: list[Row], _: ScriptedFault) -> list[Row]:
    return random.Random(len(rows)).sample(rows, len(rows))


def _twice(rows: list[Row], _: ScriptedFault) -> list[Row]:
    middle = len(rows) // 2
    return [*rows[: middle + 1], *rows[middle:]]


def _contradicting(rows: list[Row], _: ScriptedFault) -> list[Row]:
    middle = len(rows) // 2
    return [*rows[:middle], *map(provisional_row, rows[middle : middle + 1]), *rows[middle:]]


def _from_the_future(rows: list[Row], fault: ScriptedFault) -> list[Row]:
    shift_ms = int((fault.seconds or DAY_MS / 1000) * 1000)
    return [*rows, *(_shifted(row, shift_ms) for row in rows[-1:])]


def _not_requested(rows: list[Row], _: ScriptedFault) -> list[Row]:
    return [*(_shifted(row, -DAY_MS) for row in rows[:1]), *rows]


def _shifted(row: Row, shift_ms: int) -> Row:
    return [row[0] + shift_ms, *row[1:CLOSE_TIME], row[CLOSE_TIME] + shift_ms, *row[QUOTE:]]


def _other_interval(row: Row) -> Row:
    close_ms = row[OPEN_TIME] + (row[CLOSE_TIME] + 1 - row[OPEN_TIME]) // 5 - 1
    return [*row[:CLOSE_TIME], close_ms, *row[CLOSE_TIME + 1 :]]


PAGE_CHANGES: Final[dict[str, Callable[[list[Row], ScriptedFault], list[Row]]]] = {
    "rows-floats": lambda rows, _: list(map(_columns(float, DECIMAL_COLUMNS), rows)),
    "rows-exponents": lambda rows, _: list(map(_columns(with_exponent, VOLUME_COLUMNS), rows)),
    "rows-other-interval": lambda rows, _: list(map(_other_interval, rows)),
    "rows-descending": lambda rows, _: rows[::-1],
    "rows-shuffled": _shuffled,
    "rows-twice": _twice,
    "rows-contradicting": _contradicting,
    "rows-short": lambda rows, _: [row[:7] for row in rows],
    "rows-from-the-future": _from_the_future,
    "rows-not-requested": _not_requested,
}
EVENT_CHANGES: Final[dict[str, Callable[[Event, ScriptedFault], list[Event]]]] = {
    "kline-lost": lambda event, _: [],
    "kline-twice": lambda event, _: [event, event],
    "kline-provisional": lambda event, _: [provisional_event(event), event],
    "kline-wrong": lambda event, _: [provisional_event(event)],
    "kline-floats": lambda event, _: [_fields(event, float, DECIMAL_FIELDS)],
    "kline-exponents": lambda event, _: [_fields(event, with_exponent, VOLUME_FIELDS)],
    "kline-unreadable": lambda event, fault: [with_kline(event, c=fault.value or "NaN")],
    "kline-other-interval": lambda event, _: [with_kline(event, i="15m")],
    "kline-future-close": lambda event, fault: [event, _ahead(event, fault)],
}


def _fields(event: Event, change: Callable[[str], object], names: str) -> Event:
    return with_kline(event, **{name: change(event["k"][name]) for name in names})


def _ahead(event: Event, fault: ScriptedFault) -> Event:
    """Return the close of a later candle; with a `value`, its event time is as far ahead."""
    kline = event["k"]
    length_ms = kline["T"] + 1 - kline["t"]
    shift_ms = max(1, round(fault.seconds * 1000 / length_ms)) * length_ms
    event_ms = event["E"] + shift_ms if fault.value else event["E"]
    return with_kline({**event, "E": event_ms}, t=kline["t"] + shift_ms, T=kline["T"] + shift_ms)


def dumps(value: object) -> str:
    """Return compact JSON, as the exchange sends it."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
